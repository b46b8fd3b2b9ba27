"""A rollout over the ports: prove, shift, verify, promote, finish; back on any failure before promotion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.rollout import Candidate, Identity, Rollout, RolloutStep
from lakeloop.ports.deployer import Deployer, Remarks
from lakeloop.rollout.checks import check_answer, check_live, same_model
from lakeloop.rollout.proof import ProofRows, compare


class RolloutFailedError(LakeloopError):
    """What served before serves again; `rollout` holds the evidence. A lost race keeps its exit code."""

    def __init__(self, rollout: Rollout, cause: Exception) -> None:
        problem = cause.problem if isinstance(cause, LakeloopError) else f"{type(cause).__name__}: {cause}"
        where = getattr(cause, "where", "") or f"endpoint {rollout.endpoint}"
        fix = getattr(cause, "fix", "") or "see the server's log, then run again"
        state = {"rolled_back": "what served before serves again", "failed": "and going back failed too"}
        super().__init__(f"{problem}; {state[rollout.outcome]}", where=where, fix=fix)
        self.rollout = rollout
        if isinstance(cause, ConflictError):
            self.exit_code = cause.exit_code


@dataclass
class RollingOut:
    """One rollout, its evidence collected on the way."""

    deployer: Deployer
    endpoint: str
    candidate: Candidate
    rows: ProofRows
    tolerance: float
    promote: Callable[[], None]
    tell: Callable[[str], None]
    steps: list[RolloutStep] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Rollout:
        """The candidate proved, live and promoted.

        Raises:
            RolloutFailedError: it is not; what served before does again.
        """
        before = self.deployer.live(self.endpoint)
        identity = self.candidate.identity
        already = before is not None and same_model(before, identity)
        self.facts["previous_version"] = None if already or before is None else before.version
        handle: str | None = None
        self.tell(f"starting version {identity.version} without traffic")
        try:
            handle = self.deployer.start(self.endpoint, self.candidate)
            already = already and self.deployer.serves(self.endpoint, handle)
            self._prove(handle)
            self._shift(handle)
            self._verify(identity)
            self.promote()
        except Exception as error:
            raise self._failed(handle, error, already) from error
        self.tell(f"version {identity.version} is live, stopping what served before")
        self.deployer.finish(self.endpoint, handle)
        return self._rollout("already_live" if already else "live")

    def _prove(self, handle: str) -> None:
        self.tell(f"proving it with {len(self.rows.raw)} real rows")
        with self._step("prove") as evidence:
            served = self.deployer.predict(self.endpoint, handle, self.rows.raw)
            proof = compare(self.rows.offline, served, self.tolerance)
            self.facts |= {"max_score_difference": proof.max_difference, "rows_proved": proof.rows}
            evidence.append(
                f"{proof.rows} rows from the source table: served and offline scores differ by at most "
                f"{proof.max_difference:.3g}"
            )

    def _shift(self, handle: str) -> None:
        self.tell("shifting traffic")
        with self._step("shift") as evidence:
            self.facts["url"] = self.deployer.shift(self.endpoint, handle)
            evidence.append(f"all traffic of {self.facts['url']}")
            if isinstance(self.deployer, Remarks):
                evidence.extend(self.deployer.remarks(self.endpoint))

    def _verify(self, identity: Identity) -> None:
        self.tell("asking the endpoint who answers")
        with self._step("verify") as evidence:
            check_live(self.deployer.live(self.endpoint), identity)
            answer = self.deployer.ask(self.endpoint, [self.rows.raw[0]])
            check_answer(answer, identity, self.rows.offline[0], self.tolerance)
            self.facts |= {"sample_request": {"rows": [self.rows.raw[0]]}, "sample_response": answer}
            evidence.append(
                f"GET /version says version {identity.version} of snapshot {identity.to_snapshot_id}; "
                f"a real row scored {answer['scores'][0]:.6g}"
            )

    def _failed(self, handle: str | None, error: Exception, already: bool) -> RolloutFailedError:
        if handle is None or already:
            return RolloutFailedError(self._rollout("rolled_back"), error)
        self.tell("going back to what served before")
        try:
            with self._step("roll_back") as evidence:
                self.deployer.roll_back(self.endpoint, handle)
                evidence.append(f"version {self.facts['previous_version'] or 'none'} serves")
        except LakeloopError as second:
            return RolloutFailedError(self._rollout("failed"), LakeloopError(f"{error}; then {second}"))
        return RolloutFailedError(self._rollout("rolled_back"), error)

    @contextmanager
    def _step(self, name: Any) -> Iterator[list[str]]:
        evidence: list[str] = []
        started, passed = time.monotonic(), False
        try:
            yield evidence
            passed = True
        except Exception as error:
            evidence.append(str(error))
            raise
        finally:
            seconds = time.monotonic() - started
            detail = "; ".join(evidence)
            self.steps.append(RolloutStep(name=name, passed=passed, detail=detail, seconds=seconds))

    def _rollout(self, outcome: Any) -> Rollout:
        facts = {"url": "", **self.facts}
        return Rollout(
            outcome=outcome,
            endpoint=self.endpoint,
            target=self.deployer.target,
            version=self.candidate.identity.version,
            steps=tuple(self.steps),
            **facts,
        )
