"""Settings -> adapters: the one place that names them together. Each adapter's library loads on first use."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import START_SECONDS, Deployment, Target, UseCase
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from lakeloop.adapters.cai.api import Api
    from lakeloop.adapters.iceberg.prediction_metrics import LoggedPredictionMetrics
    from lakeloop.ports.batch_records import BatchRecords
    from lakeloop.ports.comparison import RowComparer
    from lakeloop.ports.deployer import Deployer
    from lakeloop.ports.generator import BatchGenerator, BatchProfiler, SourceFolder
    from lakeloop.ports.housekeeping import FolderKeeper, TableKeeper
    from lakeloop.ports.inspector import Inspector
    from lakeloop.ports.job_board import JobBoard
    from lakeloop.ports.journal import RunJournal
    from lakeloop.ports.lake import BatchPublisher, FeatureBuilder, Lake
    from lakeloop.ports.latest_features import LatestFeatures
    from lakeloop.ports.ledger import Ledger
    from lakeloop.ports.models import ModelRegistry, RunTracker
    from lakeloop.ports.online_store import OnlineStore
    from lakeloop.ports.past_of_rows import PastOfRows
    from lakeloop.ports.piece_scorer import PieceScorer
    from lakeloop.ports.pipelines import PipelineService
    from lakeloop.ports.prediction_metrics import PredictionMetrics
    from lakeloop.ports.recomputer import FeatureRecomputer
    from lakeloop.ports.row_log import RowLog
    from lakeloop.ports.schedules import Schedules
    from lakeloop.ports.serving_models import ServingModels
    from lakeloop.ports.submitter import Submitter
    from lakeloop.ports.trainer import DistributedTrainer
    from lakeloop.publishing import FeaturePlaces
    from lakeloop.tidying import Places


def _untold(_: str) -> None:
    """Progress that nobody wants."""


def lake(settings: Settings) -> Lake:
    """Metadata and Arrow reads."""
    from lakeloop.adapters.iceberg.lake import IcebergLake

    return IcebergLake(settings)


def ledger(settings: Settings) -> Ledger:
    """The append-only Iceberg ledger."""
    from lakeloop.adapters.iceberg.ledger import IcebergLedger

    return IcebergLedger(settings)


def batch_generator(settings: Settings, rows: int) -> BatchGenerator:
    """In process while the batch is small, else Spark; the same rows either way."""
    if rows <= settings.local_generation_rows:
        from lakeloop.adapters.files.generator import FileBatchGenerator

        return FileBatchGenerator(settings)
    from lakeloop.adapters.spark.generator import SparkBatchGenerator

    return SparkBatchGenerator(settings)


def source_folder(settings: Settings) -> SourceFolder:
    """New files, on any file system that Arrow knows."""
    from lakeloop.adapters.files.sources import ArrowSourceFolder

    return ArrowSourceFolder(settings)


def batch_profiler() -> BatchProfiler:
    """A batch's columns at a glance, in process."""
    from lakeloop.adapters.duckdb.profiler import DuckdbBatchProfiler

    return DuckdbBatchProfiler()


def batch_records(settings: Settings) -> BatchRecords:
    """Which batches a table holds, beyond its retained snapshots."""
    from lakeloop.adapters.iceberg.batch_records import IcebergBatchRecords

    return IcebergBatchRecords(settings)


def row_log(settings: Settings) -> RowLog:
    """Tables that grow by identified pieces: predictions, labels, scored batches."""
    from lakeloop.adapters.iceberg.row_log import IcebergRowLog

    return IcebergRowLog(settings)


def logged_predictions(settings: Settings, use_case: UseCase) -> LoggedPredictionMetrics:
    """The use case's prediction log, with what came true."""
    from lakeloop.adapters.iceberg.prediction_metrics import LoggedPredictionMetrics

    return LoggedPredictionMetrics(row_log(settings), use_case.name)


def workbench_predictions(use_case: UseCase, tell: Callable[[str], None] = _untold) -> PredictionMetrics:
    """What the workbench tracked beside the use case's models.

    Raises:
        UserError: the environment names no workbench.
    """
    from lakeloop.adapters.cai.blue_green import COLOURS
    from lakeloop.adapters.cai.metrics import CaiPredictionMetrics

    name = use_case.endpoint
    blue_green = use_case.deployment.cai.strategy == "blue_green"
    names = [f"{name}-{colour}" for colour in COLOURS] if blue_green else [name]
    return CaiPredictionMetrics(workbench_api(tell), names)


