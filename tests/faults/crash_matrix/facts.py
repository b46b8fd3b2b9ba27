"""What a user can see of a home, without ids and times: two homes with equal facts are equal."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.local.deployer import LocalDeployer
from lakeloop.adapters.local.endpoint_folder import EndpointFolder
from lakeloop.adapters.mlflow.client import open_client
from lakeloop.domain.batch import BATCH_ID_PROPERTY
from lakeloop.domain.claims import current_claim
from lakeloop.domain.ledger import LedgerEvent, watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, TableState, ancestry
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

ASKED = [{"amount": 7.5, "kind": "a"}, {"amount": 120.5, "kind": "b"}]
BOOKKEEPING = {"claimed", "released", "accepted", "rollout_failed"}
"""Events of attempts; what a run leads to are the others."""


def facts(settings: Settings, use_case: UseCase) -> dict[str, Any]:
    """By name, in the order in which a reader would look."""
    lake, events = IcebergLake(settings), IcebergLedger(settings).events(use_case.name)
    source = lake.table_state(use_case.table.name)
    features = lake.table_state(f"{use_case.table.name}__{use_case.name}_features")
    places = _places(source)
    plan = plan_range(source, watermark(events), use_case.snapshots)
    return {
        "source": _table(lake, source),
        "features": _table(lake, features),
        "models": _models(settings, use_case.name),
        "outcomes": [_outcome(e, places) for e in events if e.kind not in BOOKKEEPING],
        "held by": None if current_claim(events) is None else "somebody",
        "left to train on": plan.action,
        "endpoint": _endpoint(settings, use_case.endpoint, places),
    }


def differences(found: dict[str, Any], clean: dict[str, Any]) -> list[str]:
    """Names of what is not as after a clean run, with both sides."""
    return [
        f"{name}: {found.get(name)} instead of {clean[name]}"
        for name in clean
        if found.get(name) != clean[name]
    ]


def main_rows(settings: Settings, use_case: UseCase) -> int:
    """Rows that a reader of main sees now."""
    lake = IcebergLake(settings)
    state = lake.table_state(use_case.table.name)
    if state is None or state.current_snapshot_id is None:
        return 0
    return sum(b.num_rows for b in lake.read_batches(state.name, state.current_snapshot_id, ["id"]))


def _places(state: TableState | None) -> dict[str, int]:
    """Main's snapshots, numbered from the first."""
    line = ancestry(state).snapshots[::-1] if state else ()
    return {snapshot.snapshot_id: number for number, snapshot in enumerate(line)}


def _table(lake: IcebergLake, state: TableState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    places, line = _places(state), ancestry(state).snapshots[::-1]
    return {
        "rows": _rows(lake, state),
        "main": [
            (s.operation, s.summary.get(BATCH_ID_PROPERTY), s.summary.get("added-records")) for s in line
        ],
        "refs": sorted((r.name, r.kind, places.get(r.snapshot_id, "off main")) for r in state.refs),
    }


def _rows(lake: IcebergLake, state: TableState) -> list[dict[str, Any]]:
    if state.current_snapshot_id is None:
        return []
    rows = pa.Table.from_batches(lake.read_batches(state.name, state.current_snapshot_id))
    kept = [name for name in rows.column_names if name != RANGE_ID_COLUMN]
    found: list[dict[str, Any]] = rows.select(kept).sort_by("id").to_pylist()
    return found


def _models(settings: Settings, name: str) -> dict[str, Any]:
    client = open_client(settings)
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    versions = client.search_model_versions(f"name = '{name}'")
    aliases = dict(client.get_registered_model(name).aliases) if versions else {}
    kept = ("lakeloop.model_digest", "lakeloop.verdict")
    return {
        "finished runs": sum(r.info.status == "FINISHED" for r in runs),
        "running runs": sum(r.info.status == "RUNNING" for r in runs),
        "verdicts": sorted(
            r.data.tags.get("lakeloop.verdict", "") for r in runs if r.info.status == "FINISHED"
        ),
        "versions": sorted((int(v.version), *(v.tags.get(tag) for tag in kept)) for v in versions),
        "aliases": {alias: int(version) for alias, version in sorted(aliases.items())},
    }


def _outcome(event: LedgerEvent, places: dict[str, int]) -> tuple[Any, ...]:
    ends = (event.range.from_snapshot_id, event.range.to_snapshot_id) if event.range else ()
    return (event.kind, event.model_version, *(places.get(str(end)) for end in ends))


def _endpoint(settings: Settings, endpoint: str, places: dict[str, int]) -> dict[str, Any] | None:
    deployer = LocalDeployer(settings)
    live = deployer.live(endpoint)
    if live is None:
        return None
    answer = deployer.ask(endpoint, ASKED)
    return {
        "version": live.version,
        "digest": live.model_digest,
        "snapshot": places.get(live.to_snapshot_id),
        "scores": answer["scores"],
        "servers": sum(s.alive() for s in EndpointFolder(settings.endpoints_folder, endpoint).servers()),
    }
