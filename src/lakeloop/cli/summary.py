"""The end of a run in words: what landed, what was learnt, what was decided, what answers now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Documents = Mapping[str, Any]
LIVE = frozenset({"live", "already_live"})
COLUMNS_SHOWN = 4
MODELS = ("challenger", "champion")


def summary_lines(documents: Documents) -> list[str]:
    """Label and text of each part, from the run's journal; parts that did not happen are left out."""
    parts = [
        ("batch", _batch(documents)),
        ("snapshots", _snapshots(documents)),
        ("MLflow run", _training(documents)),
        ("verdict", _verdict(documents)),
        ("scores", _scores(documents)),
        ("model", _model(documents)),
        ("endpoint", _endpoint(documents)),
        ("answered", _answer(documents)),
        ("refused", _refusal(documents)),
        ("report", (documents.get("report") or {}).get("path", "")),
    ]
    return [f"  {label:<11} {text}" for label, text in parts if text]


def _batch(documents: Documents) -> str:
    ingest = documents.get("ingest")
    if not ingest:
        return ""
    if ingest["outcome"] == "nothing":
        return (documents.get("batch") or {}).get("note") or ingest["reason"] or "nothing to land"
    text = f"{ingest['batch_id']}: {ingest['outcome'].replace('_', ' ')}, {ingest['rows']:,} rows"
    landed = f" in {ingest['table']}, snapshot {ingest['snapshot_id']}" if ingest["snapshot_id"] else ""
    return text + landed


def _snapshots(documents: Documents) -> str:
    plan = documents.get("plan")
    if not plan:
        return ""
    if not plan["range"]:
        return f"{plan['action']}: {'; '.join(plan['reasons'])}"
    start = plan["range"]["from_snapshot_id"] or "the first row"
    rows = _count(plan["added_rows"])
    return f"({start}, {plan['range']['to_snapshot_id']}]  {plan['action']}, {rows} new rows"


def _count(rows: int | None) -> str:
    return "?" if rows is None else f"{rows:,}"


def _training(documents: Documents) -> str:
    training = documents.get("training")
    if not training:
        return ""
    return (
        f"{training['mlflow_run_id']}  {training['train_rows']:,} rows trained on, "
        f"{training['holdout_rows']:,} held out, {training['rounds']} rounds"
    )


def _verdict(documents: Documents) -> str:
    verdict = documents.get("verdict")
    if not verdict:
        return ""
    return f"{verdict['decision']}: {'; '.join(verdict['reasons'])}"


def _scores(documents: Documents) -> str:
    verdict = documents.get("verdict") or {}
    parts = [
        (who, (verdict.get(who) or {}).get("metrics", {}).get(verdict["metric"])) for who in MODELS if verdict
    ]
    told = [f"{who} {_interval(value)}" for who, value in parts if value]
    return f"{verdict['metric']}: {'; '.join(told)}" if told else ""


def _interval(value: Mapping[str, float]) -> str:
    return f"{value['value']:.4f} ({value['low']:.4f} to {value['high']:.4f})"


def _model(documents: Documents) -> str:
    registration, rollout = documents.get("registration"), documents.get("rollout")
    if not registration:
        return ""
    live = rollout and rollout["outcome"] in LIVE
    alias = "champion" if live else "challenger"
    return f"{registration['model_name']} version {registration['version']} @{alias}"


def _endpoint(documents: Documents) -> str:
    rollout = documents.get("rollout")
    if not rollout:
        return ""
    outcome = str(rollout["outcome"]).replace("_", " ")
    return f"{rollout['url']}  {outcome}, version {rollout['version']}"


def _answer(documents: Documents) -> str:
    rollout = documents.get("rollout") or {}
    rows = (rollout.get("sample_request") or {}).get("rows") or []
    scores = (rollout.get("sample_response") or {}).get("scores") or []
    if not rows or not scores or rollout["outcome"] not in LIVE:
        return ""
    return f"{_short(rows[0])} -> {scores[0]:.6f}"


def _short(row: Mapping[str, Any]) -> str:
    """The first columns of a row; the whole row is in the report."""
    shown = ", ".join(
        f"{name} {json.dumps(row[name], default=str, ensure_ascii=False)}"
        for name in list(row)[:COLUMNS_SHOWN]
    )
    hidden = len(row) - COLUMNS_SHOWN
    return shown + (f", {hidden} more" if hidden > 0 else "")


def _refusal(documents: Documents) -> str:
    refusal, ingest = documents.get("refusal"), documents.get("ingest") or {}
    broken = [
        f"{rule['rule']}: {rule['observed']}, expected {rule['expected']}"
        for rule in ingest.get("rules") or []
        if not rule["passed"]
    ]
    if broken:
        kept = f"; kept in {ingest['quarantine_uri']}" if ingest.get("quarantine_uri") else ""
        return "; ".join(broken) + kept
    if not isinstance(refusal, Mapping):
        return ""
    return refusal.get("reason") or "; ".join(refusal.get("reasons") or [])
