"""What became of one step of a run: kept in the run journal, for the report that closes the run."""

from __future__ import annotations

from typing import Literal

from lakeloop.domain.base import Frozen

STEP_PREFIX = "step_"


class StepRecord(Frozen):
    """The last attempt of a step. `error` is the one clear error that the step ended with."""

    step: str
    state: Literal["succeeded", "failed"]
    started_at_ms: int
    seconds: float
    error: str = ""
    exit_code: int = 0
