"""One suite for every RunJournal."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeloop.adapters.files.journal import FileJournal
from lakeloop.adapters.memory.journal import MemoryJournal
from lakeloop.domain.errors import LakeloopError
from lakeloop.ports.journal import RunJournal


@pytest.fixture(params=["files", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> RunJournal:
    return MemoryJournal() if request.param == "memory" else FileJournal((tmp_path / "a journal").as_uri())


def test_documents_come_back_by_name(journal: RunJournal) -> None:
    assert journal.documents("run-1") == {}
    assert journal.runs() == []
    journal.record("run-1", "plan", {"snapshot": "3051729675574597004", "why": "sì"})
    journal.record("run-1", "batch", [1, None, {"a": 0.5}])
    journal.record("run/2: odd", "plan", {})
    journal.record("run-1", "plan", {"snapshot": "7"})
    assert journal.documents("run-1") == {"batch": [1, None, {"a": 0.5}], "plan": {"snapshot": "7"}}
    assert journal.documents("run/2: odd") == {"plan": {}}
    assert journal.runs() == ["run-1", "run/2: odd"]


def test_a_document_given_out_is_a_copy(journal: RunJournal) -> None:
    journal.record("run-1", "plan", {"rows": [1]})
    journal.documents("run-1")["plan"]["rows"].append(2)
    assert journal.documents("run-1")["plan"] == {"rows": [1]}


def test_no_half_document_is_ever_seen(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path.as_uri())
    journal.record("run-1", "plan", {"rows": 1})
    (tmp_path / "run-1" / ".plan.json-torn").write_text("{")
    with pytest.raises(LakeloopError, match="no name of a document"):
        journal.record("run-1", "../plan", {})
    with pytest.raises(TypeError):
        journal.record("run-1", "plan", {"rows": object()})
    assert journal.documents("run-1") == {"plan": {"rows": 1}}
