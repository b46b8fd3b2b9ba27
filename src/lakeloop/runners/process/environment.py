"""The environment of a task, and the local file that stands in for secrets and config maps."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from lakeloop.domain.errors import UserError
from lakeloop.runners.process import ir
from lakeloop.runners.process.options import EntryPoint, RunOptions

SECRETS_VARIABLE: Final = "LAKELOOP_LOCAL_SECRETS"
_PYTHON: Final = frozenset({"python", "python3"})


class LocalSecrets:
    """Secrets and config maps from one YAML file: name -> key -> value."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._values = _read(path) if path else {}

    def variables(self, source: ir.EnvironmentFrom, name: str, task: str) -> dict[str, str]:
        """The variables that one secret or config map fills.

        Raises:
            UserError: the secret, or a key of it, is missing and not optional.
        """
        where = f"task {task}"
        values = self._values.get(name)
        if values is None:
            if source.optional:
                return {}
            raise UserError(f"{source.kind} {name!r} is not there", where=where, fix=self._fix(name))
        missing = [key for key in source.variables.values() if key not in values]
        if missing and not source.optional:
            raise UserError(
                f"{source.kind} {name!r} has no key {', '.join(missing)}", where=where, fix=self._fix(name)
            )
        return {variable: str(values[key]) for variable, key in source.variables.items() if key in values}

    def _fix(self, name: str) -> str:
        if self._path is None:
            return f"set {SECRETS_VARIABLE} to a YAML file with `{name}: {{key: value}}`"
        return f"add `{name}: {{key: value}}` to {self._path}"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        # The text of a YAML error quotes the file, which holds secrets.
        problem = error.strerror if isinstance(error, OSError) else "it is not YAML"
        raise UserError(
            f"the secrets file cannot be read: {problem}",
            where=str(path),
            fix=f"mend it or unset {SECRETS_VARIABLE}",
        ) from None
    if not isinstance(document, dict) or not all(isinstance(one, dict) for one in document.values()):
        raise UserError(
            "not a mapping of name -> key -> value", where=str(path), fix="write `NAME: {KEY: VALUE}`"
        )
    return document


def secrets_for(options: RunOptions) -> LocalSecrets:
    """The secrets of a run: the file in the options, or the one the environment names."""
    named = os.environ.get(SECRETS_VARIABLE)
    return LocalSecrets(options.secrets_path or (Path(named) if named else None))


def entry_point(options: RunOptions, image: str) -> EntryPoint:
    """What stands in for an image: looked up as written, then without digest and tag."""
    bare = image.partition("@")[0]
    head, _, last = bare.rpartition("/")
    untagged = f"{head}/{last.partition(':')[0]}".removeprefix("/")
    for name in (image, bare, untagged):
        if name in options.entry_points:
            return options.entry_points[name]
    return EntryPoint()


def command_line(words: list[str], entry: EntryPoint) -> list[str]:
    """The command to start; `python` is the interpreter that runs the runner."""
    if words and words[0] in _PYTHON and not entry.prefix:
        return [sys.executable, *words[1:]]
    return [*entry.prefix, *words]


def full_environment(parent: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The parent's environment under the task's own, with this interpreter's programs first on PATH."""
    programs = str(Path(sys.executable).parent)
    path = own.get("PATH", parent.get("PATH", os.defpath))
    found = path if path.split(os.pathsep)[0] == programs else f"{programs}{os.pathsep}{path}"
    return {**parent, "PYTHONUNBUFFERED": "1", **own, "PATH": found}
