"""lakeloop's side: the bodies of the real steps, in the pipeline's order, in this process."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lakeloop import bootstrap
from lakeloop.domain.base import Frozen
from lakeloop.domain.batch import Batch, IngestResult
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.rollout import Identity
from lakeloop.domain.use_case import UseCase
from lakeloop.runtime.claimant import claimant_of
from lakeloop.runtime.step import Step
from lakeloop.settings import Settings

Document = TypeVar("Document", bound=Frozen)

INPUTS = {
    "ingest_batch": ["batch"],
    "build_training_set": ["ingest"],
    "train_model": ["training_set"],
    "evaluate_model": ["training"],
    "register_model": ["training", "verdict"],
    "redeploy_endpoint": ["training", "registration"],
}
OUTPUTS = {
    "ingest_batch": ["outcome", "ingest"],
    "build_training_set": ["action", "plan", "training_set"],
    "train_model": ["training"],
    "evaluate_model": ["decision", "verdict", "evaluation"],
    "register_model": ["registration"],
    "redeploy_endpoint": ["endpoint_url", "rollout"],
}
STEPS = tuple(INPUTS)


@dataclass(frozen=True)
class Run:
    """One pipeline run: what its steps left, and what ended it early."""

    folder: Path
    reached: str
    error: LakeloopError | None = None

    def told(self, kind: type[LakeloopError] = LakeloopError, about: str = "") -> tuple[str, ...]:
        """What the run ended with, as evidence; nothing where it ended well.

        Args:
            kind: the error that the scenario is about.
            about: words of its text.

        Raises:
            LakeloopError: it ended with another error, which is no evidence of anything.
        """
        if self.error is None:
            return ()
        if not isinstance(self.error, kind) or about not in str(self.error):
            raise self.error
        problem = " ".join(self.error.problem.split("\n", maxsplit=1)[0].split())
        return (f"{self.reached} ended with {self.error.exit_code}: {problem}",)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def read(self, name: str, document: type[Document]) -> Document:
        return document.model_validate_json(self.text(name))


@dataclass
class Loop:
    """One use case of the shared set-up."""

    settings: Settings
    use_case: UseCase
    folder: Path

    def run(self, run_id: str, batch: Batch | None = None, until: str = "redeploy_endpoint") -> Run:
        """The pipeline, conditions and all, as far as the step `until`."""
        folder = self.folder / run_id
        folder.mkdir(parents=True, exist_ok=True)
        landed = batch or Batch(kind="table", batch_id=None)
        (folder / "batch").write_text(landed.model_dump_json(), encoding="utf-8")
        run, last = Run(folder, ""), STEPS.index(until)
        for name in STEPS[: last + 1]:
            run = self.step(run_id, name)
            if run.error is not None or _over(run):
                break
        self.release(run_id)
        return run

    def release(self, run_id: str) -> None:
        """What the pipeline's exit handler does first."""
        claimant_of(self._step(run_id, "report_run")).release("the run has ended")

    def step(self, run_id: str, name: str) -> Run:
        """One step's body; its error is what the process would leave with."""
        body = importlib.import_module(f"components.{name}.__main__").body
        try:
            body(self._step(run_id, name))
        except LakeloopError as error:
            return Run(self.folder / run_id, name, error)
        return Run(self.folder / run_id, name)

    def _step(self, run_id: str, name: str) -> Step:
        folder = self.folder / run_id
        arguments = {argument: str(folder / argument) for argument in INPUTS.get(name, [])}
        arguments |= {f"{output}_path": str(folder / output) for output in OUTPUTS.get(name, [])}
        artifacts = {output: {"artifacts": [{}]} for output in OUTPUTS.get(name, [])}
        executor = {"outputs": {"outputFile": str(folder / f"{name}.json"), "artifacts": artifacts}}
        arguments["executor_input"] = json.dumps(executor)
        return Step(name, run_id, self.use_case, self.settings, arguments)

    @property
    def lake(self) -> Any:
        return bootstrap.lake(self.settings)

    def live(self) -> Identity | None:
        """Asked of the endpoint itself."""
        return bootstrap.local_deployer(self.settings).live(self.use_case.endpoint)

    def champion(self) -> str | None:
        return bootstrap.model_registry(self.settings).champion(self.use_case.name)

    def kinds(self) -> list[str]:
        """The ledger's events, claims left out."""
        events = bootstrap.ledger(self.settings).events(self.use_case.name)
        return [e.kind for e in events if e.kind not in {"claimed", "released"}]

    def trained_ids(self, run: Run) -> list[int]:
        """Keys of the rows that a run's training set holds."""
        made = run.read("training_set", TrainingSet)
        batches = self.lake.read_batches(
            made.feature_table, made.feature_snapshot_id, columns=["id"], range_ids=made.range_ids
        )
        return [value for batch in batches for value in batch.column(0).to_pylist()]

    def table_ids(self) -> list[int]:
        """Keys of the rows that the source table has now."""
        name = self.use_case.table.name
        state = self.lake.table_state(name)
        if state is None or state.current_snapshot_id is None:
            return []
        batches = self.lake.read_batches(name, state.current_snapshot_id, columns=["id"])
        return sorted(value for batch in batches for value in batch.column(0).to_pylist())

    def ingested(self, run: Run) -> IngestResult:
        return run.read("ingest", IngestResult)

    def stop(self) -> None:
        bootstrap.local_deployer(self.settings).stop(self.use_case.endpoint)


def _over(run: Run) -> bool:
    nothing = run.reached == "build_training_set" and run.text("action") == "nothing"
    return nothing or (run.reached == "evaluate_model" and run.text("decision") == "reject")
