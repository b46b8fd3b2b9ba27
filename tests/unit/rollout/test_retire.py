"""Retiring a version: its pins come off, the ledger keeps why, and nothing that serves is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.pins import main_tag
from lakeloop.rollout.retire import Retired, retire
from tests.fakes.world import FEATURES, TABLE, USE_CASE
from tests.unit.rollout.test_by_hand import Hands, silent


class Retiring(Hands):
    def promote_and_pin(self, seed: int) -> str:
        lineage = self.promote(seed)
        version = str(self.registry.champion("fraud"))
        read = lineage.training_set
        pins = ((TABLE, read.range.to_snapshot_id), (read.feature_table, read.feature_snapshot_id))
        for table, snapshot_id in pins:
            self.lake.pin(table, main_tag("fraud", version), snapshot_id)
        return version

    def retire(self, version: str) -> Retired:
        return retire(self.places, self.claimant(), USE_CASE, version, "superseded", silent)

    def tags(self) -> set[tuple[str, str]]:
        """Of the source table and of the feature tables of seeds 1 and 2."""
        states = [self.lake.table_state(t) for t in (TABLE, f"{FEATURES}_1", f"{FEATURES}_2")]
        return {(s.name, r.name) for s in states if s is not None for r in s.refs if r.kind == "tag"}


@pytest.fixture
def hands(tmp_path: Path) -> Retiring:
    return Retiring(tmp_path)


def test_a_retired_version_is_unpinned_and_recorded_once(hands: Retiring) -> None:
    old, new = hands.promote_and_pin(1), hands.promote_and_pin(2)
    done = hands.retire(old)
    assert set(done.unpinned) == {
        (TABLE, f"lakeloop_fraud_v{old}"),
        (f"{FEATURES}_1", f"lakeloop_fraud_v{old}"),
    }
    assert hands.tags() == {(TABLE, f"lakeloop_fraud_v{new}"), (f"{FEATURES}_2", f"lakeloop_fraud_v{new}")}
    again = hands.retire(old)
    assert (again.already, again.unpinned) == (True, ())
    retired = [e for e in hands.ledger.events("fraud") if e.kind == "retired"]
    assert [(e.model_version, e.reason, e.by) for e in retired] == [(old, "superseded", "bob@desk")]
    with pytest.raises(UserError, match=f"version {old} is retired"):
        hands.roll_back(old)


def test_what_a_crash_left_pinned_is_unpinned_by_the_next_attempt(hands: Retiring) -> None:
    old = hands.promote_and_pin(1)
    hands.promote_and_pin(2)
    hands.retire(old)
    hands.lake.pin(TABLE, f"lakeloop_fraud_v{old}", hands.snapshot)
    assert hands.retire(old).unpinned == ((TABLE, f"lakeloop_fraud_v{old}"),)


def test_neither_champion_nor_what_answers_is_retired(hands: Retiring) -> None:
    old, new = hands.promote_and_pin(1), hands.promote_and_pin(2)
    with pytest.raises(UserError, match=f"version {new} is the champion"):
        hands.retire(new)
    hands.registry.promote("fraud", old, new)  # the alias was moved behind the endpoint's back
    with pytest.raises(UserError, match=f"version {new} answers at endpoint fraud"):
        hands.retire(new)
    with pytest.raises(LakeloopError, match="no version 9"):
        hands.retire("9")
    assert len(hands.tags()) == 4
