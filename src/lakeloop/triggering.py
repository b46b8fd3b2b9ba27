"""Watching tables: look, decide, claim in the ledger, start the run, record it."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lakeloop.claiming import now_ms
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.ledger import LedgerEvent, watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.remote_run import Submission
from lakeloop.domain.schedule import BySnapshots
from lakeloop.domain.trigger import Decision, decide, submitted, triggered, unsettled_run
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.ports.ledger import Ledger
from lakeloop.ports.submitter import Submitter
from lakeloop.recording import record

_SECONDS = re.compile(r"[\d,]+ s\b")


@dataclass(frozen=True)
class Trigger:
    """One use case whose table is watched.

    Args:
        lake: where the table is.
        ledger: the cursor: who started what for which snapshot.
        submitter: where runs are started.
        use_case: what is trained.
        policy: when.
        submission_for: the run of a key.
        by: the machine or person behind it.
        owner: tells this process from any other.
        skew_seconds: by how much the clocks of two machines may differ.
        clock: milliseconds since the epoch.
    """

    lake: Lake
    ledger: Ledger
    submitter: Submitter
    use_case: UseCase
    policy: BySnapshots
    submission_for: Callable[[str], Submission]
    by: str
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    skew_seconds: float = 60.0
    clock: Callable[[], int] = now_ms

    def look(self) -> Decision:
        """Look once, and start a run where one is due.

        Raises:
            LakeloopError: the catalog or the place of the runs does not answer, or does not accept; look again.
        """
        # The ledger first: a range that is consumed in between is then planned once more, and stopped by its claim.
        head = self.ledger.head()
        events = self.ledger.events(self.use_case.name, documents=False)
        decision = self._decide(events)
        if decision.action not in {"start", "recover"}:
            return decision
        claim = triggered(
            decision, use_case=self.use_case.name, by=self.by, owner=self.owner, now_ms=self.clock()
        )
        try:
            self.ledger.append(claim, head)
        except ConflictError:
            return Decision(action="wait", reason="somebody else wrote to the ledger at the same moment")
        return decision.model_copy(update={"reason": f"{decision.reason}: run {self._start(decision)}"})

    def _decide(self, events: list[LedgerEvent]) -> Decision:
        state = self.lake.table_state(self.use_case.table.name)
        run_id = unsettled_run(events)
        return decide(
            self.policy,
            plan_range(state, watermark(events), self.use_case.snapshots),
            events,
            self.clock(),
            use_case=self.use_case.name,
            skew_ms=int(self.skew_seconds * 1000),
            run_goes_on=run_id is not None and not self.submitter.ended(run_id),
        )

    def _start(self, decision: Decision) -> str:
        run_id = self.submitter.start(self.submission_for(decision.key))
        event = submitted(
            decision, use_case=self.use_case.name, by=self.by, now_ms=self.clock(), run_id=run_id
        )
        record(self.ledger, event)
        return run_id


def watch(
    triggers: Iterable[Trigger],
    every_seconds: float,
    stop: threading.Event,
    tell: Callable[[str], None],
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Look at each table again and again until `stop` is set; a failure is told, and tried again.

    Args:
        triggers: looked at in turn.
        every_seconds: between two rounds.
        stop: ends the watch after the present look.
        tell: told of each decision that differs from the one before, and of failures.
        alive: called after each round.
    """
    told: dict[str, str] = {}
    watched = list(triggers)
    while not stop.is_set():
        for trigger in watched:
            name = trigger.use_case.name
            text = _told(trigger)
            # The seconds left to wait change with every look; the rest is worth a line when it changes.
            kind = _SECONDS.sub("", text)
            if told.get(name) != kind:
                tell(f"{name}: {text}")
                told[name] = kind
        alive()
        stop.wait(every_seconds)


def _told(trigger: Trigger) -> str:
    try:
        decision = trigger.look()
    except LakeloopError as error:
        return f"failed, tried again: {error}"
    return f"{decision.action}: {decision.reason}"
