"""What is asked of a run: checked before a folder is made, then written down."""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakeloop.domain.errors import UserError
from lakeloop.runners.process import ir
from lakeloop.runners.process.environment import LocalSecrets, entry_point, full_environment
from lakeloop.runners.process.options import RunOptions
from lakeloop.runners.process.placeholders import Text
from lakeloop.runners.process.store import RunFolder, read_json
from lakeloop.runners.process.values import ValueMismatchError, coerce

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def check_request(
    pipeline: ir.Pipeline, arguments: Mapping[str, Any], options: RunOptions, local_secrets: LocalSecrets
) -> None:
    """Everything about a request that can be wrong before a folder is made.

    Raises:
        UserError: an option, an argument, a program or a secret cannot be used.
    """
    _check_options(options)
    _check_commands(pipeline, options)
    _check_secrets(pipeline, local_secrets)
    if not options.resume:
        check_arguments(pipeline, arguments)


def _check_options(options: RunOptions) -> None:
    if options.max_parallel < 1:
        raise UserError(f"max_parallel is {options.max_parallel}", fix="give 1 or more")
    if not options.project_root.is_dir():
        raise UserError("the project root is not a folder", where=str(options.project_root), fix="give one")
    for run_id in filter(None, (options.run_id, options.resume)):
        if not _RUN_ID.fullmatch(run_id):
            raise UserError(f"{run_id!r} is no run id", fix="use letters, digits, dots, - and _")


def _check_commands(pipeline: ir.Pipeline, options: RunOptions) -> None:
    for label, executor in pipeline.executors.items():
        if not isinstance(executor, ir.Container) or entry_point(options, executor.image).prefix:
            continue
        program = executor.command[0]
        if isinstance(program, Text) and all(isinstance(part, str) for part in program.parts):
            name = "".join(map(str, program.parts))
            path = full_environment(os.environ, {**options.env, **executor.env})["PATH"]
            if (
                shutil.which(name, path=path) is None
                and shutil.which(str(options.project_root / name)) is None
            ):
                raise UserError(
                    f"program {name!r} is not on this machine",
                    where=f"deploymentSpec.executors.{label}",
                    fix=f"install it, or give an entry point for image {executor.image}",
                )


def _check_secrets(pipeline: ir.Pipeline, local_secrets: LocalSecrets) -> None:
    for label, executor in pipeline.executors.items():
        for source in executor.environment_from if isinstance(executor, ir.Container) else ():
            name = source.name.source
            if isinstance(name, ir.Constant) and name.text is None:
                local_secrets.variables(source, str(name.value), label.removeprefix("exec-"))


def run_folder(options: RunOptions) -> RunFolder:
    """The folder of the run to start or to resume.

    Raises:
        UserError: there is no such run, or there is one already.
    """
    if options.resume:
        folder = RunFolder(options.runs_dir / options.resume)
        if not folder.run_file.exists():
            known = sorted(path.parent.name for path in options.runs_dir.glob("*/run.json"))[-5:]
            fix = f"resume one of: {', '.join(known)}" if known else "start a run first"
            raise UserError(f"there is no run {options.resume!r}", where=str(options.runs_dir), fix=fix)
        return folder
    now = dt.datetime.now(dt.UTC)
    folder = RunFolder(options.runs_dir / (options.run_id or f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"))
    if folder.run_file.exists():
        fix = f"choose another run id, or resume {options.run_id}"
        raise UserError(f"run {options.run_id!r} exists already", where=str(folder.path), fix=fix)
    return folder


def record_request(
    pipeline: ir.Pipeline,
    pipeline_path: Path,
    arguments: Mapping[str, Any],
    options: RunOptions,
    folder: RunFolder,
) -> dict[str, Any]:
    """Write down what was asked, or find out what a resumed run was asked; the arguments to run with.

    Raises:
        UserError: the request differs from the one that is to be resumed.
    """
    known = read_json(folder.run_file) if options.resume else None
    if known is None:
        values = check_arguments(pipeline, arguments)
        created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        shutil.copyfile(pipeline_path, folder.path / "pipeline.yaml")
        known = {"run_id": folder.path.name, "pipeline": pipeline.name, "digest": pipeline.digest}
        known |= {"arguments": values, "created_at": created}
    elif known["digest"] != pipeline.digest:
        fix = "start a new run; code may change before a resume, the pipeline may not"
        raise UserError(
            "the pipeline is not the one this run was started with", where=str(folder.path), fix=fix
        )
    elif arguments and check_arguments(pipeline, arguments) != known["arguments"]:
        fix = "resume without arguments, or start a new run"
        raise UserError("a resumed run keeps its arguments", where=str(folder.path), fix=fix)
    elif known["state"] == "succeeded":
        raise UserError(
            f"run {options.resume} succeeded already", where=str(folder.path), fix="start a new run"
        )
    folder.record(
        {**known, "state": "running", "pid": os.getpid(), "not_applied": list(pipeline.not_applied)}
    )
    return dict(known["arguments"])


def check_arguments(pipeline: ir.Pipeline, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline's parameters with defaults applied.

    Raises:
        UserError: naming every unknown, missing or mistyped argument.
    """
    declared = pipeline.root.parameters
    problems = [f"unknown argument {name!r}" for name in arguments if name not in declared]
    values: dict[str, Any] = {}
    for name, spec in declared.items():
        value = arguments.get(name, spec.default)
        if value is ir.MISSING or value is None:
            problems += [] if spec.optional else [f"argument {name!r} is missing"]
            continue
        try:
            values[name] = coerce(value, spec.type)
        except ValueMismatchError as error:
            problems.append(f"argument {name!r}: {error}")
    problems += [
        f"input artifact {name!r} of the pipeline cannot be given" for name in pipeline.root.artifacts
    ]
    if problems:
        takes = ", ".join(f"{n} ({s.type}{'' if s.required else ', optional'})" for n, s in declared.items())
        raise UserError("; ".join(problems), where=pipeline.name, fix=f"it takes: {takes or 'no arguments'}")
    return values
