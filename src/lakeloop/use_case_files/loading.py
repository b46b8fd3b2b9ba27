"""From a name or a path to a validated use case."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import FilesSource, UseCase
from lakeloop.use_case_files.problems import problems
from lakeloop.use_case_files.strict_yaml import read_yaml

FOLDER_VARIABLE = "LAKELOOP_USE_CASES"
DEFAULT_FOLDER = Path("conf", "use_cases")


def use_case_folder() -> Path:
    """Where names are looked up: `LAKELOOP_USE_CASES`, else `conf/use_cases` of the current folder."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def known_use_cases(folder: Path | None = None) -> list[str]:
    """Names of the files in the folder, sorted."""
    return sorted(path.stem for path in (folder or use_case_folder()).glob("*.yaml"))


def find_use_case(name_or_path: str) -> Path:
    """The file behind a name or a path.

    Raises:
        UserError: there is none; the message names those there are.
    """
    path = Path(name_or_path).expanduser()
    if path.suffix in {".yaml", ".yml", ".json"} or len(path.parts) > 1:
        if path.is_file():
            return path
        raise UserError("there is no such file", where=name_or_path, fix="give the path of a use-case file")
    named = use_case_folder() / f"{name_or_path}.yaml"
    if named.is_file():
        return named
    known = ", ".join(known_use_cases()) or "none yet"
    raise UserError(
        f"no use case {name_or_path!r} in {use_case_folder()} (there: {known})",
        fix="give one of these names or a path, or write a new one with `lakeloop init`",
    )


def load_use_case(name_or_path: str) -> UseCase:
    """A validated use case; a relative source path becomes absolute, seen from the file's folder.

    Raises:
        UserError: no such file, not YAML, or not a use case; one error that names every problem and its line.
    """
    path = find_use_case(name_or_path)
    value, root = read_yaml(path)
    try:
        # Strings only from here on: JSON has no dates and no sets, YAML's other types would slip through.
        use_case = UseCase.model_validate_json(_as_json(path, value))
    except ValidationError as error:
        raise UserError("\n".join(problems(path, error, root))) from error
    return _with_absolute_source(use_case, path.resolve().parent)


def _as_json(path: Path, value: Any) -> str:
    try:
        return json.dumps(value)
    except TypeError as error:
        raise UserError(f"{error}", where=str(path), fix="quote dates and other special values") from error


def _with_absolute_source(use_case: UseCase, folder: Path) -> UseCase:
    source = use_case.source
    if not isinstance(source, FilesSource) or "://" in source.path:
        return use_case
    absolute = os.path.normpath(folder / Path(source.path).expanduser())
    return use_case.model_copy(update={"source": source.model_copy(update={"path": absolute})})
