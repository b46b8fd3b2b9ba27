"""What each section of the page shows, as values for its template; None where there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lakeloop.domain.snapshots import Snapshot
from lakeloop.domain.use_case import Gate, UseCase
from lakeloop.domain.verdict import Verdict
from lakeloop.reporting import commands, plots, small_plots, wording
from lakeloop.reporting.documents import RunDocuments
from lakeloop.reporting.flow import flow
from lakeloop.reporting.outcome import refusal_reason, with_interval
from lakeloop.reporting.profile_table import profile_rows
from lakeloop.reporting.status import FinalStatus
from lakeloop.reporting.thread import thread

View = Mapping[str, Any] | None
_MOST_SNAPSHOTS = 200


@dataclass(frozen=True)
class Run:
    """All that a report is made of."""

    pipeline_run_id: str
    use_case: UseCase
    documents: RunDocuments
    status: FinalStatus
    catalog_name: str = "lake"


def flow_section(run: Run) -> View:
    """Every step and what became of it."""
    return {"steps": flow(run.documents, run.status)}


def gate_section(run: Run) -> View:
    """Metrics with intervals, the paired difference, and each check."""
    verdict = run.documents.verdict
    if verdict is None:
        return None
    required = _required_difference(run.use_case.gate)
    title = wording.metric_title(verdict.metric)
    return {
        "verdict": verdict,
        "title": title,
        "metrics": _metric_rows(verdict),
        "confidence": wording.percent(run.use_case.gate.confidence, 0),
        "difference": verdict.difference
        and small_plots.difference(
            verdict.difference, required, f"Difference in {title}, challenger minus champion"
        ),
        "difference_text": with_interval(verdict.difference, sign=True),
        "required": wording.signed(required),
        "probability": wording.percent(verdict.probability_better),
    }


def _required_difference(gate: Gate) -> float:
    return -gate.max_loss if gate.max_loss > 0 else gate.min_effect


def _metric_rows(verdict: Verdict) -> list[dict[str, Any]]:
    ours = verdict.challenger.metrics if verdict.challenger else {}
    theirs = verdict.champion.metrics if verdict.champion else {}
    return [
        {
            "title": wording.metric_title(name),
            "smaller": name in wording.SMALLER_IS_BETTER,
            "decides": name == verdict.metric,
            "challenger": ours.get(name),
            "champion": theirs.get(name),
        }
        for name in dict.fromkeys((verdict.metric, *ours, *theirs))
    ]


def plots_section(run: Run) -> View:
    """Curves of both models, importances, and the training's course."""
    documents = run.documents
    drawn = (
        list(plots.evaluation_plots(documents.evaluation, documents.verdict)) if documents.evaluation else []
    )
    course = plots.training_history(documents.training.history) if documents.training else None
    drawn += [course] if course else []
    return {"plots": drawn} if drawn else None


def thread_section(run: Run) -> View:
    """From the answer back to the snapshots."""
    links = thread(run.documents)
    return {"links": links} if len(links) > 1 else None  # a batch alone is shown in its own section


def rollout_section(run: Run) -> View:
    """Each step of the redeploy with its evidence, and a real question with its answer."""
    rollout = run.documents.rollout
    if rollout is None:
        return None
    return {
        "rollout": rollout,
        "request": commands.pretty(rollout.sample_request),
        "response": commands.pretty(rollout.sample_response),
        "curl": commands.curl(rollout),
    }


def plan_section(run: Run) -> View:
    """What the planner decided, and the snapshots it rests on."""
    plan = run.documents.plan
    if plan is None:
        return None
    return {
        "plan": plan,
        "snapshots": [_snapshot_row(s) for s in plan.snapshots[:_MOST_SNAPSHOTS]],
        "hidden": max(0, len(plan.snapshots) - _MOST_SNAPSHOTS),
    }


def _snapshot_row(snapshot: Snapshot) -> dict[str, str]:
    return {
        "id": snapshot.snapshot_id,
        "operation": snapshot.operation,
        "at": wording.utc(snapshot.timestamp_ms),
        "added": wording.whole(snapshot.count("added-records")),
        "deleted": wording.whole(snapshot.count("deleted-records")),
        "batch": snapshot.summary.get("lakeloop.batch-id", wording.ABSENT),
    }


def batch_section(run: Run) -> View:
    """What landed, or why it did not, rule by rule."""
    documents = run.documents
    if not (documents.batch or documents.ingest or documents.refusal):
        return None
    rules = documents.ingest.rules if documents.ingest else ()
    return {
        "batch": documents.batch,
        "ingest": documents.ingest,
        "rules": sorted(rules, key=lambda rule: rule.passed),
        "broken": sum(not rule.passed for rule in rules),
        "refusal": "" if documents.ingest or documents.plan else refusal_reason(documents.refusal),
    }


def profile_section(run: Run) -> View:
    """The batch's columns at a glance."""
    profile = run.documents.profile
    if profile is None or not profile.rows:
        return None
    return {"profile": profile, "rows": profile_rows(profile)}


def next_section(run: Run) -> View:
    """Commands that look further, or do it again."""
    return {
        "commands": commands.next_commands(run.use_case, run.pipeline_run_id, run.documents, run.catalog_name)
    }


SECTIONS: tuple[tuple[str, str, Callable[[Run], View]], ...] = (
    ("flow", "What happened", flow_section),
    ("gate", "Verdict of the gate", gate_section),
    ("plots", "The models side by side", plots_section),
    ("thread", "From the answer back to the snapshots", thread_section),
    ("rollout", "Rollout", rollout_section),
    ("plan", "Plan", plan_section),
    ("batch", "Batch", batch_section),
    ("profile", "Batch profile", profile_section),
    ("next", "Look further", next_section),
)