def online_store(settings: Settings) -> OnlineStore:
    """Features by entity.

    Raises:
        UserError: the URI names no store that there is.
    """
    uri = settings.online_store_uri
    if uri.startswith(("redis://", "rediss://", "unix://")):
        from lakeloop.adapters.redis.online_store import RedisOnlineStore

        return RedisOnlineStore(uri)
    if "://" in uri and not uri.startswith("file://"):
        raise UserError(
            f"no online store of kind {uri.partition(':')[0]!r}",
            where="LAKELOOP_ONLINE_STORE_URI",
            fix="use redis://host:port/db, or the path of a file",
        )
    from lakeloop.adapters.sqlite.online_store import SqliteOnlineStore

    return SqliteOnlineStore(Path(uri.removeprefix("file://")) if uri else settings.root / "online.db")


def latest_features() -> LatestFeatures:
    """Each entity's latest row, in process."""
    from lakeloop.adapters.duckdb.latest_features import DuckdbLatestFeatures

    return DuckdbLatestFeatures()


def feature_places(settings: Settings) -> FeaturePlaces:
    """Where features come from and go to."""
    from lakeloop.publishing import FeaturePlaces

    return FeaturePlaces(lake(settings), latest_features(), online_store(settings))


def batch_publisher(settings: Settings, tell: Callable[[str], None] = print) -> BatchPublisher:
    """Write-audit-publish, in this process while the batch is small, else in Spark."""
    from lakeloop.adapters.iceberg.chosen_engine import ChosenBatchPublisher
    from lakeloop.adapters.iceberg.lake import IcebergLake
    from lakeloop.adapters.spark.batch_files import estimated_rows

    def local() -> BatchPublisher:
        from lakeloop.adapters.in_process.publisher import InProcessBatchPublisher

        return InProcessBatchPublisher(settings, IcebergLake(settings), batch_records(settings))

    def spark() -> BatchPublisher:
        from lakeloop.adapters.spark.publisher import SparkBatchPublisher

        return SparkBatchPublisher(settings, lake(settings), batch_records(settings))

    return ChosenBatchPublisher(settings, estimated_rows, local, spark, tell)


def feature_builder(settings: Settings, tell: Callable[[str], None] = print) -> FeatureBuilder:
    """Features of snapshot ranges, in this process while there is little to read, else in Spark."""
    from lakeloop.adapters.iceberg.chosen_engine import ChosenFeatureBuilder
    from lakeloop.adapters.iceberg.lake import IcebergLake
    from lakeloop.adapters.iceberg.range_builder import RangeBuilder

    def local() -> RangeBuilder:
        from lakeloop.adapters.in_process.feature_builder import InProcessFeatureBuilder

        return InProcessFeatureBuilder(settings, IcebergLake(settings))

    def spark() -> RangeBuilder:
        from lakeloop.adapters.spark.feature_builder import SparkFeatureBuilder

        return SparkFeatureBuilder(settings, lake(settings))

    return ChosenFeatureBuilder(settings, lake(settings), local, spark, tell)


def past_of_rows(settings: Settings, use_case: UseCase, snapshot_id: str, feature_hash: str) -> PastOfRows:
    """As-of features of rows that are in no feature table, in process.

    Raises:
        UserError: the use case declares other features than those of `feature_hash`.
    """
    from lakeloop.adapters.in_process.past_rows import InProcessPast
    from lakeloop.domain.dialects import DUCKDB
    from lakeloop.domain.feature_table import feature_table, seen_columns

    reads = lake(settings)
    state = reads.table_state(use_case.table.name)
    types = {c.name: c.type for c in state.columns} if state else {}
    table = feature_table(use_case, types, DUCKDB)
    if table.hash != feature_hash:
        raise UserError(
            f"the features have definitions {table.hash} now, the model was trained on {feature_hash}",
            where=use_case.name,
            fix="score with the use case as it was then, or train again",
        )
    columns = seen_columns(use_case, types)
    files = tuple(read for _, read in reads.read_files(use_case.table.name, snapshot_id, columns))
    return InProcessPast(use_case.table.name, columns, table.past, files)


