"""What became of a run, in a sentence that a manager understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lakeloop.domain.rollout import Rollout
from lakeloop.domain.verdict import Interval, Verdict
from lakeloop.reporting import wording
from lakeloop.reporting.documents import RunDocuments
from lakeloop.reporting.flow import failed_step, nothing_new, refused_step
from lakeloop.reporting.status import CANCELLED, FAILED, FinalStatus

Tone = Literal["good", "calm", "warn", "bad"]


@dataclass(frozen=True)
class Outcome:
    """`kind` for machines, `headline` and `detail` for people, `tone` for the colour beside the words."""

    kind: str
    tone: Tone
    headline: str
    detail: str = ""


def outcome(documents: RunDocuments, status: FinalStatus) -> Outcome:
    """The run's outcome; a breakdown or a refusal always wins over what was reached before it."""
    return (
        _refused(documents)
        or _rollout_failed(documents.rollout)
        or _stopped(documents, status)
        or _finished(documents)
    )


def _stopped(documents: RunDocuments, status: FinalStatus) -> Outcome | None:
    if status.state == CANCELLED:
        return Outcome("cancelled", "warn", "Cancelled before the end.", status.error)
    return _failed(documents, status) if status.state == FAILED or failed_step(documents, status) else None


def _finished(documents: RunDocuments) -> Outcome:
    if documents.rollout:
        return _live(documents, documents.rollout)
    if documents.verdict:
        return _judged(documents.verdict)
    if nothing_new(documents):
        return _nothing(documents)
    said = "Its steps left no documents in the run journal." if documents.is_empty else ""
    return Outcome("unknown", "warn", "What became of this run is not recorded.", said)


def refusal_reason(refusal: Any) -> str:
    """The reason in a refusal document, whatever its form."""
    if isinstance(refusal, dict):
        for key in ("reasons", "reason", "problem", "message", "error"):
            if refusal.get(key):
                return refusal_reason(refusal[key])
        return ""
    if isinstance(refusal, (list, tuple)):
        return "; ".join(map(str, refusal))
    return str(refusal or "")


def _refused(documents: RunDocuments) -> Outcome | None:
    step = refused_step(documents)
    if step is None:
        return None
    return _batch_refused(documents) if step == "ingest_batch" else _training_refused(documents)


def _batch_refused(documents: RunDocuments) -> Outcome:
    ingest = documents.ingest
    broken = [r for r in ingest.rules if not r.passed] if ingest else []
    said = "; ".join(f"{r.rule} is {r.observed}, expected {r.expected}" for r in broken)
    reason = said or (ingest.reason if ingest else "") or refusal_reason(documents.refusal)
    hidden = "No row of it became visible in the table. The live model is unchanged."
    return Outcome("batch_refused", "warn", f"Batch refused: {_sentence(reason)}", hidden)


def _training_refused(documents: RunDocuments) -> Outcome:
    reasons = "; ".join(documents.plan.reasons) if documents.plan else ""
    reason = _sentence(reasons or refusal_reason(documents.refusal))
    risk = "Training on these snapshots would risk a silent wrong model. The live model is unchanged."
    return Outcome("training_refused", "warn", f"Refused to train: {reason}", risk)


def _failed(documents: RunDocuments, status: FinalStatus) -> Outcome:
    step = failed_step(documents, status)
    record = documents.steps.get(step or "")
    error = (
        (record.error if record else "") or status.error or "The runner gave no error; see the step's log."
    )
    where = f"Failed at step {step}." if step else "Failed."
    return Outcome("failed", "bad", where, _sentence(error))


def _rollout_failed(rollout: Rollout | None) -> Outcome | None:
    if rollout is None or rollout.outcome not in {"rolled_back", "failed"}:
        return None
    broken = next((s for s in rollout.steps if not s.passed), None)
    why = f"{broken.name} failed: {_sentence(broken.detail)}" if broken else "See the rollout below."
    serving = (
        f"version {rollout.previous_version} still serves"
        if rollout.previous_version
        else "nothing is served"
    )
    went = "was rolled back" if rollout.outcome == "rolled_back" else "could not be rolled out"
    return Outcome(
        "rollout_failed", "bad", f"Version {rollout.version} passed the gate but {went}; {serving}.", why
    )


def _live(documents: RunDocuments, rollout: Rollout) -> Outcome:
    if rollout.outcome == "already_live":
        same = f"Version {rollout.version} was live already; nothing had to change."
        return Outcome("already_live", "good", same, f"It answers at {rollout.url}.")
    before = rollout.previous_version or (documents.verdict and documents.verdict.champion_version)
    over = f"promoted over version {before}" if before else "the first model"
    headline = f"Version {rollout.version} is live: {over}, verified at {rollout.url}."
    return Outcome("live", "good", headline, evidence(documents.verdict))


def _judged(verdict: Verdict) -> Outcome:
    if verdict.decision == "promote":
        headline = "Promoted by the gate, but no rollout is recorded."
        return Outcome("promoted_only", "warn", headline, evidence(verdict))
    stays = (
        f"version {verdict.champion_version} stays"
        if verdict.champion_version
        else "no model was live, none is now"
    )
    reason = _sentence("; ".join(verdict.reasons))
    return Outcome(
        "rejected", "warn", f"Rejected by the gate; {stays}.", f"{reason} {evidence(verdict)}".strip()
    )


def _nothing(documents: RunDocuments) -> Outcome:
    reasons = "; ".join(documents.plan.reasons) if documents.plan else ""
    note = documents.batch.note if documents.batch else ""
    said = " ".join(_sentence(text) for text in (reasons, note) if text)
    return Outcome("nothing", "calm", "Nothing new to train on; the live model is unchanged.", said)


def evidence(verdict: Verdict | None) -> str:
    """The metric that decided, with its interval, and the difference to the champion."""
    if verdict is None or verdict.challenger is None:
        return ""
    interval = verdict.challenger.metrics.get(verdict.metric)
    title = wording.metric_title(verdict.metric)
    held_out = f"on {wording.counted(verdict.rows, 'held-out row')}"
    said = f"{title} {with_interval(interval)} {held_out}" if interval else f"Judged {held_out}"
    if verdict.difference and verdict.champion:
        said += (
            f"; against the champion {with_interval(verdict.difference, sign=True)}, where larger is better"
        )
    return f"{said}."


def with_interval(interval: Interval | None, *, sign: bool = False, places: int = 4) -> str:
    """`0.8712 (0.8620 to 0.8799)`."""
    if interval is None:
        return wording.ABSENT
    text = wording.signed if sign else wording.decimal
    return f"{text(interval.value, places)} ({text(interval.low, places)} to {text(interval.high, places)})"


def _sentence(text: str) -> str:
    text = wording.clipped(text.strip())
    return text if not text or text[-1] in ".!?…" else f"{text}."
