"""Documents of made-up runs, as the run journal gives them: one builder a kind of ending."""

from __future__ import annotations

from typing import Any

import numpy as np

from lakeloop.domain.batch import Batch, IngestResult, RuleResult
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet
from lakeloop.domain.plan import Plan, Watermark
from lakeloop.domain.profile import Bin, ColumnProfile, Profile, ValueCount
from lakeloop.domain.rollout import Registration, Rollout, RolloutStep
from lakeloop.domain.snapshots import Snapshot, SnapshotRange
from lakeloop.domain.step_record import StepRecord
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.verdict import Check, Curve, Evaluation, Interval, Scores, Verdict

TABLE, UUID = "bank.transactions", "0b0f6f1e-5f3c-4f4e-9a60-0f4c1f5d2a11"
FROM, TO = "7021388116305811253", "3051729675574597004"
FEATURE_SNAPSHOT = "4410985533172097713"
BATCH_ID = "card-fraud-3-9c41f0d27be1"
URL = "http://127.0.0.1:18083"
START_MS = 1_772_359_812_000


def use_case() -> UseCase:
    """A small card-fraud use case."""
    columns = {
        "transaction_id": "string",
        "event_time": "timestamp",
        "age": "int",
        "transaction_amount": "double",
        "fraud_trx": "int",
    }
    return UseCase.model_validate(
        {
            "name": "card_fraud",
            "table": {
                "name": TABLE,
                "key": ["transaction_id"],
                "event_time": "event_time",
                "columns": columns,
            },
            "source": {"kind": "files", "path": "transactions-*.csv"},
            "label": {"column": "fraud_trx"},
            "features": ["age", "transaction_amount"],
        }
    )


def batch() -> Batch:
    files = tuple(
        f"file:///home/ana/.lakeloop/staging/card_fraud/{BATCH_ID}/part-{i}.parquet" for i in range(2)
    )
    return Batch(kind="synthetic", batch_id=BATCH_ID, number=3, files=files, rows=10_000)


def _column(name: str, kind: str, values: Any, nulls: int = 0) -> ColumnProfile:
    edges = [values.min(), *np.linspace(*np.quantile(values, (0.01, 0.99)), 21), values.max()]
    counts, _ = np.histogram(values, bins=np.maximum.accumulate(edges))
    ends = zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    bins = (Bin(low=low, high=high, rows=rows) for low, high, rows in ends)
    quantiles = zip(("p05", "p50", "p95"), np.quantile(values, (0.05, 0.5, 0.95)).tolist(), strict=True)
    return ColumnProfile(
        name=name,
        type=kind,
        nulls=nulls,
        invalid=0,
        distinct=len(np.unique(values)),
        min=str(values.min()),
        max=str(values.max()),
        mean=float(values.mean()),
        std=float(values.std()),
        quantiles=dict(quantiles),
        histogram=tuple(bins),
    )


def profile() -> Profile:
    random = np.random.default_rng(5)
    names = ("credit_card_balance", "bank_account_balance", "mortgage_balance", "total_est_nworth")
    money = [_column(name, "double", random.lognormal(8, 0.7, 2_000)) for name in names]
    counts = {"POS": 6_102, "online": 3_011, "ATM": 887}
    top = tuple(ValueCount(value=value, rows=rows) for value, rows in counts.items())
    text: dict[str, Any] = {"type": "string", "nulls": 0, "invalid": 0}
    columns = (
        ColumnProfile(name="transaction_id", **text, distinct=9_981, min="t-0", max="t-9"),
        ColumnProfile(name="channel", **text, distinct=3, min="ATM", max="online", top=top),
        _column("age", "int", random.integers(16, 101, 2_000), nulls=31),
        *money,
        _column("longitude", "double", random.normal(-95, 14, 2_000)),
        _column("transaction_amount", "double", random.lognormal(5, 1.1, 2_000)),
        _column("fraud_trx", "int", (random.random(2_000) < 0.07).astype(int)),
    )
    return Profile(
        batch_id=BATCH_ID,
        rows=10_000,
        files=2,
        label_column="fraud_trx",
        labelled_rows=10_000,
        label_rate=0.0712,
        columns=columns,
    )


