"""`plan_use_case` over real tables: from the first row to the next increment, and fast without a JVM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.memory.lake import MemoryLake
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id
from lakeloop.domain.plan import Plan
from lakeloop.domain.use_case import UseCase
from lakeloop.planning import plan_use_case
from lakeloop.recording import record
from lakeloop.settings import Settings
from tests.bench.planning import lengthen
from tests.contract.test_lake import TABLE, Place, iceberg_append, rows

SNAPSHOTS = 5000
USE_CASE = UseCase.model_validate(
    {
        "name": "fraud",
        "table": {"name": TABLE, "key": ["id"], "event_time": "at"},
        "source": {"kind": "table"},
        "label": {"column": "kind", "positive": "k1"},
        "features": ["amount"],
    }
)


@pytest.fixture(params=["iceberg", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Place, Any]:
    if request.param == "memory":
        memory = MemoryLake()
        return Place(memory, lambda table, summary: memory.append(TABLE, table, summary)), MemoryLedger()
    settings = Settings(home=tmp_path)
    lake = IcebergLake(settings)
    return Place(lake, lambda table, summary: iceberg_append(lake, table, summary)), IcebergLedger(settings)


def ended(plan: Plan, kind: EventKind, subject: str) -> LedgerEvent:
    return LedgerEvent(
        event_id=event_id(subject, kind),
        use_case="fraud",
        kind=kind,
        at_ms=1,
        by="test",
        reason="",
        range=plan.range,
        schema_id=plan.schema_id,
        columns=plan.columns,
    )


def test_each_training_reads_what_the_last_terminal_one_left(world: tuple[Place, Any]) -> None:
    place, ledger = world
    assert plan_use_case(place.lake, ledger, USE_CASE).action == "nothing"
    first = place.append(rows(0, 10, "a"), {})
    plan = plan_use_case(place.lake, ledger, USE_CASE)
    assert (plan.action, [s.snapshot_id for s in plan.snapshots], plan.added_rows) == (
        "append-scan",
        [first],
        10,
    )
    record(ledger, ended(plan, "rollout_failed", "one"))
    assert plan_use_case(place.lake, ledger, USE_CASE) == plan
    record(ledger, ended(plan, "promoted", "one"))
    assert plan_use_case(place.lake, ledger, USE_CASE).reasons[0].startswith("no new snapshot since")
    more = [place.append(rows(10, 5, "b"), {}), place.append(rows(15, 5, "b"), {})]
    plan = plan_use_case(place.lake, ledger, USE_CASE)
    assert (plan.action, [s.snapshot_id for s in plan.snapshots], plan.added_rows) == (
        "append-scan",
        more,
        10,
    )
    assert plan.range is not None
    assert (plan.range.from_snapshot_id, plan.range.to_snapshot_id) == (first, more[-1])


CODE = """
import sys
from lakeloop import bootstrap
from lakeloop.domain.use_case import UseCase
from lakeloop.planning import plan_use_case
from lakeloop.settings import Settings

settings, use_case = Settings(), UseCase.model_validate_json(sys.stdin.read())
print(plan_use_case(bootstrap.lake(settings), bootstrap.ledger(settings), use_case).model_dump_json())
heavy = {"pyiceberg", "pyarrow", "pandas", "sqlalchemy", "pyspark"} & sys.modules.keys()
sys.exit(f"loaded {sorted(heavy)}" if heavy else 0)
"""


def cold_plan(home: Path) -> Plan:
    """The plan of a fresh process, which fails where it loaded a heavy library. `make bench` says how long it takes."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        input=USE_CASE.model_dump_json(),
        env={"LAKELOOP_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return Plan.model_validate_json(done.stdout)


def test_a_plan_over_5000_snapshots_loads_neither_pyiceberg_nor_arrow(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path)
    assert cold_plan(tmp_path).reasons == ("the table does not exist yet",)
    lake, ledger = IcebergLake(settings), IcebergLedger(settings)
    iceberg_append(lake, rows(0, 4, "a"), {})
    assert cold_plan(tmp_path).action == "append-scan"
    record(ledger, ended(plan_use_case(lake, ledger, USE_CASE), "promoted", "one"))
    lengthen(settings, lake, TABLE, SNAPSHOTS)
    plan = cold_plan(tmp_path)
    assert (plan.action, len(plan.snapshots), plan.added_rows) == (
        "append-scan",
        SNAPSHOTS - 1,
        4 * (SNAPSHOTS - 1),
    )
