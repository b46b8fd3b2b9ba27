"""What dead attempts left behind, and may go. Pure: from what is there to a list of removals with reasons.

In doubt a thing stays. Nothing that a branch or tag reaches is ever removed, nothing younger than the age, and no
file that any snapshot of the table's metadata names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.batch import BATCH_ID_PROPERTY
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import RANGE_PROPERTY
from lakeloop.domain.pins import tags_of_other_trainings
from lakeloop.domain.rereading import SCRATCH_MARK
from lakeloop.domain.snapshots import Snapshot, TableState, ancestry
from lakeloop.domain.time_travel import moment
from lakeloop.domain.use_case import UseCase

ATTEMPT_BRANCHES = ("lakeloop_batch_", "lakeloop_range_")
_SCRATCH_END = re.compile(r"[0-9a-f]{12}")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGE = re.compile(r"(\d{1,6})([smhd])")

RemovalKind = Literal[
    "branch", "tag", "snapshot", "data_file", "scratch_table", "staged_batch", "run_folder", "journal"
]


class Removal(Frozen):
    """One thing that goes, and why it may."""

    kind: RemovalKind
    place: str = Field(description="The table; or what holds the thing.")
    name: str = Field(description="Branch, tag, snapshot id, path, batch id or pipeline run id.")
    reason: str
    snapshot_id: str | None = Field(default=None, description="Where a branch points: it stays if it moved.")
    bytes: int | None = None


class Left(Frozen):
    """What was left alone although it may be litter, and why."""

    place: str
    reason: str


class StoredFile(Frozen):
    """A file below a table's data folder."""

    path: str
    size: int
    modified_ms: int


class TableFiles(Frozen):
    """What lies in a table's data folder, and what its metadata names; `obstacle`: why neither can be relied on."""

    table: str
    stored: tuple[StoredFile, ...] = ()
    referenced: frozenset[str] = Field(default=frozenset(), description="By any manifest, also as deleted.")
    live: frozenset[str] = Field(default=frozenset(), description="Of these, what some snapshot reads.")
    obstacle: str | None = None


class StoredFolder(Frozen):
    """A folder of staging, runs or journal: `modified_ms` is that of its newest file."""

    name: str
    modified_ms: int
    bytes: int | None = None