def ingest(outcome: str = "published") -> IngestResult:
    refused = outcome == "refused"
    rules = (
        RuleResult(rule="schema", passed=True, observed="15 columns", expected="15 columns"),
        RuleResult(rule="not_null(transaction_id)", passed=True, observed="0 nulls", expected="0 nulls"),
        RuleResult(
            rule="range(age)",
            passed=not refused,
            observed="16 to 241" if refused else "16 to 100",
            expected="16 to 120",
            failing_rows=412 if refused else 0,
        ),
        RuleResult(rule="label_rate", passed=True, observed="0.0712", expected="0.005 to 0.3"),
    )
    return IngestResult.model_validate(
        {
            "outcome": outcome,
            "batch_id": BATCH_ID,
            "table": TABLE,
            "table_uuid": UUID,
            "snapshot_id": None if refused else TO,
            "rows": 10_000,
            "rules": rules,
            "quarantine_uri": "file:///home/ana/.lakeloop/staging/quarantine/card_fraud/x"
            if refused
            else None,
            "reason": "1 of 4 rules is broken" if refused else "",
            "spark_seconds": 7.4,
        }
    )


def snapshot_range() -> SnapshotRange:
    return SnapshotRange(table=TABLE, table_uuid=UUID, from_snapshot_id=FROM, to_snapshot_id=TO)


def plan(action: str = "append-scan", reason: str = "1 append since the watermark") -> Plan:
    scanning = action == "append-scan"
    snapshot = Snapshot(
        snapshot_id=TO,
        parent_id=FROM,
        sequence_number=3,
        timestamp_ms=START_MS + 9_000,
        summary={"added-records": "10000", "lakeloop.batch-id": BATCH_ID},
    )
    return Plan.model_validate(
        {
            "action": action,
            "reasons": (reason,),
            "range": snapshot_range() if scanning else None,
            "snapshots": (snapshot,) if scanning else (),
            "added_rows": 10_000 if scanning else 0,
            "schema_id": 0,
            "watermark": Watermark(table_uuid=UUID, snapshot_id=FROM, schema_id=0),
        }
    )


def training_set() -> TrainingSet:
    return TrainingSet(
        use_case="card_fraud",
        range=snapshot_range(),
        snapshots=(TO,),
        schema_id=0,
        feature_hash="5be1a09c4d2f7e33",
        feature_table="bank.transactions__card_fraud_features",
        feature_table_uuid="c3a6f2c0-7c86-4e1c-8f0b-5d1f2e3a4b5c",
        feature_snapshot_id=FEATURE_SNAPSHOT,
        range_ids=("91d0cf0a22e4b7aa",),
        newest_range_id="91d0cf0a22e4b7aa",
        rows=10_000,
        newest_rows=10_000,
        spark_seconds=5.1,
    )


def training() -> TrainedModel:
    code = CodeIdentity(
        git_commit="9f2c41d",
        libraries={"xgboost": "3.2.0", "pyarrow": "21.0.0", "mlflow": "3.17.0", "pyspark": "4.1.4"},
    )
    rounds = np.arange(1, 94)
    return TrainedModel(
        lineage=Lineage(
            run_key="5d0cbe7f1a2b3c4d5e6f",
            use_case="card_fraud",
            use_case_digest=use_case().digest(),
            training_set=training_set(),
            code=code,
            seed=42,
        ),
        mlflow_run_id="8d1e3fd0c4a54e0b8f1b2c3d4e5f6a7b",
        model_uri="models:/m-4f0d9c0b5a6e47d2",
        model_digest="c7" * 32,
        booster_sha256="a4" * 32,
        rounds=93,
        train_rows=8_000,
        holdout_rows=2_000,
        holdout_start="2026-03-01T19:12:00+00:00",
        history={
            "train-logloss": tuple((0.19 + 0.06 * np.exp(-rounds / 18)).tolist()),
            "validation-logloss": tuple((0.203 + 0.047 * np.exp(-rounds / 15) + 1e-7 * rounds**2).tolist()),
        },
        train_seconds=1.3,
    )


