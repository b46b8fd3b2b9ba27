"""The crash matrix against the code: whatever changes something outside is a commit point, or is said why not.

Effects are found by their calls: Iceberg's commits by pyiceberg and by Spark, MLflow's writes, and what a laptop's
endpoint does to files and processes. Kubernetes and Cloudera AI have fault tests of their own, by their API.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.faults.crash_matrix.points import POINTS

SOURCES = Path(__file__).resolve().parents[2] / "src"
PLACES = ("iceberg", "in_process", "spark", "mlflow", "local")
PYICEBERG = {"commit", "commit_table", "create_table", "purge_table", "drop_table", "update_schema"}
SPARK_SQL = re.compile(r"(CREATE|ALTER|DROP|INSERT|DELETE|UPDATE|MERGE|TRUNCATE)\b")
MLFLOW = re.compile(r"(create|log|set|delete|update|rename|finalize|link|transition)_")
LOCAL = {"Popen", "kill", "killpg", "rmtree", "unlink", "replace", "write_text", "write_bytes"}

_SPARK, _IN_PROCESS = "lakeloop.adapters.spark", "lakeloop.adapters.in_process"
_ICEBERG, _MLFLOW, _LOCAL = "lakeloop.adapters.iceberg", "lakeloop.adapters.mlflow", "lakeloop.adapters.local"
_CLIENT = "mlflow.tracking.client:MlflowClient"
_APPEND = "pyspark.sql.readwriter:DataFrameWriterV2.append"

POINT_OF = {
    f"{_SPARK}.sql:create_table": f"{_SPARK}.publisher:create_table",
    f"{_SPARK}.sql:add_columns": f"{_SPARK}.feature_builder:add_columns",
    f"{_SPARK}.publisher:_Publication.append": _APPEND,
    f"{_SPARK}.publisher:_Publication.drop_table": f"{_SPARK}.publisher:_Publication.drop_table",
    f"{_SPARK}.feature_builder:_Ranges._write": _APPEND,
    f"{_SPARK}.branches:TableRefs.create": f"{_SPARK}.branches:TableRefs.create",
    f"{_SPARK}.branches:TableRefs.drop": f"{_SPARK}.branches:TableRefs.drop",
    f"{_SPARK}.branches:TableRefs.publish": f"{_SPARK}.branches:TableRefs.publish",
    f"{_SPARK}.branches:TableRefs._stage_properties": f"{_SPARK}.branches:TableRefs.publish",
    f"{_IN_PROCESS}.tables:create_table": f"{_IN_PROCESS}.publisher:create_table",
    f"{_IN_PROCESS}.tables:add_columns": f"{_IN_PROCESS}.feature_builder:add_columns",
    f"{_IN_PROCESS}.publisher:_Publication.drop_table": f"{_IN_PROCESS}.publisher:_Publication.drop_table",
    f"{_IN_PROCESS}.quarantine:keep_refused": f"{_IN_PROCESS}.publisher:keep_refused",
    f"{_ICEBERG}.branches:IcebergRefs.create": f"{_ICEBERG}.branches:IcebergRefs.create",
    f"{_ICEBERG}.branches:IcebergRefs.append": f"{_ICEBERG}.branches:IcebergRefs.append",
    f"{_ICEBERG}.branches:IcebergRefs.drop": f"{_ICEBERG}.branches:IcebergRefs.drop",
    f"{_ICEBERG}.branches:IcebergRefs._commit": f"{_ICEBERG}.branches:IcebergRefs.publish",
    f"{_ICEBERG}.lake:IcebergLake._committed": f"{_ICEBERG}.lake:IcebergLake.pin",
    f"{_ICEBERG}.ledger:IcebergLedger._table": f"{_ICEBERG}.ledger:IcebergLedger.append",
    f"{_ICEBERG}.ledger:IcebergLedger._with_all_columns": f"{_ICEBERG}.ledger:IcebergLedger.append",
    f"{_ICEBERG}.ledger:IcebergLedger._commit": f"{_ICEBERG}.ledger:IcebergLedger.append",
    f"{_MLFLOW}.client:experiment_id": f"{_CLIENT}.create_experiment",
    f"{_MLFLOW}.registry:MlflowModelRegistry._ensure_model": f"{_CLIENT}.create_registered_model",
    f"{_MLFLOW}.registry:MlflowModelRegistry._create": f"{_CLIENT}.create_model_version",
    f"{_MLFLOW}.registry:MlflowModelRegistry.register": f"{_CLIENT}.set_registered_model_alias",
    f"{_MLFLOW}.registry:MlflowModelRegistry.promote": f"{_CLIENT}.set_registered_model_alias",
    f"{_MLFLOW}.tracker:MlflowRunTracker.log_training": f"{_CLIENT}.set_terminated",
    f"{_MLFLOW}.tracker:MlflowRunTracker.log_verdict": f"{_CLIENT}.log_text",
    f"{_MLFLOW}.tracker:MlflowRunTracker.log_file": f"{_MLFLOW}.tracker:MlflowRunTracker.log_file",
    f"{_MLFLOW}.tracker:MlflowRunTracker._create_run": f"{_CLIENT}.create_run",
    f"{_MLFLOW}.tracker:MlflowRunTracker._log": f"{_CLIENT}.log_inputs",
    f"{_MLFLOW}.tracker:MlflowRunTracker._log_model": f"{_CLIENT}.log_model_artifacts",
    f"{_MLFLOW}.tracker:MlflowRunTracker._finalize": f"{_CLIENT}.finalize_logged_model",
    f"{_MLFLOW}.tracker:MlflowRunTracker._settle": f"{_CLIENT}.set_terminated",
    f"{_LOCAL}.endpoint_folder:EndpointFolder.keep_model": f"{_LOCAL}.endpoint_folder:EndpointFolder.keep_model",
    f"{_LOCAL}.endpoint_folder:_replace": f"{_LOCAL}.endpoint_folder:EndpointFolder.write_routes",
    f"{_LOCAL}.process:ServerProcess._spawn": f"{_LOCAL}.process:ServerProcess.start",
    f"{_LOCAL}.process:ServerProcess._signal": f"{_LOCAL}.process:ServerProcess.stop",
    f"{_LOCAL}.process:ServerProcess.remove_files": f"{_LOCAL}.process:ServerProcess.stop",
}
"""Function with an effect -> the commit point that stands for it."""

_TIDY = "tidying looks again before each removal, and can be called again: tests/integration/test_tidy.py"
_REPLAY = "a replay's own table, which it drops, or tidying: tests/integration/test_replay.py, test_tidy.py"
_PIECES = (
    "pieces found again by their ids, through kill -9: tests/contract/test_row_log.py, test_prediction_log.py"
)
NO_POINT = {
    f"{_ICEBERG}.publication:Publication.run": "calls the engine's own create_table",
    f"{_ICEBERG}.publication:Publication._undo_creation": "calls the engine's own drop_table",
    f"{_ICEBERG}.batch_records:IcebergBatchRecords.keep": "every 33rd batch: tests/contract/test_batch_records.py",
    f"{_ICEBERG}.batch_records:IcebergBatchRecords._table": "made when the first records are kept",
    f"{_ICEBERG}.housekeeping:IcebergTableKeeper.drop_branch": _TIDY,
    f"{_ICEBERG}.housekeeping:IcebergTableKeeper.expire": _TIDY,
    f"{_ICEBERG}.housekeeping:IcebergTableKeeper.delete_files": _TIDY,
    f"{_ICEBERG}.housekeeping:IcebergTableKeeper.purge": _TIDY,
    f"{_ICEBERG}.row_log:IcebergRowLog.append.commit": _PIECES,
    f"{_ICEBERG}.row_log:IcebergRowLog.table": _PIECES,
    f"{_SPARK}.feature_recomputer:SparkFeatureRecomputer._append": _REPLAY,
    f"{_SPARK}.feature_recomputer:_drop": _REPLAY,
    f"{_MLFLOW}.serving_models:MlflowServingModels.publish": "of Cloudera AI: tests/faults/test_workbench_calls.py",
    f"{_LOCAL}.endpoint_folder:EndpointFolder.forget_all_but": "models that no server serves any more",
}
"""Function with an effect -> why no power cut is played there."""


def effects() -> Iterator[str]:
    """`module:qualified.name` of each function that changes something outside."""
    for place in PLACES:
        for file in sorted((SOURCES / "lakeloop/adapters" / place).rglob("*.py")):
            module = ".".join(file.relative_to(SOURCES).with_suffix("").parts)
            yield from (f"{module}:{name}" for name in _Finder(place).functions(file.read_text("utf-8")))


class _Finder(ast.NodeVisitor):
    """Functions of a module in which an effect is called."""

    def __init__(self, place: str) -> None:
        self._place, self._inside, self._found = place, list[str](), dict[str, None]()

    def functions(self, text: str) -> list[str]:
        self.visit(ast.parse(text))
        return list(self._found)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_named(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_named(node)

    def _visit_named(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and self._is_effect(node, node.func):
            self._found[".".join(self._inside)] = None
        self.generic_visit(node)

    def _is_effect(self, node: ast.Call, called: ast.Attribute) -> bool:
        name, on = called.attr, ast.unparse(called.value)
        if self._place == "local":
            return name in LOCAL and not (name == "replace" and on.startswith("'"))
        if self._place == "mlflow":
            return "client" in on and bool(MLFLOW.match(name))
        if name == "sql" and node.args:
            return bool(SPARK_SQL.match(ast.unparse(node.args[0]).lstrip("f").strip("'\"")))
        if name == "append":
            return on in {"writer", "table", "loaded", "self._table"} or "writer." in on
        return name in PYICEBERG or name in {"commitTransaction", "write_table", "delete_file"}


def test_every_effect_is_a_commit_point_or_says_why_not() -> None:
    unknown = [name for name in effects() if name not in POINT_OF and name not in NO_POINT]
    assert not unknown, "give it a point in crash_matrix/points.py, or a reason here"


def test_what_is_named_is_there() -> None:
    found, targets = set(effects()), {point.target for point in POINTS}
    assert not {*POINT_OF, *NO_POINT} - found
    assert not set(POINT_OF.values()) - targets
