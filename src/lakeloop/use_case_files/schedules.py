"""From `conf/schedules/*.yaml` to validated schedules."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import ValidationError

from lakeloop.domain.errors import UserError
from lakeloop.domain.schedule import Schedule
from lakeloop.use_case_files.problems import problems
from lakeloop.use_case_files.strict_yaml import read_yaml

FOLDER_VARIABLE = "LAKELOOP_SCHEDULES"
DEFAULT_FOLDER = Path("conf", "schedules")


def schedule_folder() -> Path:
    """`LAKELOOP_SCHEDULES`, else `conf/schedules` of the current folder."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def load_schedule(path: Path) -> Schedule:
    """One validated schedule.

    Raises:
        UserError: not YAML, or not a schedule; one error that names every problem and its line.
    """
    value, root = read_yaml(path)
    try:
        return Schedule.model_validate_json(json.dumps(value))
    except TypeError as error:
        raise UserError(f"{error}", where=str(path), fix="quote dates and other special values") from error
    except ValidationError as error:
        raise UserError("\n".join(problems(path, error, root, Schedule))) from error


def load_schedules(folder: Path | None = None) -> tuple[Schedule, ...]:
    """All of the folder, by name.

    Raises:
        UserError: a file is not a schedule, or two have one name.
    """
    where = folder or schedule_folder()
    found: dict[str, Path] = {}
    loaded = []
    for path in sorted(where.glob("*.yaml")):
        schedule = load_schedule(path)
        if schedule.name in found:
            raise UserError(
                f"the name {schedule.name!r} is taken by {found[schedule.name]}",
                where=f"{path}: name",
                fix="give each schedule a name of its own",
            )
        found[schedule.name] = path
        loaded.append(schedule)
    return tuple(sorted(loaded, key=lambda one: one.name))
