"""The gate: labels and scores -> verdict. Fails closed: what cannot be judged is rejected, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.evaluate_model.slices import slice_checks
from lakeloop.domain.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    Bootstrap,
    expected_calibration_error,
    paired_bootstrap,
)
from lakeloop.domain.use_case import Bounds, Gate
from lakeloop.domain.verdict import Check, Interval, Scores, Verdict

Scoring = np.ndarray[tuple[int], np.dtype[Any]]


@dataclass(frozen=True)
class ChampionScores:
    """The champion on the challenger's holdout rows; `problem` says why there are no scores."""

    version: str
    scores: Scoring | None = None
    problem: str = ""


@dataclass(frozen=True)
class Holdout:
    """Labels [rows], and the values [rows] of the columns that slices are made of."""

    labels: Scoring
    slices: Mapping[str, Scoring] = field(default_factory=dict)


def verdict(  # noqa: PLR0913, PLR0917 - the facts of one decision
    policy: Gate,
    holdout: Holdout,
    challenger: Scoring,
    champion: ChampionScores | None,
    seed: int,
    further: Sequence[Check] = (),
) -> Verdict:
    """Promote only where every check of the policy passes.

    Args:
        policy: the use case's gate.
        holdout: rows that neither model has been trained on in this run.
        challenger: [rows] scores.
        champion: None: the first model, an explicit bootstrap; the floor still applies.
        seed: of the bootstrap's resamples.
        further: checks of the rows themselves (`label_rate_checks`).
    """
    rows, positives = len(holdout.labels), int(np.sum(holdout.labels == 1))
    checks = [
        *_evidence(policy, rows, positives),
        *further,
        *_soundness(holdout, challenger, champion),
    ]
    judged = _measurable(holdout, challenger) and (champion is None or _measurable(holdout, champion.scores))
    other = champion.scores if champion is not None and judged else None
    spread = _bootstrap(policy, holdout, challenger, other, seed) if judged else None
    if spread is not None:
        checks += _quality(policy, holdout, challenger, spread)
    if spread is not None and champion is not None and other is not None:
        checks.append(_improvement(policy, spread.difference[policy.metric]))
        checks += slice_checks(policy, holdout.labels, holdout.slices, challenger, other)
    promoted = spread is not None and all(check.passed for check in checks)
    return Verdict(
        decision="promote" if promoted else "reject",
        bootstrap=champion is None,
        metric=policy.metric,
        reasons=_reasons(policy, checks, spread, champion),
        checks=tuple(checks),
        rows=rows,
        positives=positives,
        challenger=_scores("challenger", spread.challenger, holdout, challenger) if spread else None,
        champion=_scores(f"champion v{champion.version}", spread.champion, holdout, other)
        if spread and champion and other is not None
        else None,
        champion_version=champion.version if champion else None,
        difference=spread.difference.get(policy.metric) if spread else None,
        probability_better=spread.probability_better.get(policy.metric) if spread else None,
    )


def label_rate_checks(expected: Bounds | None, labels: Scoring) -> list[Check]:
    """The declared label rate, of the newest range as a whole: who follows a table has no batch to audit.

    Args:
        expected: `expectations.label_rate`.
        labels: [rows] of the newest range.
    """
    if expected is None or not len(labels):
        return []
    rate = float(np.mean(labels == 1))
    low, high = expected.min or 0.0, 1.0 if expected.max is None else expected.max
    return [
        Check(
            name="label_rate",
            passed=low <= rate <= high,
            observed=f"{rate:.4g} of {len(labels)} labels are positive",
            required=f"in [{low:g}, {high:g}]",
        )
    ]


def confirmed(policy: Gate, champion_version: str, rows: int, positives: int) -> Verdict:
    """The challenger is the champion: the same run key was promoted before, so its verdict stands."""
    check = Check(
        name="identity", passed=True, observed=f"champion v{champion_version}", required="this run key"
    )
    return Verdict(
        decision="promote",
        bootstrap=False,
        metric=policy.metric,
        reasons=(f"this model is champion v{champion_version} already; its promotion stands",),
        checks=(check,),
        rows=rows,
        positives=positives,
        challenger=None,
        champion_version=champion_version,
    )


def _evidence(policy: Gate, rows: int, positives: int) -> list[Check]:
    needs = [
        ("rows", rows, policy.min_rows),
        ("positives", positives, policy.min_positives),
        ("negatives", rows - positives, policy.min_positives),
    ]
    return [
        Check(
            name=f"evidence({what})",
            passed=count >= need,
            observed=f"{count} holdout {what}",
            required=f"at least {need}",
        )
        for what, count, need in needs
    ]


