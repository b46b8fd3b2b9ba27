"""Every commit to the outside, as the code makes them, in the order of a run."""

from __future__ import annotations

from dataclasses import dataclass

MLFLOW = "mlflow.tracking.client:MlflowClient"
LEDGER = "lakeloop.adapters.iceberg.ledger:IcebergLedger.append"
REFS = "lakeloop.adapters.spark.branches:TableRefs"
SPARK_APPEND = "pyspark.sql.readwriter:DataFrameWriterV2.append"
FOLDER = "lakeloop.adapters.local.endpoint_folder:EndpointFolder"
SERVER = "lakeloop.adapters.local.process:ServerProcess"
UNPIN = "lakeloop.adapters.iceberg.lake:IcebergLake.unpin"
PIN = "lakeloop.adapters.iceberg.lake:IcebergLake.pin"
PIN_ALL = "lakeloop.adapters.iceberg.lake:IcebergLake.pin_all"
STEP = "lakeloop.runtime.step"


@dataclass(frozen=True)
class Point:
    """The nth call of a function in a step is a commit; `name` is what is then true.

    `alone`: in a run that goes on after a death, the nth call may be another one, so that a death here is played from
    a home in which nobody has died.
    """

    step: str
    name: str
    target: str
    nth: int = 1
    alone: bool = False

    @property
    def wanted(self) -> list[object]:
        return [self.step, self.target, self.nth]


def edge(step: str) -> Point:
    """Right before the step does anything."""
    return Point(step, "the step begins", f"{STEP}:_step")


FIRST_RUN = (
    Point("ingest_batch", "source table made", "lakeloop.adapters.spark.publisher:create_table"),
    Point("ingest_batch", "branch made", f"{REFS}.create"),
    Point("ingest_batch", "rows committed to the branch", SPARK_APPEND),
    Point("ingest_batch", "main fast-forwarded, branch removed", f"{REFS}.publish"),
    Point("build_training_set", "claim in the ledger", LEDGER),
    Point("build_training_set", "snapshots of the plan pinned", PIN_ALL, 1),
    Point("build_training_set", "feature table made", "lakeloop.adapters.spark.feature_builder:create_table"),
    Point("build_training_set", "branch of the range made", f"{REFS}.create"),
    Point("build_training_set", "feature rows committed to the branch", SPARK_APPEND),
    Point("build_training_set", "feature rows published", f"{REFS}.publish"),
    Point("build_training_set", "feature rows pinned for the training", PIN_ALL, 2),
    Point("train_model", "MLflow experiment made", f"{MLFLOW}.create_experiment"),
    Point("register_model", "registered model made", f"{MLFLOW}.create_registered_model"),
    Point("redeploy_endpoint", "gateway started", f"{SERVER}.start", 2),
)

FIRST_STEPS = tuple(p for p in FIRST_RUN if p.step in {"ingest_batch", "build_training_set"})
LATER_RUN_IN_SPARK = (
    *(p for p in FIRST_STEPS if not p.name.endswith("table made")),
    Point("build_training_set", "what a dead training held let go", UNPIN, 1),
)
NEW_FEATURE = (
    Point(
        "build_training_set",
        "columns added to the feature table",
        "lakeloop.adapters.spark.feature_builder:add_columns",
    ),
)

LATER_RUN = (
    Point("train_model", "MLflow run made", f"{MLFLOW}.create_run"),
    Point("train_model", "parameters and metrics logged", f"{MLFLOW}.log_batch"),
    Point("train_model", "dataset logged", f"{MLFLOW}.log_inputs"),
    Point("train_model", "logged model made", "lakeloop.adapters.mlflow.tracker:create_logged_model"),
    Point("train_model", "model's files logged", f"{MLFLOW}.log_model_artifacts"),
    Point("train_model", "logged model ready", f"{MLFLOW}.finalize_logged_model"),
    Point("train_model", "training's document logged", f"{MLFLOW}.log_text"),
    Point("train_model", "run finished", f"{MLFLOW}.set_terminated", alone=True),
    Point("train_model", "step's output written", f"{STEP}:Step.write"),
    Point("evaluate_model", "holdout metrics logged", f"{MLFLOW}.log_batch"),
    Point("evaluate_model", "verdict logged", f"{MLFLOW}.log_text"),
    Point("evaluate_model", "accepted in the ledger", LEDGER),
    Point("register_model", "version made", f"{MLFLOW}.create_model_version"),
    Point("register_model", "alias challenger moved", f"{MLFLOW}.set_registered_model_alias"),
    Point("register_model", "source snapshot pinned by a tag", PIN, 1),
    Point("register_model", "feature snapshot pinned by a tag", PIN, 2),
    Point("register_model", "source snapshots of the training let go", UNPIN, 1),
    Point("register_model", "feature rows of the training let go", UNPIN, 2),
    Point("redeploy_endpoint", "model kept beside the endpoint", f"{FOLDER}.keep_model"),
    Point("redeploy_endpoint", "candidate's server started", f"{SERVER}.start"),
    Point("redeploy_endpoint", "traffic moved", f"{FOLDER}.write_routes", 1),
    Point("redeploy_endpoint", "alias champion moved", f"{MLFLOW}.set_registered_model_alias"),
    Point("redeploy_endpoint", "old server out of the routes", f"{FOLDER}.write_routes", 2, alone=True),
    Point("redeploy_endpoint", "old server stopped", f"{SERVER}.stop", 1, alone=True),
    Point("redeploy_endpoint", "promoted in the ledger", LEDGER),
    Point("report_run", "report written", f"{STEP}:Step.write"),
    Point(
        "report_run", "report kept in MLflow", "lakeloop.adapters.mlflow.tracker:MlflowRunTracker.log_file"
    ),
)

