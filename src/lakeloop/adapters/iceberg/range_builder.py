"""Which ranges a training needs, and the training set that they make: the same whatever engine computes them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace

from lakeloop.adapters.spark.staging import PublishingRefs, StagingKey, attempts, stage
from lakeloop.domain.errors import ConflictError, LakeloopError, RefusedError, UserError
from lakeloop.domain.feature_rows import LABEL_COLUMN
from lakeloop.domain.feature_table import (
    FEATURE_HASH_PROPERTY,
    NET_CHANGES,
    RANGE_FROM_PROPERTY,
    RANGE_PROPERTY,
    RANGE_READ_PROPERTY,
    RANGE_TO_PROPERTY,
    SOURCE_UUID_PROPERTY,
    BuiltRange,
    FeatureTable,
    built_ranges,
    feature_table,
    missing_columns,
    window_ranges,
)
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import SnapshotRange, TableState
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.settings import Settings

PUBLISH_ATTEMPTS = 5


class RangeBuilder(ABC):
    """Implements `lakeloop.ports.lake.FeatureBuilder` but for the computation itself.

    Args:
        settings: where to work.
        lake: metadata and label reads.
    """

    by_spark = True
    """Whether Spark computed the ranges, so that its seconds are told."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self._settings, self._lake = settings, lake

    @abstractmethod
    def append_ranges(
        self, use_case: UseCase, plan: Plan, table: FeatureTable, missing: list[SnapshotRange]
    ) -> dict[str, int]:
        """Append each range once, oldest first; label counts of the newest one that was computed here."""

    def build(self, use_case: UseCase, plan: Plan) -> TrainingSet:
        """Rows of the plan's range, and of the earlier ranges that the window policy asks for.

        Ranges that the feature table holds already are adopted; no engine starts when that is all of them.

        Raises:
            UserError: a feature or the label cannot be computed, or the training set has one class only.
            ConflictError: the table changed since it was planned.
            RefusedError: an earlier range that the window needs cannot be read any more.
        """
        range_ = _planned(plan)
        state = self._source(range_, plan)
        table = self._named(feature_table(use_case, {c.name: c.type for c in state.columns}))
        built = built_ranges(self._lake.table_state(table.name), table.hash)
        ranges = window_ranges(use_case.train.window, range_, built)
        _check_changes(plan, [built.get(r.range_id(table.hash)) for r in ranges[1:]])
        missing = [r for r in reversed(ranges) if r.range_id(table.hash) not in built]
        _check_readable(missing, range_, state)
        started, counts = time.monotonic(), dict[str, int]()
        if missing:
            counts = self.append_ranges(use_case, plan, table, missing)
        seconds = round(time.monotonic() - started, 3) if missing and self.by_spark else 0.0
        return self._training_set(use_case, plan, table, ranges, counts, seconds)

    def _source(self, range_: SnapshotRange, plan: Plan) -> TableState:
        state = self._lake.table_state(range_.table)
        now = () if state is None else tuple((c.field_id, c.name, c.type) for c in state.columns)
        if state is None or state.table_uuid != range_.table_uuid or (plan.columns and now != plan.columns):
            raise ConflictError(
                "the table changed since it was planned", where=range_.table, fix="run the step again"
            )
        return state

    def _named(self, table: FeatureTable) -> FeatureTable:
        """A feature that changed its type cannot share the table: that definition gets one of its own."""
        state = self._lake.table_state(table.name)
        existing = [] if state is None else [(c.name, c.type) for c in state.columns]
        if missing_columns(table, existing) is None:
            return replace(table, name=f"{table.name}_{table.hash[:8]}")
        return table

    def _training_set(  # noqa: PLR0913, PLR0917
        self,
        use_case: UseCase,
        plan: Plan,
        table: FeatureTable,
        ranges: tuple[SnapshotRange, ...],
        counts: dict[str, int],
        seconds: float,
    ) -> TrainingSet:
        state = self._lake.table_state(table.name)
        built = built_ranges(state, table.hash)
        used = [built[r.range_id(table.hash)] for r in ranges]
        if state is None:
            raise LakeloopError("the feature table is gone", where=table.name, fix="run the step again")
        order = list(built)
        last = max(used, key=lambda b: order.index(b.range_id))
        if not (counts.get("positives") and counts.get("negatives")):
            self._check_classes(table, last, used, use_case)
        newest = ranges[0]
        return TrainingSet(
            use_case=use_case.name,
            range=newest,
            snapshots=tuple(s.snapshot_id for s in plan.snapshots),
            schema_id=plan.schema_id,
            feature_hash=table.hash,
            feature_table=table.name,
            feature_table_uuid=state.table_uuid,
            feature_snapshot_id=last.snapshot_id,
            range_ids=tuple(b.range_id for b in used),
            newest_range_id=used[0].range_id,
            rows=sum(b.rows for b in used),
            newest_rows=used[0].rows,
            watermark_columns=plan.columns,
            range_ends=tuple(r.to_snapshot_id for r in ranges) if table.past else (),
            window_from_snapshot_id=ranges[-1].from_snapshot_id if len(ranges) > 1 else None,
            spark_seconds=seconds,
        )

    def _check_classes(
        self, table: FeatureTable, last: BuiltRange, used: list[BuiltRange], use_case: UseCase
    ) -> None:
        """Read labels until both classes were seen: usually the first batch."""
        ids = [b.range_id for b in used]
        seen: set[float] = set()
        for batch in self._lake.read_batches(table.name, last.snapshot_id, [LABEL_COLUMN], ids):
            seen |= set(batch.column(0).unique().to_pylist())
            if len(seen) > 1:
                return
        what = f"only the class {seen.pop():g}" if seen else "no labelled row"
        raise UserError(
            f"the training set has {what} in label {use_case.label.column!r}",
            where=use_case.table.name,
            fix="wait for more rows (snapshots.min_rows), or widen train.window",
        )