def _soundness(holdout: Holdout, challenger: Scoring, champion: ChampionScores | None) -> list[Check]:
    checks = [_sound("challenger scores", holdout, challenger)]
    if champion is not None and champion.scores is None:
        problem = champion.problem or "no scores"
        checks.append(
            Check(name="champion scores", passed=False, observed=problem, required="on the same rows")
        )
    elif champion is not None:
        checks.append(_sound("champion scores", holdout, champion.scores))
    return checks


def _sound(name: str, holdout: Holdout, scores: Scoring | None) -> Check:
    required = "one probability a row"
    if scores is None or len(scores) != len(holdout.labels):
        return Check(
            name=name,
            passed=False,
            observed=f"{0 if scores is None else len(scores)} scores for {len(holdout.labels)} rows",
            required=required,
        )
    wrong = int(np.sum(~_probable(scores)))
    return Check(
        name=name,
        passed=not wrong,
        observed=f"{wrong} of {len(scores)} are no probability",
        required=required,
    )


def _probable(scores: Scoring) -> Scoring:
    with np.errstate(invalid="ignore"):
        return np.asarray((scores >= 0) & (scores <= 1))


def _measurable(holdout: Holdout, scores: Scoring | None) -> bool:
    both = {0.0, 1.0} == {float(label) for label in np.unique(holdout.labels)}
    return both and scores is not None and _sound("", holdout, scores).passed


def _bootstrap(
    policy: Gate, holdout: Holdout, challenger: Scoring, champion: Scoring | None, seed: int
) -> Bootstrap:
    return paired_bootstrap(
        holdout.labels,
        challenger,
        champion,
        samples=policy.bootstrap_samples,
        confidence=policy.confidence,
        seed=seed,
    )


def _quality(policy: Gate, holdout: Holdout, challenger: Scoring, spread: Bootstrap) -> list[Check]:
    checks, value = [], spread.challenger[policy.metric].value
    if policy.floor is not None:
        lower = policy.metric in LOWER_IS_BETTER
        passed = value <= policy.floor if lower else value >= policy.floor
        limit = f"{'at most' if lower else 'at least'} {policy.floor:g}"
        checks.append(
            Check(name="floor", passed=passed, observed=f"{policy.metric} {value:.4f}", required=limit)
        )
    if policy.max_calibration_error is not None:
        error = expected_calibration_error(holdout.labels, challenger)
        checks.append(
            Check(
                name="calibration",
                passed=error <= policy.max_calibration_error,
                observed=f"expected calibration error {error:.4f}",
                required=f"at most {policy.max_calibration_error:g}",
            )
        )
    return checks


def _improvement(policy: Gate, difference: Interval) -> Check:
    """Superiority, or non-inferiority where `max_loss` allows one; both on the interval's lower end."""
    margin = -policy.max_loss if policy.max_loss > 0 else policy.min_effect
    return Check(
        name="non-inferiority" if policy.max_loss > 0 else "improvement",
        passed=difference.low > margin,
        observed=f"{policy.metric} better by {_shown(difference)}",
        required=f"interval above {margin:g}",
    )


def _shown(interval: Interval) -> str:
    return f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _reasons(
    policy: Gate, checks: list[Check], spread: Bootstrap | None, champion: ChampionScores | None
) -> tuple[str, ...]:
    failed = [c for c in checks if not c.passed]
    if failed:
        return tuple(_reason(check) for check in failed)
    if spread is None:
        return ("insufficient evidence: nothing could be measured",)
    value = spread.challenger[policy.metric].value
    if champion is None:
        return (f"first model: no champion to compare with; {policy.metric} {value:.4f}",)
    before, difference = spread.champion[policy.metric].value, _shown(spread.difference[policy.metric])
    versus = f"against champion v{champion.version}'s {before:.4f}"
    return (f"{policy.metric} {value:.4f} {versus}: better by {difference}",)


def _reason(check: Check) -> str:
    kind = "insufficient evidence" if check.name.startswith("evidence") else check.name
    return f"{kind}: {check.observed}, required {check.required}"


def _scores(name: str, intervals: Mapping[Any, Interval], holdout: Holdout, scores: Scoring) -> Scores:
    return Scores(
        model=name,
        metrics={metric: intervals[metric] for metric in METRICS},
        expected_calibration_error=expected_calibration_error(holdout.labels, scores),
    )
