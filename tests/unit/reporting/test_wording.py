"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.reporting import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, wording.ABSENT),
        (float("nan"), wording.ABSENT),
        (0.0, "0"),
        (26_331.4, "26,331"),
        (-142.13, "-142.1"),
        (0.000012345, "1.234e-05"),
        (3.2e12, "3.200e+12"),
    ],
)
def test_compact(value: float | None, text: str) -> None:
    assert wording.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.04, "0.0 s"), (12.3, "12 s"), (185, "3 min 05 s"), (7_625, "2 h 07 min")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert wording.seconds(value) == text


def test_a_tiny_difference_is_not_shown_as_zero() -> None:
    assert wording.signed(-2e-6) == "\u22122.0e-06"
    assert wording.signed(0.0199) == "+0.0199"


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_clipped_text_is_never_longer_than_asked(text: str, characters: int) -> None:
    assert len(wording.clipped(text, characters)) <= characters
    assert len(text) > characters or wording.clipped(text, characters) == text
