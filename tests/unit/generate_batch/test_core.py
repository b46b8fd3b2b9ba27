"""Which batch is next: from the table's history and the files that lie there."""

from __future__ import annotations

import pytest

from components.generate_batch import core
from lakeloop.domain.batch import (
    BATCH_ID_PROPERTY,
    BATCH_NUMBER_PROPERTY,
    SOURCE_FILES_PROPERTY,
    BatchOptions,
)
from lakeloop.domain.errors import UserError
from lakeloop.domain.published_batches import SINCE_PROPERTY, BatchRecord
from lakeloop.domain.snapshots import Snapshot, TableState
from lakeloop.domain.source_files import SourceFile, parse_source_files, source_files_property
from lakeloop.domain.use_case import FilesSource

ALL, ONE = (FilesSource(kind="files", path="x", per_batch=p) for p in ("all", "file"))
OPTIONS = BatchOptions()


def file(name: str, mtime_ns: int = 5_000_000, sha256: str = "s") -> SourceFile:
    return SourceFile(uri=f"file:///in/{name}", size=3, mtime_ns=mtime_ns, sha256=sha256)


def history(*summaries: dict[str, str], expired: bool = False) -> TableState:
    snapshots = [
        Snapshot(
            snapshot_id=str(i),
            parent_id=str(i - 1) if i > 1 or expired else None,
            timestamp_ms=10 * i,
            summary={BATCH_ID_PROPERTY: f"b{i}", **summary} if summary else {},
        )
        for i, summary in enumerate(summaries, 1)
    ]
    head = snapshots[-1].snapshot_id if snapshots else None
    return TableState(name="a.b", table_uuid="u", current_snapshot_id=head, snapshots=tuple(snapshots))


def landed(*names: str) -> dict[str, str]:
    return {SOURCE_FILES_PROPERTY: source_files_property(tuple(file(n) for n in names))}


def test_the_next_number_follows_the_largest_in_mains_history() -> None:
    assert core.next_number(None) == 1
    assert core.next_number(history()) == 1
    assert core.next_number(history({})) == 1
    numbered = history(
        {BATCH_NUMBER_PROPERTY: "1"}, {BATCH_NUMBER_PROPERTY: "7"}, {}, {BATCH_NUMBER_PROPERTY: "3"}
    )
    assert core.next_number(numbered) == 8


def test_a_batch_on_another_branch_does_not_count() -> None:
    state = history({BATCH_NUMBER_PROPERTY: "1"}, {BATCH_NUMBER_PROPERTY: "2"})
    assert core.next_number(state.model_copy(update={"current_snapshot_id": "1"})) == 2


def test_a_cut_off_history_without_a_number_asks_for_one() -> None:
    assert core.next_number(history({BATCH_NUMBER_PROPERTY: "4"}, expired=True)) == 5
    with pytest.raises(UserError, match="number of the last batch"):
        core.next_number(history({}, expired=True))


def recorded(batch_id: str, number: int, *names: str) -> BatchRecord:
    return BatchRecord(
        table_uuid="u",
        batch_id=batch_id,
        snapshot_id=f"gone {number}",
        sequence_number=number,
        published_at_ms=number,
        number=number,
        source_files=tuple(file(n) for n in names),
    )


def test_records_tell_the_number_and_the_files_that_expired_snapshots_took_with_them() -> None:
    cut = history({}, expired=True).model_copy(update={"properties": {SINCE_PROPERTY: "start"}})
    kept = [recorded("x", 6, "a"), recorded("y", 7, "c")]
    assert core.next_number(cut, kept) == 8
    found = [file("a", mtime_ns=1), file("b", mtime_ns=1), file("c")]
    chosen, note = core.new_files(found, cut, ALL, OPTIONS, kept)
    assert ([f.name for f in chosen], note) == (["b"], "1 of 1 new files")
    assert core.next_number(cut) == 1


def test_files_are_taken_once_all_or_one_by_one() -> None:
    found = [file("a"), file("b"), file("c")]
    state = history(landed("a"))
    assert [f.name for f in core.new_files(found, None, ALL, OPTIONS)[0]] == ["a", "b", "c"]
    assert [f.name for f in core.new_files(found, state, ALL, OPTIONS)[0]] == ["b", "c"]
    assert [f.name for f in core.new_files(found, state, ONE, OPTIONS)[0]] == ["b"]
    none, note = core.new_files(found, history(landed("a", "b"), landed("c")), ALL, OPTIONS)
    assert none == ()
    assert "all 3 have landed" in note
    empty = core.file_batch(none, ALL, None, None, note)
    assert (empty.batch_id, empty.files, empty.note) == (None, (), note)


def test_expired_snapshots_do_not_bring_old_files_back() -> None:
    found = [file("a", mtime_ns=1), file("b"), file("c", mtime_ns=1), file("aa-late", mtime_ns=99_000_000)]
    chosen, note = core.new_files(found, history(landed("b"), expired=True), ALL, OPTIONS)
    assert [f.name for f in chosen] == ["c", "aa-late"]
    assert "1 older files are taken as landed" in note
    with pytest.raises(UserError, match="which files have landed"):
        core.new_files(found, history({}, expired=True), ALL, OPTIONS)


def test_a_landed_file_that_changed_is_refused_and_one_that_was_only_touched_is_not() -> None:
    then = {file("a").uri: file("a")}
    assert core.suspects([file("a"), file("new")], then) == []
    touched = file("a", mtime_ns=77)
    assert core.suspects([touched], then) == [touched]
    core.refuse_changed(touched, then[touched.uri])
    with pytest.raises(UserError, match="changed since"):
        core.refuse_changed(file("a", sha256="other"), then[touched.uri])


def test_the_identity_of_a_file_batch_is_its_names_and_bytes() -> None:
    def identity(*files: SourceFile) -> str | None:
        return core.file_batch(files, ALL, 1, None, "").batch_id

    moved = file("a").model_copy(update={"uri": "s3://bucket/else/a", "mtime_ns": 9})
    assert identity(file("a")) == identity(moved)
    assert len({identity(file("a")), identity(file("b")), identity(file("a", sha256="t"))}) == 3
    assert core.file_batch([file("a")], ALL, 1, "mine", "").batch_id == "mine"


def test_a_snapshot_summary_gives_the_files_back() -> None:
    files = (file("a"), SourceFile(uri="s3://b/ñ.csv"))
    assert parse_source_files(source_files_property(files)) == files
    assert parse_source_files('["s3://b/c.csv"]') == (SourceFile(uri="s3://b/c.csv"),)