def piece_scorer(
    settings: Settings, use_case: UseCase, rows: int | None, tell: Callable[[str], None]
) -> PieceScorer:
    """Of a batch scoring: this process while there are few rows, else Spark's executors.

    Args:
        settings: where, and which engine is asked for.
        use_case: says which engine, and what executors may take.
        rows: to be scored; None where nobody knows.
        tell: told of the choice.
    """
    from lakeloop.adapters.iceberg.row_log import IcebergRowLog
    from lakeloop.domain.engines import ROWS_WHERE_MEMORY_IS_UNKNOWN, choose_engine
    from lakeloop.scoring import LocalPieceScorer

    most = settings.local_engine_rows
    if most is None:  # any number fits, as files are scored one by one
        most = ROWS_WHERE_MEMORY_IS_UNKNOWN
    choice = choose_engine(use_case.engine, settings.engine, settings.spark_master, rows, most)
    tell(f"scores: {choice.told}")
    log = IcebergRowLog(settings)
    if choice.engine == "local":
        return LocalPieceScorer(log)
    from lakeloop.adapters.spark.piece_scorer import SparkPieceScorer

    return SparkPieceScorer(settings, log, use_case.spark)


def feature_recomputer(settings: Settings) -> FeatureRecomputer:
    """Features a second time, in Spark, beside the live feature table."""
    from lakeloop.adapters.spark.feature_recomputer import SparkFeatureRecomputer

    return SparkFeatureRecomputer(settings, lake(settings))


def distributed_trainer(settings: Settings) -> DistributedTrainer:
    """xgboost.spark on executors."""
    from lakeloop.adapters.spark.trainer import SparkTrainer

    return SparkTrainer(settings)


def run_tracker(settings: Settings) -> RunTracker:
    """MLflow runs."""
    from lakeloop.adapters.mlflow.tracker import MlflowRunTracker

    return MlflowRunTracker(settings)


def model_registry(settings: Settings) -> ModelRegistry:
    """MLflow's registry."""
    from lakeloop.adapters.mlflow.registry import MlflowModelRegistry

    return MlflowModelRegistry(settings)


def journal(settings: Settings) -> RunJournal:
    """Documents of pipeline runs, on any file system that Arrow knows."""
    from lakeloop.adapters.files.journal import FileJournal

    return FileJournal(settings.journal)


def pipeline_service(settings: Settings, pipeline_file: Callable[[str], Path]) -> PipelineService:
    """Kubeflow Pipelines."""
    from lakeloop.adapters.kfp.runs import KfpPipelines

    return KfpPipelines(settings, pipeline_file)


def job_service(settings: Settings) -> PipelineService:
    """Runs as Jobs of Kubernetes, without Kubeflow Pipelines."""
    from lakeloop.adapters.kubernetes_jobs.runs import KubernetesJobs

    return KubernetesJobs(settings)


def submitter(settings: Settings, pipeline_file: Callable[[str], Path]) -> Submitter:
    """Where a trigger starts runs: Kubeflow Pipelines."""
    from lakeloop.adapters.kfp.runs import KfpPipelines

    return KfpPipelines(settings, pipeline_file)


def schedules(settings: Settings, pipeline_file: Callable[[str], Path]) -> Schedules:
    """Recurring runs of Kubeflow Pipelines."""
    from lakeloop.adapters.kfp.schedules import KfpSchedules

    return KfpSchedules(settings, pipeline_file)


def run_ended(settings: Settings) -> Callable[[str], bool]:
    """Whether a pipeline run, or a change by hand, is known to have ended: those of this machine, by their lock."""
    from lakeloop.adapters.files.run_locks import run_ended as ended

    folders = (settings.runs_folder, settings.changes_folder)
    return lambda owner: any(ended(folder, owner) for folder in folders)


def change_by_hand(settings: Settings, owner: str) -> AbstractContextManager[None]:
    """For as long as it is held, this machine knows that the change by hand goes on; after a kill, that it does not."""
    from lakeloop.adapters.files.run_locks import held_lock

    return held_lock(settings.changes_folder, owner)


def deployment_target(settings: Settings, use_case: UseCase) -> Target:
    """Where the use case's endpoint is: the environment's word goes before the use case's."""
    return settings.deployment_target or use_case.deployment.target


