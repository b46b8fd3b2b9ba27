"""Every document between steps, and every line of the ledger, comes back from its text as it went in."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from lakeloop.adapters.iceberg.ledger import _event, _row
from lakeloop.domain.base import Frozen
from lakeloop.domain.batch import Batch, BatchOptions, IngestResult
from lakeloop.domain.ledger import LedgerEvent
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet
from lakeloop.domain.plan import Plan, Watermark
from lakeloop.domain.rollout import Identity, Registration
from lakeloop.domain.snapshots import Snapshot, SnapshotRange

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
LONG = st.integers(-(2**63), 2**63 - 1)
st.register_type_strategy(float, FLOATS)
st.register_type_strategy(CodeIdentity, st.builds(CodeIdentity, libraries=TEXTS))
st.register_type_strategy(Snapshot, st.builds(Snapshot, summary=TEXTS))
DOCUMENTS: tuple[type[Frozen], ...] = (
    Snapshot,
    SnapshotRange,
    Watermark,
    Plan,
    Batch,
    IngestResult,
    TrainingSet,
    Lineage,
    Registration,
    Identity,
    LedgerEvent,
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.__name__)
def test_parse_of_dump_is_identity(document: type[Frozen]) -> None:
    @settings(max_examples=10, deadline=None)
    @given(st.builds(document, **dict.fromkeys(document.model_fields, ...)))
    def law(value: Frozen) -> None:
        for text in (value.model_dump_json(), value.canonical_json()):
            again = document.model_validate_json(text)
            assert again == value
            assert again.digest() == value.digest()

    law()


def test_batch_options_come_back() -> None:
    given_options = BatchOptions(rows=5, number=2)
    assert BatchOptions.model_validate_json(given_options.canonical_json()) == given_options


EVENTS = st.builds(
    LedgerEvent,
    at_ms=st.integers(0, 2**41),
    schema_id=st.none() | LONG,
    lease_until_ms=st.none() | st.integers(0, 2**41),
    range=st.none() | st.builds(SnapshotRange, table_uuid=st.text(min_size=1)),
)


@settings(max_examples=50, deadline=None)
@given(EVENTS, st.integers(0, 2**40))
def test_a_row_of_the_ledger_is_its_event(event: LedgerEvent, position: int) -> None:
    assert _event(_row(event, position).to_pylist()[0]) == event
