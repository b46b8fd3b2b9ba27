"""Rollbacks and promotions by hand, in memory: what serves, what is champion, and what the ledger says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloop.claiming import Claimant
from lakeloop.domain.claims import current_claim
from lakeloop.domain.errors import ConflictError, LakeloopError, UserError
from lakeloop.domain.ledger import EventKind, LedgerEvent, watermark
from lakeloop.domain.lineage import Lineage
from lakeloop.domain.rollout import Registration, Rollout
from lakeloop.domain.training import TrainedModel
from lakeloop.recording import record
from lakeloop.rollout.by_hand import Change, Changed, change_by_hand, promotion_target, rollback_target
from lakeloop.rollout.events import trained_event
from lakeloop.rollout.redeploy import redeploy
from lakeloop.rollout.rolling_out import RolloutFailedError
from tests.fakes.world import USE_CASE, World


def silent(_: str) -> None:
    """Nobody listens."""


class Hands(World):
    """Trains and promotes as a pipeline does, then changes by hand."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._changes = 0

    def promote(self, seed: int) -> Lineage:
        """A training that went live."""
        trained, registration = self.train(seed)
        owner = f"run-{seed}"
        self.claimant(owner).claim(trained.lineage.training_set.range, "training")
        rollout = redeploy(self.places, USE_CASE, trained, registration, lambda: None, silent)
        self.record("promoted", trained, rollout, owner)
        return trained.lineage

    def record(self, kind: EventKind, trained: TrainedModel, rollout: Rollout, owner: str) -> None:
        """The pipeline's own event."""
        event = trained_event(kind, trained, rollout, reason="", owner=owner, by="ana", at_ms=1)
        record(self.ledger, event)

    def claimant(self, owner: str = "", **options: object) -> Claimant:
        """By hand, each a new one."""
        self._changes += 1
        name = owner or f"rollback-{self._changes}"
        return Claimant(self.ledger, "fraud", name, "bob@desk", lease_seconds=60, **options)  # type: ignore[arg-type]

    def roll_back(self, to: str | None = None, claimant: Claimant | None = None) -> Changed:
        """To a version, with a reason."""
        change = Change("rolled_back", lambda events: rollback_target(events, to), "it was wrong")
        return change_by_hand(self.places, claimant or self.claimant(), USE_CASE, change, silent)

    def promote_by_hand(self, version: str, tell: Callable[[str], None] = silent) -> Changed:
        """A version, with a reason."""
        change = Change("promoted", lambda events: promotion_target(events, version), "mended")
        return change_by_hand(self.places, self.claimant(), USE_CASE, change, tell)

    def now(self) -> tuple[str | None, str | None]:
        """What answers, and what is champion."""
        live = self.deployer.live(USE_CASE.endpoint)
        return live.version if live else None, self.registry.champion(USE_CASE.name)

    def events(self) -> list[LedgerEvent]:
        """Of the use case."""
        return self.ledger.events(USE_CASE.name)


@pytest.fixture
def world(tmp_path: Path) -> Hands:
    made = Hands(tmp_path)
    made.promote(1)
    made.promote(2)
    return made


def test_the_version_before_serves_again_and_the_ledger_says_who_and_why(world: Hands) -> None:
    mark = watermark(world.events())
    changed = world.roll_back()
    assert (changed.version, changed.previous_version, changed.recorded) == ("1", "2", True)
    assert changed.rollout.rows_proved == 10
    assert world.now() == ("1", "1")
    last = world.events()[-1]
    assert (last.kind, last.model_version, last.by, last.reason) == (
        "rolled_back",
        "1",
        "bob@desk",
        "it was wrong",
    )
    assert watermark(world.events()) == mark
    assert current_claim(world.events()) is None


def test_the_same_rollback_again_changes_nothing(world: Hands) -> None:
    world.roll_back("1")
    again = world.roll_back("1")
    assert (again.recorded, again.rollout.outcome) == (False, "already_live")
    assert world.outcomes() == ["promoted", "promoted", "rolled_back", "released"]


