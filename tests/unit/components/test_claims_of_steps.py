"""Steps of a run hold the use case: claimed before anything is read, freed when the run has ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.build_training_set.__main__ import body as build_training_set
from components.report_run.__main__ import report_run
from lakeloop import bootstrap
from lakeloop.adapters.memory.journal import MemoryJournal
from lakeloop.adapters.memory.lake import MemoryLake
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.domain.claims import current_claim
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.ledger import LedgerEvent, event_id
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.domain.use_case import UseCase
from lakeloop.recording import record
from lakeloop.runtime.step import Step
from lakeloop.settings import Settings
from tests.fakes.world import TABLE, USE_CASE


class Builder:
    """Stands in for Spark: looks at the ledger instead of the rows, then breaks."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger, self.seen = ledger, list[LedgerEvent]()

    def build(self, use_case: UseCase, plan: Plan) -> TrainingSet:  # noqa: ARG002 - the port's signature
        self.seen = self.ledger.events(use_case.name)
        raise LakeloopError("out of memory")


class Run:
    """Steps of pipeline runs over one ledger and one table."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.lake, self.ledger, self.journal = (
            folder,
            MemoryLake(),
            MemoryLedger(),
            MemoryJournal(),
        )
        self.builder = Builder(self.ledger)
        self.lake.append(TABLE, pa.table({"id": ["a"]}))
        monkeypatch.setattr(bootstrap, "lake", lambda _: self.lake)
        monkeypatch.setattr(bootstrap, "ledger", lambda _: self.ledger)
        monkeypatch.setattr(bootstrap, "journal", lambda _: self.journal)
        monkeypatch.setattr(bootstrap, "feature_builder", lambda *_: self.builder)

    def build(self, run_id: str) -> None:
        """The step that claims."""
        build_training_set(self._step("build_training_set", run_id, ["plan", "training_set"], ["action"]))

    def report(self, run_id: str) -> None:
        """The exit handler."""
        report_run(self._step("report_run", run_id, ["report"], []))

    def _step(self, name: str, run_id: str, artifacts: list[str], parameters: list[str]) -> Step:
        outputs: dict[str, Any] = {"outputFile": str(self.folder / "out.json")}
        outputs["artifacts"] = {a: {"artifacts": [{"name": a}]} for a in artifacts}
        arguments = {f"{n}_path": str(self.folder / n) for n in (*artifacts, *parameters)}
        arguments |= {"executor_input": json.dumps({"outputs": outputs}), "status": '{"state": "FAILED"}'}
        return Step(name, run_id, USE_CASE, Settings(home=self.folder), arguments)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def test_the_range_is_claimed_with_its_plan_before_anything_is_read(run: Run) -> None:
    with pytest.raises(LakeloopError, match="out of memory"):
        run.build("run-a")
    claim = current_claim(run.builder.seen)
    assert claim is not None
    assert (claim.owner, claim.range) == ("run-a", run.builder.seen[0].range)
    assert Plan.model_validate_json(run.builder.seen[0].document).action == "append-scan"


def test_another_run_reads_nothing_until_the_failed_one_has_been_closed(run: Run) -> None:
    with pytest.raises(LakeloopError, match="out of memory"):
        run.build("run-a")
    run.builder.seen = []
    with pytest.raises(ConflictError, match="run-a"):
        run.build("run-b")
    assert run.builder.seen == []
    run.report("run-b")
    assert current_claim(run.ledger.events("fraud")).owner == "run-a"  # type: ignore[union-attr]
    run.report("run-a")
    assert run.ledger.events("fraud")[-1].reason == "the run has ended: failed"
    with pytest.raises(LakeloopError, match="out of memory"):
        run.build("run-b")
    assert current_claim(run.builder.seen).owner == "run-b"  # type: ignore[union-attr]


def test_a_retry_of_the_step_finds_its_own_claim(run: Run) -> None:
    for _ in range(2):
        with pytest.raises(LakeloopError, match="out of memory"):
            run.build("run-a")
    assert [e.kind for e in run.ledger.events("fraud")] == ["claimed"]


def test_with_nothing_new_nothing_is_claimed(run: Run) -> None:
    with pytest.raises(LakeloopError, match="out of memory"):
        run.build("run-a")
    done = run.builder.seen[0].model_copy(
        update={"event_id": event_id("run-a", "rejected"), "kind": "rejected", "document": ""}
    )
    state = run.lake.table_state(TABLE)
    assert state is not None
    columns = tuple((c.field_id, c.name, c.type) for c in state.columns)
    record(run.ledger, done.model_copy(update={"schema_id": 0, "columns": columns}))
    run.build("run-b")
    assert [e.kind for e in run.ledger.events("fraud")] == ["claimed", "rejected"]
