from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.errors import UserError
from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id, watermark
from lakeloop.domain.moments import parse_moment
from lakeloop.domain.served import previous_version, servings, story_of, versions, what_served
from lakeloop.domain.snapshots import SnapshotRange


def range_to(snapshot: str) -> SnapshotRange:
    return SnapshotRange(table="bank.t", table_uuid="u", from_snapshot_id=None, to_snapshot_id=snapshot)


def event(kind: EventKind, at: int, version: str | None = None, **more: object) -> LedgerEvent:
    values = {
        "event_id": event_id(f"{version}", kind, str(at)),
        "use_case": "fraud",
        "kind": kind,
        "at_ms": at,
        "by": "ana@laptop",
        "reason": f"{kind} {version or ''}".strip(),
        "run_key": f"key-{version}" if version else "",
        "model_version": version,
    }
    return LedgerEvent.model_validate(values | more)


def trained(version: str, at: int) -> list[LedgerEvent]:
    owner = {"pipeline_run_id": f"run-{version}"}
    return [
        event("claimed", at, range=range_to(f"s{version}"), document='{"action": "append-scan"}', **owner),
        event(
            "accepted",
            at + 1,
            reason=f"better than before {version}",
            run_key=f"key-{version}",
            range=range_to(f"s{version}"),
            document='{"decision": "promote"}',
            **owner,
        ),
        event(
            "promoted",
            at + 2,
            version,
            range=range_to(f"s{version}"),
            document='{"outcome": "live"}',
            **owner,
        ),
    ]


def by_hand(kind: EventKind, at: int, version: str) -> list[LedgerEvent]:
    return [event(kind, at, version, pipeline_run_id=f"{kind}-{at}", by="bob@desk", reason="it was wrong")]


THREE = [*trained("1", 10), *trained("2", 20), *trained("3", 30)]
BACK = [*THREE, *by_hand("rolled_back", 40, "2")]


@pytest.mark.parametrize(
    ("at", "version"),
    [(0, None), (11, None), (12, "1"), (21, "1"), (22, "2"), (32, "3"), (40, "2"), (10**15, "2")],
)
def test_what_served_at_a_moment(at: int, version: str | None) -> None:
    found = what_served(BACK, at)
    assert (found.version if found else None) == version


def test_a_serving_says_from_which_snapshots_by_which_verdict_and_who_ended_it_why() -> None:
    third = what_served(BACK, 35)
    assert third is not None
    assert (third.from_ms, third.until_ms, third.how, third.owner) == (32, 40, "promoted", "run-3")
    assert (third.range, third.verdict) == (range_to("s3"), "better than before 3")
    assert (third.followed_by, third.followed_reason) == ("2", "rolled_back by bob@desk: it was wrong")
    now = what_served(BACK, 99)
    assert now is not None
    assert (now.by, now.reason, now.until_ms) == ("bob@desk", "it was wrong", None)
    assert now.range == range_to("s2"), "a rollback names no range; the version's own training does"


def test_a_rollback_and_a_promotion_by_hand_do_not_move_the_watermark() -> None:
    mark = watermark(THREE)
    assert mark is not None
    assert mark.snapshot_id == "s3"
    assert watermark(BACK) == mark
    assert watermark([*BACK, *by_hand("promoted", 50, "1")]) == mark


def test_a_rollback_goes_back_along_what_was_not_rolled_back() -> None:
    assert previous_version([]) is None
    assert previous_version(trained("1", 10)) is None
    assert previous_version(THREE) == "2"
    assert previous_version(BACK) == "1"
    assert previous_version([*BACK, *by_hand("rolled_back", 50, "1")]) is None
    assert previous_version([*BACK, *by_hand("promoted", 50, "3")]) == "2"
    assert previous_version([*BACK, *trained("4", 60)]) == "2"
    assert previous_version([*THREE, event("retired", 50, "2")]) == "1"


def test_a_version_promoted_again_while_it_serves_goes_on_serving() -> None:
    again = [*trained("1", 10), *by_hand("promoted", 20, "1"), *trained("2", 30)]
    assert [(s.version, s.from_ms, s.until_ms) for s in servings(again)] == [("1", 12, 32), ("2", 32, None)]


@given(st.lists(st.tuples(st.sampled_from("123"), st.integers(0, 50)), max_size=12))
def test_servings_follow_each_other_without_gap_or_overlap_whatever_the_clocks_say(
    moves: list[tuple[str, int]],
) -> None:
    found = servings([event("promoted", at, version) for version, at in moves])
    for one, following in itertools.pairwise(found):
        assert one.until_ms == following.from_ms >= one.from_ms
        assert one.followed_by == following.version != one.version
    if moves:
        assert found[-1].version == moves[-1][0]
        assert found[-1].until_ms is None


def test_the_story_of_a_version_is_claim_plan_verdict_rollout_and_its_times() -> None:
    story = story_of(BACK, "2")
    assert story is not None
    assert [e.kind for e in story.events] == ["claimed", "accepted", "promoted", "rolled_back"]
    assert (story.plan, story.verdict) == ({"action": "append-scan"}, {"decision": "promote"})
    assert (story.rollout, story.run_key, story.range) == ({"outcome": "live"}, "key-2", range_to("s2"))
    assert [(s.from_ms, s.until_ms) for s in story.servings] == [(22, 32), (40, None)]
    assert story_of(BACK, "9") is None
    assert versions(BACK) == ("1", "2", "3")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", 7),
        ("1767268800123", 1_767_268_800_123),
        ("2026-01-01T12:00:00.123", 1_767_268_800_123),
        ("2026-01-01T12:00:00.123Z", 1_767_268_800_123),
        ("2026-01-01 13:00:00+01:00", 1_767_268_800_000),
        ("2026-01-01", 1_767_225_600_000),
        ("20260101", 1_767_225_600_000),
    ],
)
def test_moments_as_people_write_them(text: str, moment: int) -> None:
    assert parse_moment(text, now_ms=7) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "99999999999999999999", "-5"])
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(UserError, match="is not a moment"):
        parse_moment(text, now_ms=7)
