"""Batches that nobody had in mind, landed without a JVM: each value where its name says, or one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeloop.domain.errors import UserError
from lakeloop.settings import Settings
from tests.integration.landing import HEADER, LakeWithoutSpark, Landing, rows


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(LakeWithoutSpark(Settings(home=tmp_path / "home")), "ns", tmp_path, engine="local")


def test_a_moment_may_be_the_unique_key(landing: Landing) -> None:
    landing.changes = {"table": {"key": ["at"]}, "expectations": {"unique": ["at"]}}
    assert landing.publish(landing.batch("one", rows(0, 9))).outcome == "published"
    again = landing.publish(landing.batch("two", rows(8, 9)))
    assert again.outcome == "refused"
    assert "new(at): 1 of 9 rows are in the table already" in again.reason
    assert landing.ids() == list(range(9))


@pytest.mark.parametrize("extra", ["Amount", "ID", "More,more,Amount"])
def test_a_column_beside_one_of_its_name_in_another_case_is_refused(landing: Landing, extra: str) -> None:
    """SQL would read one for the other: the values of `Amount` would land as `amount`."""
    landing.changes = {"expectations": {"extra_columns": "drop"}}
    lines = ["99.5," * len(extra.split(",")) + line for line in rows(0, 9)]
    with pytest.raises(UserError, match="differ by case only"):
        landing.publish(landing.batch("one", lines, f"{extra},{HEADER}"))
    assert landing.state is None