REJECTION = (
    Point("evaluate_model", "source snapshots of a rejected training let go", UNPIN, 1),
    Point("evaluate_model", "feature rows of a rejected training let go", UNPIN, 2),
    Point("evaluate_model", "rejected in the ledger", LEDGER),
)

REFUSAL = (
    Point("ingest_batch", "refused rows in quarantine", "lakeloop.adapters.spark.publisher:keep_refused"),
    Point("ingest_batch", "refused branch dropped", f"{REFS}.drop"),
    Point("ingest_batch", "batch_refused in the ledger", LEDGER),
)
FIRST_REFUSAL = (
    Point(
        "ingest_batch",
        "table of a refused first batch dropped",
        "lakeloop.adapters.spark.publisher:_Publication.drop_table",
    ),
)

BY_HAND = {
    command: (
        Point(command, "claim in the ledger", LEDGER, 1),
        Point(command, "model kept beside the endpoint", f"{FOLDER}.keep_model"),
        Point(command, "candidate's server started", f"{SERVER}.start"),
        Point(command, "traffic moved", f"{FOLDER}.write_routes", 1),
        Point(command, "alias champion moved", f"{MLFLOW}.set_registered_model_alias"),
        Point(command, "old server out of the routes", f"{FOLDER}.write_routes", 2, alone=True),
        Point(command, "old server stopped", f"{SERVER}.stop", 1, alone=True),
        Point(command, f"{kind} in the ledger", LEDGER, 2),
    )
    for command, kind in (("rollback", "rolled_back"), ("promote", "promoted"))
} | {
    "retire": (
        Point("retire", "claim in the ledger", LEDGER, 1),
        Point("retire", "retired in the ledger", LEDGER, 2),
        Point("retire", "source snapshot unpinned", UNPIN, 1),
        Point("retire", "feature snapshot unpinned", UNPIN, 2),
        Point("retire", "released in the ledger", LEDGER, 3),
    )
}
"""Commands that change something without a run; each is called again after its death."""

_PROCESS = "lakeloop.adapters.in_process"
_REFS = "lakeloop.adapters.iceberg.branches:IcebergRefs"
FIRST_RUN_IN_PROCESS = (
    Point("ingest_batch", "in process: source table made", f"{_PROCESS}.publisher:create_table"),
    Point("ingest_batch", "in process: branch made", f"{_REFS}.create"),
    Point("ingest_batch", "in process: rows committed to the branch", f"{_REFS}.append"),
    Point("ingest_batch", "in process: main fast-forwarded, branch removed", f"{_REFS}.publish"),
    Point("build_training_set", "in process: feature table made", f"{_PROCESS}.feature_builder:create_table"),
    Point("build_training_set", "in process: branch of the range made", f"{_REFS}.create"),
    Point("build_training_set", "in process: feature rows committed to the branch", f"{_REFS}.append"),
    Point("build_training_set", "in process: feature rows published", f"{_REFS}.publish"),
)
LATER_RUN_IN_PROCESS = tuple(p for p in FIRST_RUN_IN_PROCESS if not p.name.endswith("table made"))
REFUSAL_IN_PROCESS = (
    Point("ingest_batch", "in process: refused rows in quarantine", f"{_PROCESS}.publisher:keep_refused"),
    Point("ingest_batch", "in process: refused branch dropped", f"{_REFS}.drop"),
)
FIRST_REFUSAL_IN_PROCESS = (
    Point(
        "ingest_batch",
        "in process: table of a refused first batch dropped",
        f"{_PROCESS}.publisher:_Publication.drop_table",
    ),
)
NEW_FEATURE_IN_PROCESS = (
    Point(
        "build_training_set",
        "in process: columns added to the feature table",
        f"{_PROCESS}.feature_builder:add_columns",
    ),
)
IN_PROCESS = (
    *FIRST_RUN_IN_PROCESS,
    *NEW_FEATURE_IN_PROCESS,
    *REFUSAL_IN_PROCESS,
    *FIRST_REFUSAL_IN_PROCESS,
)

STEPS = ("ingest_batch", "build_training_set", "train_model", "evaluate_model", "register_model",
         "redeploy_endpoint", "report_run")  # fmt: skip
HAND_POINTS = tuple(point for points in BY_HAND.values() for point in points)
OF_A_RUN = tuple(
    dict.fromkeys(
        [
            *FIRST_STEPS,
            *LATER_RUN_IN_SPARK,
            *NEW_FEATURE,
            *LATER_RUN,
            *FIRST_RUN,
            *REJECTION,
            *REFUSAL,
            *FIRST_REFUSAL,
            *IN_PROCESS,
        ]
    )
)
"""Each once, in the order of the published table."""
_ALL = [*OF_A_RUN, *HAND_POINTS]
POINTS = list(dict.fromkeys([*_ALL, *map(edge, STEPS)]))
WANTED = [point.wanted for point in POINTS]


def kill(point: Point, side: str, *, only_step: bool = False) -> str:
    """What LAKELOOP_TEST_KILL is for a death there; points that share a call share their number, too."""
    return f"{WANTED.index(point.wanted)}:{side}{':step' if only_step else ''}"
