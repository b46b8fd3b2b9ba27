"""Tidying up: look everywhere, decide what may go, and remove it, each thing looked at again before it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

from lakeloop.domain.base import Frozen
from lakeloop.domain.pins import tags_of_other_trainings
from lakeloop.domain.published_batches import history_is_cut, landed_batches
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.tidying import (
    Left,
    Removal,
    StoredFolder,
    dead_branches,
    dead_scratch_table,
    dead_snapshots,
    dead_training_tags,
    is_scratch,
    old_runs,
    orphan_files,
    staged_batches,
)
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.batch_records import BatchRecords
from lakeloop.ports.housekeeping import FolderKeeper, TableKeeper
from lakeloop.ports.lake import Lake


class TidyPlan(Frozen):
    """What may go, and what is left alone."""

    removals: tuple[Removal, ...] = ()
    left: tuple[Left, ...] = ()


@dataclass(frozen=True)
class Places:
    """Where litter may lie.

    `goes_on` says whether a run may still be under way, `holder` which run holds a use case, its lease not run out.
    """

    lake: Lake
    records: BatchRecords
    tables: TableKeeper
    folders: FolderKeeper
    staging_uri: str
    runs_uri: str
    journal_uri: str
    goes_on: Callable[[str], bool]
    holder: Callable[[str], str | None]


def plan_tidying(
    places: Places, use_cases: Iterable[UseCase], cutoff_ms: int, runs_cutoff_ms: int | None
) -> TidyPlan:
    """All that may go, each thing once.

    Args:
        places: where to look.
        use_cases: whose tables and staging.
        cutoff_ms: what has changed since stays, milliseconds since the epoch.
        runs_cutoff_ms: the same for run folders and journals; None leaves all of them.

    Raises:
        LakeloopError: the catalog or the storage does not answer.
    """
    plans = [plan_use_case(places, use_case, cutoff_ms) for use_case in use_cases]
    plans += [plan_runs(places, runs_cutoff_ms)] if runs_cutoff_ms is not None else []
    return _together(plans)


def plan_use_case(places: Places, use_case: UseCase, cutoff_ms: int) -> TidyPlan:
    """What dead attempts at a use case left in its table, its feature tables and staging.

    Raises:
        LakeloopError: the catalog or the storage does not answer.
    """
    table = use_case.table.name
    namespace = table.rpartition(".")[0]
    features = f"{table}__{use_case.name}_features"
    tables = places.tables.tables(namespace)
    names = [t for t in tables if t == table or t.startswith(features)]
    plans = [_plan_table(places, name, use_case.name, cutoff_ms) for name in names]
    plans += [_plan_scratch(places, name, cutoff_ms) for name in tables if is_scratch(name, use_case)]
    folders = places.folders.folders(_batches_uri(places, use_case.name))
    staged = staged_batches(use_case.name, folders, _landed(places, table), cutoff_ms)
    return _together([*plans, TidyPlan(removals=tuple(staged))])


def plan_runs(places: Places, cutoff_ms: int) -> TidyPlan:
    """Run folders and journals of runs that ended before the cutoff.

    Raises:
        LakeloopError: a place cannot be listed.
    """
    runs = places.folders.folders(places.runs_uri)
    here = {f.name for f in runs}

    def goes_on(folder: str) -> bool:
        run_id = unquote(folder)
        return run_id in here and places.goes_on(run_id)

    known: tuple[StoredFolder, ...] = places.folders.folders(places.journal_uri)
    found = old_runs("run_folder", runs, goes_on, cutoff_ms) + old_runs("journal", known, goes_on, cutoff_ms)
    return TidyPlan(removals=tuple(found))


def carry_out(places: Places, plan: TidyPlan, tell: Callable[[str], None]) -> tuple[Removal, ...]:
    """Remove what the plan names and is still as it was; what really went.

    Branches and tags go first, then the snapshots that only branches held; the files of these are found by the next
    tidying.

    Raises:
        LakeloopError: the catalog or the storage does not answer; what went before stays gone.
    """
    done: list[Removal] = []
    for removal in plan.removals:
        if removal.kind not in {"tag", "snapshot", "data_file"} and _remove(places, removal):
            tell(f"removed {removal.kind} {removal.name}")
            done.append(removal)
    for kind, act in (
        ("tag", partial(_unpin, places)),
        ("snapshot", places.tables.expire),
        ("data_file", places.tables.delete_files),
    ):
        for table in dict.fromkeys(r.place for r in plan.removals if r.kind == kind):
            going = [r for r in plan.removals if r.kind == kind and r.place == table]
            count = act(table, [r.name for r in going])
            tell(f"removed {count} of {len(going)} {kind}s of {table}")
            done += going if count == len(going) else []
    return tuple(done)


def _plan_table(places: Places, table: str, use_case: str, cutoff_ms: int) -> TidyPlan:
    state = places.lake.table_state(table)
    if state is None:
        return TidyPlan()
    branches, left = _branches(places, state, cutoff_ms)
    tags = _training_tags(places, state, use_case, cutoff_ms)
    snapshots = dead_snapshots(state, [r.name for r in branches], cutoff_ms)
    files, left_files = orphan_files(places.tables.files(table), cutoff_ms)
    return TidyPlan(removals=(*branches, *tags, *snapshots, *files), left=(*left, *left_files))


def _training_tags(places: Places, state: TableState, use_case: str, cutoff_ms: int) -> list[Removal]:
    if not tags_of_other_trainings(state.refs, use_case, None):
        return []
    then = places.tables.state_before(state.name, cutoff_ms)
    return dead_training_tags(state, then, use_case, places.holder(use_case), cutoff_ms)


def _unpin(places: Places, table: str, tags: Sequence[str]) -> int:
    if places.lake.table_state(table) is None:
        return 0
    places.lake.unpin(table, *tags)
    return len(tags)


def _plan_scratch(places: Places, table: str, cutoff_ms: int) -> TidyPlan:
    state = places.lake.table_state(table)
    if state is None:
        return TidyPlan()
    then = places.tables.state_before(table, cutoff_ms)
    return TidyPlan(removals=tuple(dead_scratch_table(state, then)))


def _branches(places: Places, state: TableState, cutoff_ms: int) -> tuple[list[Removal], list[Left]]:
    branches, left = dead_branches(state, None, cutoff_ms)
    if not left:
        return branches, left
    # Only a branch without anything staged needs the past, which is one more file to read.
    return dead_branches(state, places.tables.state_before(state.name, cutoff_ms), cutoff_ms)


def _landed(places: Places, table: str) -> frozenset[str]:
    state = places.lake.table_state(table)
    kept = places.records.of(state.table_uuid) if state is not None and history_is_cut(state) else ()
    return frozenset(landed_batches(state, kept))


def _remove(places: Places, removal: Removal) -> bool:
    match removal.kind:
        case "branch":
            return places.tables.drop_branch(removal.place, removal.name, removal.snapshot_id or "")
        case "scratch_table":
            return places.tables.purge(removal.place, removal.name)
        case "staged_batch":
            return places.folders.remove(_batches_uri(places, removal.place), removal.name)
        case "run_folder":
            return not places.goes_on(removal.name) and places.folders.remove(places.runs_uri, removal.name)
        case "journal":
            return places.folders.remove(places.journal_uri, removal.name)
    return False


def _batches_uri(places: Places, use_case: str) -> str:
    return f"{places.staging_uri.rstrip('/')}/batches/{use_case}"


def _together(plans: Iterable[TidyPlan]) -> TidyPlan:
    found = list(plans)
    once = {(r.kind, r.place, r.name): r for plan in found for r in plan.removals}
    left = dict.fromkeys(item for plan in found for item in plan.left)
    return TidyPlan(removals=tuple(once.values()), left=tuple(left))