def test_a_rollback_that_died_before_it_was_recorded_is_recorded_by_the_next(
    world: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr("lakeloop.rollout.by_hand.record", dies)
        with pytest.raises(KeyboardInterrupt):
            world.roll_back("1")
    assert world.now() == ("1", "1")
    assert world.roll_back("1").recorded
    assert world.events()[-1].kind == "rolled_back"


def dies(*_: object, **__: object) -> str:
    raise KeyboardInterrupt


def test_where_there_is_nothing_to_go_back_to_it_says_so(world: Hands, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="version 7 was never promoted; 1, 2 was"):
        world.roll_back("7")
    world.roll_back()
    with pytest.raises(UserError, match="only version 1 is left"):
        world.roll_back()
    with pytest.raises(UserError, match="nothing has been promoted yet"):
        rollback_target([], None)
    with pytest.raises(UserError, match="nothing has been trained yet"):
        promotion_target([], "1")
    with pytest.raises(UserError, match="no version 9"):
        world.promote_by_hand("9")
    assert current_claim(world.events()) is None


def test_a_retired_version_does_not_come_back(world: Hands) -> None:
    promoted = next(e for e in world.events() if e.kind == "promoted")
    record(world.ledger, promoted.model_copy(update={"event_id": "retired", "kind": "retired"}))
    with pytest.raises(UserError, match="version 1 is retired"):
        world.roll_back("1")
    with pytest.raises(UserError, match="version 1 is retired"):
        world.promote_by_hand("1")
    with pytest.raises(UserError, match="only version 2 is left"):
        world.roll_back()


def test_while_a_training_holds_the_use_case_it_waits_unless_it_is_told_to_take_over(world: Hands) -> None:
    world.claimant("run-3").claim(world.train(3)[0].lineage.training_set.range, "training")
    with pytest.raises(ConflictError, match=r"run-3 \(bob@desk\) trains on snapshots up to"):
        world.roll_back()
    assert world.now() == ("2", "2")
    assert world.roll_back(claimant=world.claimant(yields=True)).recorded
    assert world.now() == ("1", "1")


def test_a_version_that_cannot_be_proved_does_not_get_traffic(world: Hands) -> None:
    _, registration = world.train(5, factor=0.25)
    mark = watermark(world.events())
    with pytest.raises(RolloutFailedError, match="served and offline scores differ"):
        world.promote_by_hand(registration.version)
    assert world.now() == ("2", "2")
    assert world.events()[-1].kind == "rollout_failed"
    assert watermark(world.events()) == mark
    assert current_claim(world.events()) is None


def test_a_promotion_by_hand_leaves_the_range_to_the_next_training(world: Hands) -> None:
    before = watermark(world.events())
    world.source_grows()
    trained, registration = world.train(3)
    failed = Rollout(outcome="rolled_back", endpoint="fraud", url="", version=registration.version)
    world.record("rollout_failed", trained, failed, "run-3")
    assert world.promote_by_hand("3").previous_version == "2"
    assert world.now() == ("3", "3")
    assert watermark(world.events()) == before
    world.record("promoted", trained, failed.model_copy(update={"outcome": "live"}), "run-4")
    assert watermark(world.events()).snapshot_id == world.snapshot  # type: ignore[union-attr]


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(world: Hands) -> None:
    versions = [world.train(seed)[1].version for seed in (3, 4)]
    inside, may_end = threading.Event(), threading.Event()

    def slowly(text: str) -> None:
        if text.startswith("proving"):
            inside.set()
            assert may_end.wait(timeout=30)

    first = threading.Thread(target=lambda: world.promote_by_hand(versions[0], slowly))
    first.start()
    assert inside.wait(timeout=30)
    with pytest.raises(ConflictError, match=r"bob@desk\) changes what serves"):
        world.promote_by_hand(versions[1])
    may_end.set()
    first.join(timeout=30)
    assert world.now() == (versions[0], versions[0])
    assert world.outcomes() == ["promoted"] * 3


def test_whatever_breaks_the_use_case_is_free_again(world: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(model_name: str, version: str, folder: Path) -> Path:
        raise LakeloopError("the artifact store is away")

    monkeypatch.setattr(world.registry, "download", gone)
    with pytest.raises(LakeloopError, match="is away"):
        world.roll_back()
    assert world.now() == ("2", "2")
    assert current_claim(world.events()) is None


def test_a_registration_is_what_the_champion_was_when_it_was_asked(world: Hands) -> None:
    trained, _ = world.train(3)
    stale = Registration(
        model_name="fraud",
        version="3",
        model_uri="",
        model_digest=trained.model_digest,
        previous_champion="1",
    )
    with pytest.raises(RolloutFailedError) as failed:
        redeploy(world.places, USE_CASE, trained, stale, lambda: None, silent)
    assert failed.value.exit_code == ConflictError.exit_code
    assert world.now() == ("2", "2")