def age_seconds(text: str) -> int:
    """An age such as 12h, in seconds.

    Raises:
        UserError: it is none.
    """
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise UserError(f"{text!r} is no age", where="tidy", fix="write e.g. 90s, 30m, 12h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def reachable(state: TableState, but: Collection[str] = ()) -> frozenset[str]:
    """Snapshots on the way to main's head, to any branch or to any tag, without the refs named in `but`."""
    heads = {r.snapshot_id for r in state.refs if r.name not in but}
    heads |= {state.current_snapshot_id} if state.current_snapshot_id else set()
    by_id = {s.snapshot_id: s for s in state.snapshots}
    found: set[str] = set()
    for head in heads:
        at: str | None = head
        while at is not None and at in by_id and at not in found:
            found.add(at)
            at = by_id[at].parent_id
    return frozenset(found | heads)


def dead_branches(
    state: TableState, then: TableState | None, cutoff_ms: int
) -> tuple[list[Removal], list[Left]]:
    """Branches of attempts that have not moved since the cutoff.

    Args:
        state: the table now.
        then: its metadata as it was at the cutoff; None where that is not known any more, or there was none.
        cutoff_ms: what has not changed since, milliseconds since the epoch, is old enough.
    """
    before = (
        {r.name: r.snapshot_id for r in then.refs} if then and then.table_uuid == state.table_uuid else {}
    )
    by_id, main = (
        {s.snapshot_id: s for s in state.snapshots},
        {s.snapshot_id for s in ancestry(state).snapshots},
    )
    removals, left = list[Removal](), list[Left]()
    for ref in state.refs:
        if ref.kind != "branch" or not ref.name.startswith(ATTEMPT_BRANCHES):
            continue
        head = by_id.get(ref.snapshot_id)
        # What was staged tells its own time; an empty branch begins at an old head of main however young it is.
        staged = head is not None and ref.snapshot_id not in main and head.timestamp_ms <= cutoff_ms
        if before.get(ref.name) == ref.snapshot_id or staged:
            reason = f"an attempt's branch, unchanged since {moment(cutoff_ms)}"
            removals.append(
                Removal(
                    kind="branch", place=state.name, name=ref.name, reason=reason, snapshot_id=ref.snapshot_id
                )
            )
        else:
            left.append(
                Left(place=f"{state.name} branch {ref.name}", reason="it may be younger than the age")
            )
    return removals, left


def dead_training_tags(
    state: TableState, then: TableState | None, use_case: str, holder: str | None, cutoff_ms: int
) -> list[Removal]:
    """Tags by which trainings of dead runs still hold snapshots, there since the cutoff.

    Args:
        state: the table now.
        then: its metadata as it was at the cutoff; None where that is not known any more, or there was none.
        use_case: whose trainings.
        holder: the run that holds the use case now: its tags stay; None where nobody does.
        cutoff_ms: milliseconds since the epoch.
    """
    if then is None or then.table_uuid != state.table_uuid:
        return []
    before = {r.name for r in then.refs}
    reason = f"held for a training that has ended or died, since before {moment(cutoff_ms)}"
    return [
        Removal(kind="tag", place=state.name, name=tag, reason=reason)
        for tag in tags_of_other_trainings(state.refs, use_case, holder)
        if tag in before
    ]


def dead_snapshots(state: TableState, without: Collection[str], cutoff_ms: int) -> list[Removal]:
    """Staged snapshots of dead attempts: lakeloop's own, never main's, and held by no ref once `without` are gone.

    Snapshots that main once pointed at (rolled back) and those of others (staged commits) are not ours to expire.
    """
    held = reachable(state, without)
    was_main = {m.snapshot_id for m in state.log}
    return [
        Removal(
            kind="snapshot",
            place=state.name,
            name=s.snapshot_id,
            reason=f"staged by an attempt that ended without publishing it, {moment(s.timestamp_ms)}",
        )
        for s in state.snapshots
        if s.snapshot_id not in held
        and s.snapshot_id not in was_main
        and s.timestamp_ms <= cutoff_ms
        and _is_staged(s)
    ]


def _is_staged(snapshot: Snapshot) -> bool:
    return BATCH_ID_PROPERTY in snapshot.summary or RANGE_PROPERTY in snapshot.summary


def is_scratch(table: str, use_case: UseCase) -> bool:
    """Whether the table is one that a replay of this use case computes into."""
    start, mark, rest = table.rpartition(SCRATCH_MARK)
    return (
        start == f"{use_case.table.name}__{use_case.name}"
        and bool(mark)
        and bool(_SCRATCH_END.fullmatch(rest))
    )


def dead_scratch_table(state: TableState, then: TableState | None) -> list[Removal]:
    """A replay's table that has not changed since the cutoff: the replay is dead. One with a tag is somebody's.

    Args:
        state: the table now.
        then: its metadata as it was at the cutoff; None where there was none.
    """
    if then != state or any(r.kind == "tag" for r in state.refs):
        return []
    reason = "a replay computed into it, and ended without dropping it"
    return [Removal(kind="scratch_table", place=state.name, name=state.table_uuid, reason=reason)]


def orphan_files(files: TableFiles, cutoff_ms: int) -> tuple[list[Removal], list[Left]]:
    """Old files in a table's data folder that no snapshot in its metadata names.

    Where a named file is not among those found, names and paths do not compare (links, another spelling, a table
    whose files lie elsewhere): then nothing is removed at all.
    """
    where = f"{files.table} data files"
    if files.obstacle:
        return [], [Left(place=where, reason=files.obstacle)]
    stored = {f.path for f in files.stored}
    missing = files.live - stored
    if missing:
        reason = f"{len(missing)} files that snapshots name are not where they should be, e.g. {min(missing)}"
        return [], [Left(place=where, reason=reason)]
    loose = {f.path: f for f in files.stored if f.path not in files.referenced and f.modified_ms <= cutoff_ms}
    going = [f for path, f in loose.items() if _may_go(path, stored, loose)]
    return [
        Removal(
            kind="data_file",
            place=files.table,
            name=f.path,
            reason=f"no snapshot names it; written {moment(f.modified_ms)}",
            bytes=f.size,
        )
        for f in going
    ], []


def _may_go(path: str, stored: Collection[str], loose: Collection[str]) -> bool:
    """Hadoop keeps the checksum of `X` in `.X.crc`: it goes with X. Other hidden files are not a writer's data."""
    folder, _, name = path.rpartition("/")
    if name.startswith(".") and name.endswith(".crc"):
        owner = f"{folder}/{name[1:-4]}"
        return owner in loose or owner not in stored
    return not name.startswith((".", "_"))


def staged_batches(
    use_case: str, folders: Iterable[StoredFolder], landed: Collection[str], cutoff_ms: int
) -> list[Removal]:
    """Generated files of batches that the table holds by now; what has not landed may still be wanted."""
    return [
        Removal(
            kind="staged_batch",
            place=use_case,
            name=f.name,
            reason="the batch has landed; its rows are in the table",
            bytes=f.bytes,
        )
        for f in folders
        if f.name in landed and f.modified_ms <= cutoff_ms
    ]


def old_runs(
    kind: Literal["run_folder", "journal"],
    folders: Sequence[StoredFolder],
    goes_on: Callable[[str], bool],
    cutoff_ms: int,
) -> list[Removal]:
    """Folders of runs that have ended long ago."""
    return [
        Removal(
            kind=kind,
            place="runs" if kind == "run_folder" else "journal",
            name=f.name,
            reason=f"unchanged since {moment(f.modified_ms)}",
            bytes=f.bytes,
        )
        for f in folders
        if f.modified_ms <= cutoff_ms and not goes_on(f.name)
    ]