def verdict(decision: str = "promote", *, bootstrap: bool = False) -> Verdict:
    won = decision == "promote"
    champion = (
        None
        if bootstrap
        else Scores(
            model="champion v6",
            metrics={
                "roc_auc": Interval(value=0.8513, low=0.8266, high=0.8741),
                "pr_auc": Interval(value=0.4102, low=0.3518, high=0.4689),
                "log_loss": Interval(value=0.2071, low=0.1903, high=0.2240),
                "brier": Interval(value=0.0561, low=0.0502, high=0.0619),
            },
            expected_calibration_error=0.0143,
        )
    )
    challenger = Scores(
        model="challenger",
        metrics={
            "roc_auc": Interval(value=0.8712, low=0.8489, high=0.8920),
            "pr_auc": Interval(value=0.4587, low=0.3990, high=0.5163),
            "log_loss": Interval(value=0.1984, low=0.1817, high=0.2148),
            "brier": Interval(value=0.0534, low=0.0477, high=0.0590),
        },
        expected_calibration_error=0.0098,
    )
    lost = "improvement: the interval of the difference does not lie above +0.0000"
    gained = "ROC AUC is better than the champion's on the same rows"
    return Verdict.model_validate(
        {
            "decision": decision,
            "bootstrap": bootstrap,
            "metric": "roc_auc",
            "reasons": (gained if won else lost,),
            "checks": (
                Check(
                    name="evidence",
                    passed=True,
                    observed="2000 rows, 142 positives",
                    required="500 rows, 10 positives",
                ),
                Check(name="floor", passed=True, observed="0.8712", required=">= 0.7000"),
                Check(name="improvement", passed=won, observed="+0.0081 to +0.0320", required="> +0.0000"),
            ),
            "rows": 2_000,
            "positives": 142,
            "challenger": challenger,
            "champion": champion,
            "champion_version": None if bootstrap else "6",
            "difference": None
            if bootstrap
            else Interval(value=0.0199, low=0.0081, high=0.0320)
            if won
            else Interval(value=-0.0021, low=-0.0113, high=0.0070),
            "probability_better": None if bootstrap else 0.998 if won else 0.33,
            "scoring_seconds": 0.6,
        }
    )


def _curves(noise: float, seed: int) -> dict[str, Curve]:
    """ROC, precision-recall, calibration and histogram points of made-up scores on 2,000 rows."""
    random = np.random.default_rng(seed)
    logit = random.normal(-3.0, 1.5, 2_000)
    label = random.random(2_000) < 1 / (1 + np.exp(-logit))
    score = 1 / (1 + np.exp(-(logit + random.normal(0, noise, 2_000))))
    hit = label[np.argsort(-score)]
    true, false = np.cumsum(hit), np.cumsum(~hit)
    at = np.unique(np.linspace(0, 1_999, 150).astype(int))
    counts, edges = np.histogram(score, bins=20, range=(0, 1))
    bins = np.array_split(np.argsort(score), 10)

    def curve(x: Any, y: Any) -> Curve:
        return Curve(x=tuple(np.asarray(x, float).tolist()), y=tuple(np.asarray(y, float).tolist()))

    return {
        "roc": curve([0, *(false / false[-1])[at]], [0, *(true / true[-1])[at]]),
        "precision_recall": curve((true / true[-1])[at], (true / (true + false))[at]),
        "calibration": curve([score[b].mean() for b in bins], [label[b].mean() for b in bins]),
        "score_histogram": curve((edges[:-1] + edges[1:]) / 2, counts),
    }


def evaluation(*, champion: bool = True) -> Evaluation:
    models = {"challenger": _curves(0.5, 7)}
    if champion:
        models["champion v6"] = _curves(0.9, 7)
    shap = {
        "transaction_amount": 0.812,
        "balance_to_debt": 0.531,
        "credit_card_balance": 0.322,
        "age": 0.274,
        "distance_from_home_in_kilometres": 0.201,
        "total_est_nworth": 0.121,
        "longitude": 0.044,
        "latitude": 0.031,
        "uni_loan_balance": 0.0062,
    }
    plots = {name: {model: c[name] for model, c in models.items()} for name in models["challenger"]}
    return Evaluation(**plots, shap_importance=shap, shap_rows=2_000)


def registration() -> Registration:
    return Registration(
        model_name="card_fraud",
        version="7",
        model_uri="models:/card_fraud/7",
        model_digest="c7" * 32,
        previous_champion="6",
        pins={TABLE: "lakeloop_card_fraud_v7", training_set().feature_table: "lakeloop_card_fraud_v7"},
    )


