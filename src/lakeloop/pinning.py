"""Pins of a training under way: from its plan to its outcome, nobody's expiry takes what it reads.

Each caller holds the use case, so that a training tag of another run is one of a dead run, or of one that was taken
over and will promote nothing: it goes when the next training begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lakeloop.domain.errors import ConflictError
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.pins import (
    Pin,
    plan_pins,
    tags_of_other_trainings,
    tags_of_training,
    training_set_pins,
)
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import TableState
from lakeloop.ports.lake import Lake


def pin_plan(lake: Lake, use_case: str, run_id: str, plan: Plan) -> None:
    """Hold all that the plan reads of the source table, in one commit.

    Raises:
        ConflictError: some of it has expired since it was planned.
    """
    if plan.range is None:
        return
    state = lake.table_state(plan.range.table)
    retained = _retained(state)
    made = plan_pins(use_case, run_id, plan, retained)
    _check_there(made, retained)
    _pin(lake, made)
    _drop_others(lake, state, use_case, run_id)


def pin_training_set(lake: Lake, run_id: str, training_set: TrainingSet) -> None:
    """Hold the feature rows as they are read from now on, and the start of the window.

    Raises:
        LakeloopError: the catalog does not answer.
    """
    retained = _retained(lake.table_state(training_set.range.table))
    _pin(lake, training_set_pins(run_id, training_set, retained))
    _drop_others(lake, lake.table_state(training_set.feature_table), training_set.use_case, run_id)


def unpin_training(lake: Lake, use_case: str, run_id: str, *tables: str) -> None:
    """Let go of all that the run's training held in these tables.

    It is refused or rejected, or a version holds what it needs by itself.

    Raises:
        LakeloopError: the catalog does not answer.
    """
    for table in tables:
        state = lake.table_state(table)
        tags = tags_of_training(state.refs, use_case, run_id) if state else ()
        if tags:
            lake.unpin(table, *tags)


def _pin(lake: Lake, made: Iterable[Pin]) -> None:
    by_table: dict[str, dict[str, str]] = {}
    for pin in made:
        by_table.setdefault(pin.table, {})[pin.tag] = pin.snapshot_id
    for table, snapshots in by_table.items():
        lake.pin_all(table, snapshots)


def _drop_others(lake: Lake, state: TableState | None, use_case: str, run_id: str) -> None:
    tags = tags_of_other_trainings(state.refs, use_case, run_id) if state else ()
    if state is not None and tags:
        lake.unpin(state.name, *tags)


def _retained(state: TableState | None) -> frozenset[str]:
    return frozenset(s.snapshot_id for s in state.snapshots) if state else frozenset()


def _check_there(made: Iterable[Pin], retained: Collection[str]) -> None:
    gone = [pin for pin in made if pin.snapshot_id not in retained]
    if gone:
        raise ConflictError(
            f"snapshot {gone[0].snapshot_id} has expired since it was planned",
            where=gone[0].table,
            fix="run the step again: it plans anew",
        )
