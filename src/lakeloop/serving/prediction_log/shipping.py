"""Segments -> the Iceberg table, each exactly once: looked for, appended, removed, under the segment's own lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lakeloop.domain.prediction_table import schema, table_name
from lakeloop.ports.row_log import RowLog
from lakeloop.serving.prediction_log.rows import prediction_rows
from lakeloop.serving.prediction_log.segments import SUFFIX, frames_end, read_segment
from lakeloop.serving.structured_log import log

COMMIT_BYTES = 64 * 2**20
"""Segments of about so many bytes go into one commit."""
TORN = ".torn"


def ship(folder: Path, rows: RowLog) -> int:
    """Bring every complete segment into its table; how many predictions were new.

    Raises:
        ConflictError: other writers were faster too many times; the segments stay.
        LakeloopError: the catalog does not answer; the segments stay.
    """
    shipped = 0
    waiting = sorted(folder.glob(f"*{SUFFIX}"))
    while waiting:
        with contextlib.ExitStack() as locks:
            taken, size = [], 0
            while waiting and size < COMMIT_BYTES:
                path = waiting.pop(0)
                content = locks.enter_context(_locked(path))
                if content is not None:
                    taken.append((path, content))
                    size += len(content)
            shipped += _append(taken, rows)
            for path, content in taken:
                _remove(path, content)
    return shipped


def _append(taken: list[tuple[Path, bytes]], rows: RowLog) -> int:
    import pyarrow as pa

    found = [row for _, content in taken for row in prediction_rows(read_segment(content))]
    shipped = 0
    for model in sorted({row["model_name"] for row in found}):
        mine = pa.Table.from_pylist([row for row in found if row["model_name"] == model], schema=schema())
        new = set(rows.append(table_name(model), mine))
        shipped += sum(1 for row in found if row["model_name"] == model and row["_piece_id"] in new)
    return shipped


def _remove(path: Path, content: bytes) -> None:
    rest = len(content) - frames_end(content)
    if rest <= 0:
        path.unlink()
        return
    # What is torn was not acknowledged; kept all the same, so that a broken disk does not go unnoticed.
    path.rename(path.with_suffix(TORN))
    log("a segment ends in a torn record", "warning", segment=path.stem, bytes=rest)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bytes | None]:
    """A segment's content while nobody writes or ships it; None where somebody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Another shipper may have removed it between the opening and the lock.
        yield path.read_bytes() if path.exists() else None
    finally:
        os.close(descriptor)
