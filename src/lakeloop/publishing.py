"""The newest features of each entity -> the online store, with the snapshot that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import BuiltRange, FeatureTable, built_ranges, feature_table
from lakeloop.domain.online import OnlineVersion
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.ports.latest_features import LatestBy, LatestFeatures
from lakeloop.ports.online_store import OnlineStore

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Publication:
    """What is served now; `published` is False where it was served before."""

    version: OnlineVersion
    published: bool


@dataclass(frozen=True)
class FeaturePlaces:
    """Where features come from and go to."""

    lake: Lake
    latest: LatestFeatures
    store: OnlineStore


def publish_features(places: FeaturePlaces, use_case: UseCase) -> Publication:
    """Serve the feature table's newest rows, unless they are served.

    Raises:
        UserError: the use case names no entity, or has no features yet.
        ConflictError: somebody else published another version meanwhile.
    """
    if use_case.online is None:
        raise UserError(
            "it does not say whose features are looked up",
            where=f"{use_case.name}: online.entity",
            fix="name the column that identifies a customer, a device...",
        )
    source = places.lake.table_state(use_case.table.name)
    if source is None or source.current_snapshot_id is None:
        raise _no_features(use_case)
    table = feature_table(use_case, {c.name: c.type for c in source.columns})
    state = places.lake.table_state(table.name)
    ranges = built_ranges(state, table.hash)
    if state is None or state.current_snapshot_id is None or not ranges:
        raise _no_features(use_case)
    version = _version(use_case, table, state, ranges)
    current = places.store.current(use_case.name)
    if current is not None and current.version == version.version:
        return Publication(version, published=False)
    by = LatestBy(version.entity, use_case.table.key, use_case.table.event_time, version.features)
    rows = places.latest.of(*_rows(places.lake, use_case, version, tuple(ranges), by), by)
    return Publication(version, published=places.store.publish(version, rows))


def _version(
    use_case: UseCase, table: FeatureTable, state: TableState, ranges: dict[str, BuiltRange]
) -> OnlineVersion:
    newest = list(ranges.values())[-1]
    commit = next(s for s in state.snapshots if s.snapshot_id == state.current_snapshot_id)
    at = datetime.fromtimestamp(commit.timestamp_ms / 1000, tz=UTC)
    assert use_case.online is not None  # noqa: S101 - asked by the caller
    return OnlineVersion(
        use_case=use_case.name,
        feature_hash=table.hash,
        feature_table=table.name,
        feature_snapshot_id=commit.snapshot_id,
        source_snapshot_id=newest.to_snapshot_id,
        computed_at=at.isoformat(timespec="milliseconds"),
        entity=use_case.online.entity,
        features=tuple(f.name for f in use_case.features),
    )


def _rows(
    lake: Lake, use_case: UseCase, version: OnlineVersion, range_ids: tuple[str, ...], by: LatestBy
) -> tuple[Iterator[pa.RecordBatch], Iterator[pa.RecordBatch] | None]:
    in_features = set(by.entity) <= {*by.order, *by.features}
    wanted = list(dict.fromkeys([*by.order, *by.features]))
    features = lake.read_batches(version.feature_table, version.feature_snapshot_id, wanted, range_ids)
    if in_features:
        return features, None
    named = list(dict.fromkeys([*by.order, *by.entity]))
    return features, lake.read_batches(use_case.table.name, version.source_snapshot_id, named)


def _no_features(use_case: UseCase) -> UserError:
    return UserError(
        "there are no features of these definitions yet",
        where=use_case.name,
        fix=f"lakeloop run {use_case.name} computes them",
    )