def deployer(settings: Settings, use_case: UseCase, tell: Callable[[str], None] = _untold) -> Deployer:
    """The deployer of a use case's endpoint.

    Args:
        settings: where; `deployment_target` goes before the use case's.
        use_case: its `deployment` says how.
        tell: told of what keeps a server from coming up, meanwhile.

    Raises:
        UserError: target `cai`, and no workbench is known.
    """
    target, how = deployment_target(settings, use_case), use_case.deployment
    seconds = how.timeout_seconds or START_SECONDS[target]
    if target == "kserve":
        from lakeloop.adapters.kserve.deployer import KServeDeployer

        online = use_case.online is not None
        return KServeDeployer(
            settings, how.pods, seconds, tell, online_features=online, transformer=how.transformer
        )
    if target == "cai":
        return _workbench_deployer(settings, how, tell)
    from lakeloop.adapters.local.deployer import LocalDeployer

    return LocalDeployer(settings, how.port, seconds, online_features=use_case.online is not None)


def _workbench_deployer(settings: Settings, how: Deployment, tell: Callable[[str], None]) -> Deployer:
    api, models = workbench_api(tell), serving_models(settings)
    if how.cai.strategy == "blue_green":
        from lakeloop.adapters.cai.blue_green import BlueGreenDeployer

        return BlueGreenDeployer(api, how.cai, models, settings, how.port)
    from lakeloop.adapters.cai.deployer import CaiDeployer

    return CaiDeployer(api, how.cai, models)


def workbench_api(tell: Callable[[str], None]) -> Api:
    """API v2 of the Cloudera AI workbench that the environment names.

    Raises:
        UserError: it names none, or no key.
    """
    from lakeloop.adapters.cai.api import Api
    from lakeloop.adapters.cai.connection import connection
    from lakeloop.adapters.cai.patience import patience

    return Api(connection(), patience(), tell)


def job_board() -> JobBoard:
    """Jobs of the Cloudera AI project that the environment names.

    Raises:
        UserError: it names none, or no key.
    """
    from lakeloop.adapters.cai.job_board import CaiJobBoard

    return CaiJobBoard(workbench_api(_untold))


def serving_models(settings: Settings) -> ServingModels:
    """Serving folders beside their trainings, in MLflow."""
    from lakeloop.adapters.mlflow.serving_models import MlflowServingModels

    return MlflowServingModels(settings)


def local_deployer(settings: Settings) -> Deployer:
    """Of endpoints on this machine, whatever their use case."""
    from lakeloop.adapters.local.deployer import LocalDeployer

    return LocalDeployer(settings)


def inspector() -> Inspector:
    """Looks at files and rows that nobody has declared yet."""
    from lakeloop.adapters.duckdb.inspector import DuckdbInspector

    return DuckdbInspector()


def row_comparer() -> RowComparer:
    """Compares rows of two snapshots, in process."""
    from lakeloop.adapters.duckdb.comparer import DuckdbRowComparer

    return DuckdbRowComparer()


def table_keeper(settings: Settings) -> TableKeeper:
    """Tidies tables."""
    from lakeloop.adapters.iceberg.housekeeping import IcebergTableKeeper

    return IcebergTableKeeper(settings)


def folder_keeper() -> FolderKeeper:
    """Tidies folders, on any file system that Arrow knows."""
    from lakeloop.adapters.files.folders import ArrowFolderKeeper

    return ArrowFolderKeeper()


def tidying_places(settings: Settings) -> Places:
    """Where litter may lie."""
    from lakeloop.tidying import Places

    ended = run_ended(settings)
    return Places(
        lake=lake(settings),
        records=batch_records(settings),
        tables=table_keeper(settings),
        folders=folder_keeper(),
        staging_uri=settings.staging,
        runs_uri=settings.runs_folder.as_uri(),
        journal_uri=settings.journal,
        goes_on=lambda run_id: not ended(run_id),
        holder=partial(_holder, settings),
    )


def _holder(settings: Settings, use_case: str) -> str | None:
    """The run that holds a use case: by the ledger, by its lease, and, on this machine, by its lock."""
    from lakeloop.claiming import live_holder

    skew_ms = int(settings.clock_skew_seconds * 1000)
    return live_holder(ledger(settings), use_case, skew_ms, run_ended(settings))
