"""The thin edge shared by every step: arguments in, documents out, one clear error."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from lakeloop import bootstrap
from lakeloop.domain.base import Frozen
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.step_record import STEP_PREFIX, StepRecord
from lakeloop.domain.use_case import UseCase
from lakeloop.mounts import provide_mounted_variables
from lakeloop.settings import Settings

Document = TypeVar("Document", bound=Frozen)


@dataclass(frozen=True)
class Step:
    """What a step's body gets: its name, who it is for, where it runs, and its command line."""

    name: str
    pipeline_run_id: str
    use_case: UseCase
    settings: Settings
    arguments: dict[str, str]
    started_at: float = field(default_factory=time.monotonic)

    def read(self, argument: str, document: type[Document]) -> Document:
        """The JSON document that an upstream step left.

        Raises:
            LakeloopError: the file is missing or is not such a document.
        """
        path = Path(self.arguments[argument])
        try:
            return document.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise LakeloopError(
                f"input {argument!r} cannot be read: {error}",
                where=self.name,
                fix="run the step before it again",
            ) from error

    def write(self, argument: str, value: Frozen | str) -> None:
        """An output: a document as JSON, a parameter as text."""
        path = Path(self.arguments[argument])
        path.parent.mkdir(parents=True, exist_ok=True)
        text = value if isinstance(value, str) else value.model_dump_json(indent=2)
        path.write_text(text, encoding="utf-8")

    def publish(self, artifact: str, metadata: dict[str, Any]) -> None:
        """Artifact metadata for KFP, in the executor output file (protocol: ExecutorOutput of KFP v2)."""
        executor_input = json.loads(self.arguments["executor_input"])
        outputs = executor_input.get("outputs", {})
        path = Path(outputs["outputFile"])
        written = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"artifacts": {}}
        runtime = outputs["artifacts"][artifact]["artifacts"][0]
        written["artifacts"][artifact] = {"artifacts": [{**runtime, "metadata": metadata}]}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(written), encoding="utf-8")


def progress(text: str) -> None:
    """Tell what is going on now; runners show the latest such line beside the step."""
    print(f"::progress::{text}", flush=True)  # noqa: T201


def run_step(name: str, arguments: Sequence[str], body: Callable[[Step], None]) -> None:
    """Parse the command line, run the body, and leave with the exit code that its end deserves.

    Args:
        name: the step, as in its folder.
        arguments: option names without dashes in front, in snake_case, `use_case` and `pipeline_run_id` excepted.
        body: the step's work.
    """
    provide_mounted_variables()
    started_at_ms, start = int(time.time() * 1000), time.monotonic()
    step: Step | None = None
    code, said = 0, ""
    try:
        step = _step(name, arguments)
        body(step)
    except LakeloopError as error:
        code, said = error.exit_code, str(error)
    except Exception as error:  # noqa: BLE001 - the process boundary: nothing is swallowed, the exit code is non-zero
        traceback.print_exc()
        code, said = 1, f"{name}: {type(error).__name__}: {error}"
    if said:
        print(f"error: {said}", file=sys.stderr, flush=True)  # noqa: T201
    if step is not None:
        seconds = round(time.monotonic() - start, 3)
        state: Literal["succeeded", "failed"] = "failed" if code else "succeeded"
        _record(
            step,
            StepRecord(
                step=name,
                state=state,
                started_at_ms=started_at_ms,
                seconds=seconds,
                error=said,
                exit_code=code,
            ),
        )
    if code:
        sys.exit(code)


def _record(step: Step, record: StepRecord) -> None:
    """For the report that closes the run; a journal that is away changes nothing about the step's end."""
    try:
        journal = bootstrap.journal(step.settings)
        journal.record(step.pipeline_run_id, f"{STEP_PREFIX}{record.step}", record.model_dump(mode="json"))
    except Exception as error:  # noqa: BLE001 - shown; the step's own outcome stands
        print(f"warning: the run journal has no record of this step: {error}", file=sys.stderr, flush=True)  # noqa: T201


def _step(name: str, arguments: Sequence[str]) -> Step:
    parser = argparse.ArgumentParser(prog=f"python -m components.{name}", allow_abbrev=False)
    for argument in ("pipeline_run_id", "use_case", *arguments):
        parser.add_argument(f"--{argument.replace('_', '-')}", required=True)
    parser.add_argument("--executor-input", default="{}")
    given = vars(parser.parse_args())
    return Step(
        name=name,
        pipeline_run_id=given.pop("pipeline_run_id"),
        use_case=parse_use_case(given.pop("use_case")),
        settings=Settings(),
        arguments=given,
    )


def parse_use_case(text: str) -> UseCase:
    """A use case from its JSON string.

    Raises:
        UserError: it does not validate; names each place.
    """
    try:
        return UseCase.model_validate_json(text)
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'use case'}: {e['msg']}" for e in error.errors()
        )
        raise UserError(places, where="use case", fix="lakeloop validate FILE shows every problem") from error
