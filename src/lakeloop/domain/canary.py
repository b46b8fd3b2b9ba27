"""Whether a new model keeps its share of the traffic: decided from what the gateway counted."""

from __future__ import annotations

from lakeloop.domain.base import Frozen
from lakeloop.domain.routes import Backend, Routes
from lakeloop.domain.workbench import Canary


class Traffic(Frozen):
    """What a backend answered; sums grow from the gateway's start on."""

    answered: int = 0
    failed: int = 0
    problem: str = ""
    scored: int = 0
    score_sum: float = 0.0
    p95_ms: float = 0.0

    def since(self, before: Traffic) -> Traffic:
        """What came after `before`; after a restart of the gateway, all there is."""
        if self.answered < before.answered or self.failed < before.failed:
            return self
        return Traffic(
            answered=self.answered - before.answered,
            failed=self.failed - before.failed,
            problem=self.problem,
            scored=self.scored - before.scored,
            score_sum=self.score_sum - before.score_sum,
            p95_ms=self.p95_ms,
        )

    @property
    def error_rate(self) -> float:
        """Share of requests that failed."""
        return self.failed / max(1, self.answered + self.failed)

    @property
    def mean_score(self) -> float:
        """Of the rows scored."""
        return self.score_sum / max(1, self.scored)


def canary_problems(old: Traffic, new: Traffic, limits: Canary) -> list[str]:
    """Why the new model must not keep its share; empty where it may.

    A model that no request reached cannot be judged and fails no check; the proof has asked it before.

    Args:
        old: what the old model did in the same time.
        new: the new one.
        limits: of the use case.
    """
    problems: list[str] = []
    if new.error_rate > old.error_rate + limits.max_error_rate:
        problems.append(f"{new.failed} of its {new.answered + new.failed} requests failed ({new.problem})")
    allowed = max(limits.latency_floor_ms, old.p95_ms * limits.max_latency_ratio)
    if new.answered and old.answered and new.p95_ms > allowed:
        problems.append(
            f"95 % of its answers took up to {new.p95_ms:.0f} ms, of the old model's {old.p95_ms:.0f} ms"
        )
    shift = abs(new.mean_score - old.mean_score)
    if new.scored and old.scored and shift > limits.max_score_shift:
        problems.append(f"its mean score {new.mean_score:.3g} is {shift:.2g} off the old model's")
    return problems


def shared(routes: Routes, new: Backend, old: Backend, percent: float) -> Routes:
    """`percent` of the traffic to `new`, the rest to `old`, which stays what is live; each takes over for the other."""
    backends = (
        new.model_copy(update={"weight": percent, "standby": True}),
        old.model_copy(update={"weight": 100.0 - percent, "standby": True}),
    )
    return routes.model_copy(update={"generation": routes.generation + 1, "backends": backends})


def taken_back(routes: Routes) -> Routes:
    """All traffic to what is live, where a canary was given up."""
    live = routes.backend(routes.live)
    backends = () if live is None else (live.model_copy(update={"weight": 100.0, "standby": False}),)
    return routes.model_copy(update={"generation": routes.generation + 1, "backends": backends})
