"""Which batch this is: decided from the table's history and what lies in the source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lakeloop.domain.base import canonical_json, sha256_hex
from lakeloop.domain.batch import Batch, BatchOptions
from lakeloop.domain.errors import UserError
from lakeloop.domain.published_batches import BatchRecord, knows_every_batch, landed_batches, main_history
from lakeloop.domain.snapshots import Ancestry, TableState
from lakeloop.domain.source_files import SourceFile
from lakeloop.domain.use_case import FilesSource, UseCase


def next_number(state: TableState | None, kept: Sequence[BatchRecord] = ()) -> int:
    """One more than the largest batch number that main holds; 1 for a table without one.

    Args:
        state: the table; None for no table.
        kept: records of batches whose snapshots may have expired.

    Raises:
        UserError: the history is cut off, and neither it nor a record has a batch number.
    """
    known = [r.number for r in landed_batches(state, kept).values() if r.number is not None]
    if not known and not knows_every_batch(state):
        raise UserError(
            "the retained snapshots do not tell the number of the last batch",
            where=state.name if state else "",
            fix="give the batch's number",
        )
    return max(known, default=0) + 1


def landed_files(state: TableState | None, kept: Sequence[BatchRecord] = ()) -> dict[str, SourceFile]:
    """Files that main holds by its retained history and by the records beyond it, by URI."""
    return {f.uri: f for record in landed_batches(state, kept).values() for f in record.source_files}


def suspects(found: Iterable[SourceFile], landed: dict[str, SourceFile]) -> list[SourceFile]:
    """Landed files whose size or time is no longer that of the landing: their bytes have to be looked at."""
    return [f for f in found if f.uri in landed and landed[f.uri].sha256 and _differs(f, landed[f.uri])]


def _differs(now: SourceFile, then: SourceFile) -> bool:
    return (now.size, now.mtime_ns) != (then.size, then.mtime_ns)


def refuse_changed(now: SourceFile, then: SourceFile) -> None:
    """A file is taken once.

    Raises:
        UserError: its bytes differ from those that landed.
    """
    if now.sha256 != then.sha256:
        raise UserError(
            "the file landed already, and was changed since",
            where=now.uri,
            fix="put the old bytes back, and give the new rows a new name",
        )


def new_files(
    found: Sequence[SourceFile],
    state: TableState | None,
    source: FilesSource,
    options: BatchOptions,
    kept: Sequence[BatchRecord] = (),
) -> tuple[tuple[SourceFile, ...], str]:
    """Files of this batch, in the order of their URIs, and a note for people.

    Where snapshots expired before anything recorded their files, a file counts as landed when its name comes
    before one that is known to have landed and it is older than the oldest snapshot left.

    Raises:
        UserError: expired snapshots leave no file name to go by, and the caller names no batch.
    """
    landed, history, complete = landed_files(state, kept), main_history(state), knows_every_batch(state)
    unknown = [f for f in found if f.uri not in landed]
    assumed = {f.uri for f in unknown if not complete and _before(f, landed, history)}
    if not complete and not landed and options.batch_id is None:
        raise UserError(
            "the retained snapshots do not tell which files have landed",
            where=state.name if state else "",
            fix="move landed files away from source.path and name the batch with a batch id",
        )
    fresh = [f for f in unknown if f.uri not in assumed]
    chosen = tuple(fresh[:1] if source.per_batch == "file" else fresh)
    return chosen, _note(len(found), len(fresh), len(chosen), len(assumed))


def _before(file: SourceFile, landed: dict[str, SourceFile], history: Ancestry) -> bool:
    oldest_ms = history.snapshots[-1].timestamp_ms if history.snapshots else 0
    return bool(landed) and file.uri < max(landed) and (file.mtime_ns or 0) < oldest_ms * 1_000_000


def _note(found: int, fresh: int, chosen: int, assumed: int) -> str:
    note = f"{chosen} of {fresh} new files" if chosen else f"no new file: all {found} have landed"
    return note + (f"; {assumed} older files are taken as landed in expired snapshots" if assumed else "")


def missing_columns(use_case: UseCase, file: SourceFile, columns: Iterable[str]) -> None:
    """Every declared column is in the file; JSON lines may leave a null out.

    Raises:
        UserError: names the file and the columns.
    """
    present = set(columns)
    missing = [c for c in use_case.table.columns if c not in present]
    if missing and getattr(use_case.source, "format", "") != "json":
        raise UserError(
            f"no column {', '.join(map(repr, missing))}; it has {', '.join(sorted(present))}",
            where=file.uri,
            fix="correct the file, or table.columns",
        )


def file_batch(
    files: Sequence[SourceFile], source: FilesSource, number: int | None, batch_id: str | None, note: str
) -> Batch:
    """The batch of the files, identified by their names and bytes."""
    content = sha256_hex(canonical_json([[f.name, f.sha256] for f in files]))[:20]
    return Batch(
        kind="files",
        batch_id=(batch_id or content) if files else None,
        number=number if files else None,
        files=tuple(f.uri for f in files),
        format=source.format,
        note=note,
        source_files=tuple(files),
    )


def followed_table(use_case: UseCase) -> Batch:
    """Nothing to land: somebody else writes the table."""
    return Batch(kind="table", batch_id=None, note=f"{use_case.table.name} is written elsewhere")


def nothing_to_land(use_case: UseCase) -> Batch:
    """The caller wants a training on the rows that the table holds already."""
    return Batch(kind="table", batch_id=None, note=f"no batch was asked for: {use_case.table.name} as it is")