def rollout(outcome: str = "live") -> Rollout:
    live = outcome == "live"
    last = (
        RolloutStep(
            name="verify",
            passed=True,
            detail=f"/version says 7 at snapshot {TO}; one real row answered",
            seconds=0.1,
        )
        if live
        else RolloutStep(name="verify", passed=False, detail="/version says 6, expected 7", seconds=30.0)
    )
    steps = [
        RolloutStep(
            name="prove", passed=True, detail="50 real rows, largest score difference 3.0e-08", seconds=2.2
        ),
        RolloutStep(name="shift", passed=True, detail="traffic sent to the candidate", seconds=0.05),
        last,
    ]
    if not live:
        steps.append(
            RolloutStep(name="roll_back", passed=True, detail="version 6 answers again", seconds=0.2)
        )
    row = {
        "transaction_id": "t-0000029817",
        "event_time": "2026-03-01T23:59:51",
        "age": 47,
        "transaction_amount": 1834.22,
    }
    return Rollout.model_validate(
        {
            "outcome": outcome,
            "endpoint": "card-fraud",
            "url": URL,
            "version": "7",
            "previous_version": "6",
            "steps": steps,
            "sample_request": {"rows": [row]},
            "sample_response": {
                "scores": [0.0831],
                "model_version": "7",
                "snapshot_id": TO,
                "prediction_ids": ["p-1"],
            },
            "max_score_difference": 2.98e-8,
            "rows_proved": 50,
        }
    )


SECONDS = {
    "generate_batch": 1.6,
    "profile_batch": 1.9,
    "ingest_batch": 12.3,
    "build_training_set": 10.4,
    "train_model": 6.2,
    "evaluate_model": 4.4,
    "register_model": 3.9,
    "redeploy_endpoint": 7.7,
}


def steps(*names: str, failed: str | None = None, error: str = "") -> dict[str, StepRecord]:
    """Records of the named steps; `failed` is the one that broke."""
    return {
        f"step_{name}": StepRecord(
            step=name,
            state="failed" if name == failed else "succeeded",
            started_at_ms=START_MS,
            seconds=SECONDS[name],
            error=error if name == failed else "",
        )
        for name in names
    }


def _json(documents: dict[str, Any]) -> dict[str, Any]:
    return {name: value.model_dump(mode="json") for name, value in documents.items()}


def promoted() -> dict[str, Any]:
    """A challenger that won and is live."""
    return _json(
        {
            "batch": batch(),
            "profile": profile(),
            "ingest": ingest(),
            "plan": plan(),
            "training_set": training_set(),
            "training": training(),
            "verdict": verdict(),
            "evaluation": evaluation(),
            "registration": registration(),
            "rollout": rollout(),
            **steps(*SECONDS),
        }
    )


def first_model() -> dict[str, Any]:
    """The first model of a use case, live."""
    first = {
        "verdict": verdict(bootstrap=True),
        "evaluation": evaluation(champion=False),
        "rollout": rollout().model_copy(update={"previous_version": None, "version": "1"}),
    }
    return promoted() | _json(first)


def rejected() -> dict[str, Any]:
    """A challenger that lost: a green run without registration and rollout."""
    kept = {k: v for k, v in promoted().items() if k not in {"registration", "rollout"}}
    kept = {k: v for k, v in kept.items() if k not in {"step_register_model", "step_redeploy_endpoint"}}
    return kept | _json({"verdict": verdict("reject")})


def batch_refused() -> dict[str, Any]:
    """A batch that broke its expectations."""
    names = ("generate_batch", "profile_batch", "ingest_batch")
    error = "bank.transactions: batch refused: range(age)"
    made = {
        "batch": batch(),
        "profile": profile(),
        "ingest": ingest("refused"),
        **steps(*names, failed="ingest_batch", error=error),
    }
    return _json(made) | {"refusal": {"reason": "range(age)"}}


def training_refused() -> dict[str, Any]:
    """Snapshots that are not plain appends."""
    reason = f"snapshot {TO} is an overwrite and snapshots.on_overwrite is refuse"
    made = {"batch": batch(), "ingest": ingest(), "plan": plan("refuse", reason)}
    return _json(made) | {"refusal": {"reasons": [reason]}}


def nothing_new() -> dict[str, Any]:
    """No rows since the watermark."""
    empty = Batch(kind="files", batch_id=None, note="all 12 files that match transactions-*.csv have landed")
    arrived = IngestResult(outcome="nothing", batch_id=None, table=TABLE)
    return _json(
        {"batch": empty, "ingest": arrived, "plan": plan("nothing", "no new snapshot since the watermark")}
    )


def rolled_back() -> dict[str, Any]:
    """A promotion whose rollout went back."""
    return promoted() | _json({"rollout": rollout("rolled_back")})


def broken_training(
    error: str = "card_fraud: train.params: unknown objective 'binary:logistics'",
) -> dict[str, Any]:
    """A run that broke in train_model."""
    names = ("generate_batch", "profile_batch", "ingest_batch", "build_training_set", "train_model")
    made = {"batch": batch(), "ingest": ingest(), "plan": plan(), "training_set": training_set()}
    return _json({**made, **steps(*names, failed="train_model", error=error)})
