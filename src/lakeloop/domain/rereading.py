"""How rows that were read once are read again, after commits between them may have expired. Pure."""

from __future__ import annotations

from typing import Literal

from lakeloop.domain.errors import RefusedError
from lakeloop.domain.history import is_harmless
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.pins import main_tag
from lakeloop.domain.snapshots import Snapshot, SnapshotRange, TableState, ancestry

SCRATCH_MARK = "_replay_"
"""In the name of a table that a replay computes into, before a random ending; a dead replay leaves it behind."""

Reading = Literal["whole", "appends", "difference"]
"""`whole`: the table at its end. `appends`: Iceberg's incremental scan. `difference`: end without start."""


def reading_of(state: TableState, range_: SnapshotRange) -> Reading | None:
    """How the rows of `(from, to]` can be read now; None where they cannot any more.

    The incremental scan needs every commit in between, and that all of them only appended or compacted. The
    difference (rows of `to` without those of `from`, each as often as it is there more) needs the two ends only. Both
    give the same rows wherever both are possible, because a compaction changes none. The scan has the columns of today,
    the difference those of `to`: after a rename or a drop only that one can be asked for.
    """
    retained = {s.snapshot_id: s for s in state.snapshots}
    start, end = range_.from_snapshot_id, range_.to_snapshot_id
    if end not in retained:
        return None
    if start is None:
        return "whole"
    for snapshot in ancestry(state, end).snapshots:
        if snapshot.snapshot_id == start or not is_harmless(snapshot):
            break
        if snapshot.parent_id == start and _columns_are_still(state, retained[end]):
            return "appends"
    return "difference" if start in retained else None


def _columns_are_still(state: TableState, snapshot: Snapshot) -> bool:
    then = () if snapshot.schema_id is None else state.schemas.get(snapshot.schema_id, ())
    now = {(column.field_id, column.name) for column in state.columns}
    return all((column.field_id, column.name) in now for column in then)


def ranges_to_reread(training_set: TrainingSet) -> tuple[SnapshotRange, ...]:
    """The newest range, and everything before it as one: a training tells apart no more than that.

    But where features look at earlier rows, each range by itself: its rows saw what was there at its own end.
    """
    newest, oldest = training_set.range, training_set.oldest_from_snapshot_id
    if len(training_set.range_ids) == 1 or newest.from_snapshot_id is None:
        return (newest,)
    if training_set.range_ends:
        starts = (*training_set.range_ends[1:], oldest)
        return tuple(
            newest.model_copy(update={"from_snapshot_id": start, "to_snapshot_id": end})
            for start, end in zip(starts, training_set.range_ends, strict=True)
        )
    earlier = newest.model_copy(
        update={"from_snapshot_id": oldest, "to_snapshot_id": newest.from_snapshot_id}
    )
    return (newest, earlier)


def check_features_kept(training_set: TrainingSet, state: TableState | None, version: str) -> None:
    """The feature table still has what was trained on.

    Raises:
        RefusedError: it is gone; says which snapshot, and why.
    """
    snapshot_id = training_set.feature_snapshot_id
    why = _lost(state, training_set.feature_table_uuid, snapshot_id)
    if why is not None:
        raise _gone(training_set, version, training_set.feature_table, snapshot_id, why, "--from source")


def check_source_kept(training_set: TrainingSet, state: TableState | None, version: str) -> None:
    """The source table still has what the features were computed from.

    Raises:
        RefusedError: it is gone; says which snapshot, and why.
    """
    for range_ in ranges_to_reread(training_set):
        same = state is not None and state.table_uuid == range_.table_uuid
        if state is not None and same and reading_of(state, range_) is not None:
            continue
        for snapshot_id in (range_.to_snapshot_id, range_.from_snapshot_id):
            why = _lost(state, range_.table_uuid, snapshot_id)
            if why is not None:
                raise _gone(training_set, version, range_.table, str(snapshot_id), why, "--from features")


def _lost(state: TableState | None, table_uuid: str, snapshot_id: str | None) -> str | None:
    if state is None:
        return "the table was dropped"
    if state.table_uuid != table_uuid:
        return f"the table was replaced: it is {state.table_uuid} now, was {table_uuid}"
    return None if any(s.snapshot_id == snapshot_id for s in state.snapshots) else "it has expired"


def _gone(  # noqa: PLR0913, PLR0917
    training_set: TrainingSet, version: str, table: str, snapshot_id: str, why: str, instead: str
) -> RefusedError:
    tag = main_tag(training_set.use_case, version)
    return RefusedError(
        f"the data behind version {version} is gone: snapshot {snapshot_id} cannot be read, {why}",
        where=table,
        fix=f"its tags {tag}* should hold it: was the version retired, or a tag removed? {instead} may still do",
    )