class RangeAppends:
    """Appends to one feature table, each range once: looked for, staged on a branch, published if main is still there.

    Args:
        lake: metadata.
        table: the feature table.
        plan: what is read.
    """

    def __init__(self, lake: Lake, table: FeatureTable, plan: Plan) -> None:
        self._lake, self._table, self._plan = lake, table, plan

    def append_once(
        self,
        refs: PublishingRefs,
        range_: SnapshotRange,
        write: Callable[[SnapshotRange, str], dict[str, int]],
    ) -> dict[str, int]:
        """Append a range unless main holds it; label counts where it was computed here.

        Args:
            refs: branches of the feature table.
            range_: whose rows are wanted.
            write: computes them and appends them to the branch that it is given.

        Raises:
            ConflictError: other writers were faster, `PUBLISH_ATTEMPTS` times.
        """
        range_id = range_.range_id(self._table.hash)
        key = StagingKey(RANGE_PROPERTY, range_id, f"lakeloop_range_{range_id}")
        counts: dict[str, int] = {}
        for _ in range(PUBLISH_ATTEMPTS):
            state = self._lake.table_state(self._table.name)
            if range_id in built_ranges(state, self._table.hash):
                refs.refresh()
                refs.drop(*attempts(refs, key))
                return {}
            main = state.current_snapshot_id if state is not None else None
            staged = stage(refs, key, main, lambda branch: counts.update(write(range_, branch)))
            if staged is None:
                continue
            record = self._record(range_, range_id, refs.summary(staged.snapshot_id))
            if refs.publish(staged, attempts(refs, key), record):
                return counts
        raise ConflictError(
            f"main moved {PUBLISH_ATTEMPTS} times while range {range_id} was computed",
            where=self._table.name,
            fix="run the step again when the other writers are done",
        )

    def properties(self, range_: SnapshotRange) -> dict[str, str]:
        """What the summary of the range's snapshot says."""
        return {
            RANGE_PROPERTY: range_.range_id(self._table.hash),
            RANGE_FROM_PROPERTY: range_.from_snapshot_id or "",
            RANGE_TO_PROPERTY: range_.to_snapshot_id,
            FEATURE_HASH_PROPERTY: self._table.hash,
            SOURCE_UUID_PROPERTY: range_.table_uuid,
            RANGE_READ_PROPERTY: self._read(range_),
        }

    def _record(self, range_: SnapshotRange, range_id: str, summary: Mapping[str, str]) -> dict[str, str]:
        """The table property that keeps the range known when its snapshot has expired."""
        rows = int(summary.get("added-records", "0"))
        start, end = range_.from_snapshot_id, range_.to_snapshot_id
        built = BuiltRange(range_id, start, end, "", rows, self._read(range_))
        return dict([built.record(self._table.hash)])

    def _read(self, range_: SnapshotRange) -> str:
        net = self._plan.action == "changelog" and range_ == self._plan.range
        return NET_CHANGES if net and range_.from_snapshot_id is not None else ""


def _planned(plan: Plan) -> SnapshotRange:
    if plan.range is None or plan.action in {"nothing", "refuse"}:
        raise LakeloopError(f"a plan to {plan.action} has no training set", where="plan", fix="plan again")
    return plan.range


def _check_changes(plan: Plan, earlier: list[BuiltRange | None]) -> None:
    """Net changes are new rows; what was deleted or updated may still stand in the rows of ranges before them."""
    net = [plan.action == "changelog", *(b is not None and b.read == NET_CHANGES for b in earlier)]
    if any(net[:-1]):
        raise RefusedError(
            "rows of earlier ranges were deleted or changed, and the window trains on earlier ranges",
            where=plan.range.table if plan.range else "",
            fix="set train.window.policy: increment, or snapshots.on_delete and on_overwrite: rebuild",
        )


def _check_readable(missing: list[SnapshotRange], newest: SnapshotRange, state: TableState) -> None:
    """An earlier range is read at its end: that snapshot must still be there."""
    retained = {s.snapshot_id for s in state.snapshots}
    for range_ in missing:
        if range_ != newest and range_.to_snapshot_id not in retained:
            raise RefusedError(
                f"rows up to snapshot {range_.to_snapshot_id} cannot be read any more: it has expired",
                where=range_.table,
                fix="set train.window.policy: increment, or let a rebuild start anew",
            )
