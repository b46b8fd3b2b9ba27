"""Training runs in MLflow: one finished run a run key, whatever crashed or ran twice."""

from __future__ import annotations

import getpass
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.mlflow.client import enter_experiment, experiment_id, open_client
from lakeloop.adapters.mlflow.download import download_folder
from lakeloop.adapters.mlflow.locations import (
    LOGGED,
    RUN_FOLDER,
    artifact_location,
    create_logged_model,
    run_model_uri,
)
from lakeloop.adapters.mlflow.tags import RUN_KEY, VERDICT, lineage_tags, shortened
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.lineage import Lineage
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Scores, Verdict
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

FOLDER = "lakeloop"
TRAINING_FILE = "training.json"
HISTORY_POINTS = 50


class MlflowRunTracker:
    """RunTracker on MLflow's client; an experiment a use case."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> MlflowClient:
        return open_client(self._settings)

    def find(self, lineage: Lineage) -> TrainedModel | None:
        """The finished training of this run key, if there is one."""
        finished = self._runs(lineage, "attributes.status = 'FINISHED'")
        return read_training(self._client, finished[0].info.run_id) if finished else None

    def log_training(
        self,
        trained: TrainedModel,
        model_folder: Path,
        encoding: FeatureEncoding,
        example: pa.Table,
        parameters: dict[str, str],
    ) -> TrainedModel:
        """Log run, dataset, metrics and model once; the trained model with run id and model URI filled in.

        A run that a crash left unfinished is marked KILLED and replaced. Of two processes that finish the
        same run key at once, the run that started first stays FINISHED, and both return it.
        """
        found = self.find(trained.lineage)
        if found is not None:
            return found
        unfinished = self._runs(trained.lineage, "attributes.status = 'RUNNING'")
        run = self._create_run(trained)
        run_id = run.info.run_id
        for left in unfinished:
            self._client.set_tag(left.info.run_id, "lakeloop.replaced_by", run_id)
            self._client.set_terminated(left.info.run_id, "KILLED")
        logged = self._log(run, trained, model_folder, encoding, example, parameters)
        self._client.set_terminated(run_id, "FINISHED")
        return self._settle(logged)

    def fetch(self, trained: TrainedModel, folder: Path) -> Path:
        """The training's model folder, its digest checked.

        Raises:
            LakeloopError: its bytes are not those that were trained.
        """
        enter_experiment(self._client, self._settings, trained.lineage.use_case)
        place, location = f"run {trained.mlflow_run_id}", artifact_location(self._client, trained.model_uri)
        return download_folder(location, folder, trained.model_digest, self._settings, place)

    def log_verdict(self, mlflow_run_id: str, verdict: Verdict) -> None:
        """Gate metrics and the verdict as artifact and tags; again changes nothing."""
        run = self._client.get_run(mlflow_run_id)
        self._client.log_batch(mlflow_run_id, metrics=_verdict_metrics(verdict, run.info.start_time))
        self._client.log_text(mlflow_run_id, verdict.model_dump_json(indent=2), f"{FOLDER}/verdict.json")
        self._client.set_tag(mlflow_run_id, VERDICT, verdict.decision)
        self._client.set_tag(mlflow_run_id, f"{VERDICT}.reasons", shortened("; ".join(verdict.reasons)))

    def log_file(self, mlflow_run_id: str, path: Path, folder: str) -> None:
        """A file as artifact of the run; again with the same name replaces it."""
        self._client.log_artifact(mlflow_run_id, str(path), folder)

    def _runs(self, lineage: Lineage, condition: str) -> list[Run]:
        """Runs of the run key, oldest first."""
        enter_experiment(self._client, self._settings, lineage.use_case)
        found = self._client.search_runs(
            [experiment_id(self._client, self._settings, lineage.use_case)],
            filter_string=f"tags.`{RUN_KEY}` = '{lineage.run_key}' and {condition}",
            order_by=["attributes.start_time ASC"],
        )
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _create_run(self, trained: TrainedModel) -> Run:
        lineage = trained.lineage
        tags = {
            **lineage_tags(lineage),
            "lakeloop.model_digest": trained.model_digest,
            "mlflow.user": self._settings.pipeline_run_by or getpass.getuser(),
            "mlflow.source.name": "lakeloop",
            "mlflow.source.git.commit": lineage.code.git_commit,
        }
        experiment = experiment_id(self._client, self._settings, lineage.use_case)
        return self._client.create_run(
            experiment, tags=tags, run_name=f"{lineage.use_case}-{lineage.run_key[:8]}"
        )

    def _log(  # noqa: PLR0913, PLR0917
        self,
        run: Run,
        trained: TrainedModel,
        model_folder: Path,
        encoding: FeatureEncoding,
        example: pa.Table,
        parameters: dict[str, str],
    ) -> TrainedModel:
        from mlflow.entities import Param

        from lakeloop.adapters.mlflow.dataset import dataset_input

        run_id = run.info.run_id
        params = [Param(name, value) for name, value in parameters.items()]
        self._client.log_batch(run_id, metrics=_training_metrics(trained, run.info.start_time), params=params)
        self._client.log_inputs(run_id, datasets=[dataset_input(trained, encoding)])
        model_uri = self._log_model(run, trained, model_folder, encoding, example)
        logged = trained.model_copy(
            update={
                "mlflow_run_id": run_id,
                "mlflow_run_url": self._url(run),
                "model_uri": model_uri,
            }
        )
        self._client.log_text(run_id, logged.model_dump_json(indent=2), f"{FOLDER}/{TRAINING_FILE}")
        return logged

    def _log_model(
        self,
        run: Run,
        trained: TrainedModel,
        model_folder: Path,
        encoding: FeatureEncoding,
        example: pa.Table,
    ) -> str:
        from lakeloop.adapters.mlflow.model_files import write_mlflow_model

        run_id, experiment = run.info.run_id, run.info.experiment_id
        tags = lineage_tags(trained.lineage) | {"lakeloop.model_digest": trained.model_digest}
        model = create_logged_model(
            self._client,
            experiment,
            name=trained.lineage.use_case,
            source_run_id=run_id,
            tags=tags,
            model_type="classifier",
        )
        model_id = None if model is None else str(model.model_id)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            write_mlflow_model(folder, model_folder, encoding, example, run_id, model_id)
            if model_id is None:
                self._client.log_artifacts(run_id, str(folder), RUN_FOLDER)
                return run_model_uri(run_id)
            self._client.log_model_artifacts(model_id, str(folder))
        self._finalize(run_id, model_id)
        return f"{LOGGED}{model_id}"

    def _finalize(self, run_id: str, model_id: str) -> None:
        from mlflow.entities import LoggedModelOutput

        self._client.finalize_logged_model(model_id, "READY")
        self._client.log_outputs(run_id, [LoggedModelOutput(model_id=model_id, step=0)])

    def _settle(self, logged: TrainedModel) -> TrainedModel:
        first, *others = self._runs(logged.lineage, "attributes.status = 'FINISHED'")
        for run in others:
            self._client.set_tag(run.info.run_id, "lakeloop.replaced_by", first.info.run_id)
            self._client.set_terminated(run.info.run_id, "KILLED")
        return (
            logged
            if first.info.run_id == logged.mlflow_run_id
            else read_training(self._client, first.info.run_id)
        )

    def _url(self, run: Run) -> str:
        server = self._settings.tracking_uri
        place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        return f"{server.rstrip('/')}/{place}" if server.startswith("http") else ""


def read_training(client: MlflowClient, run_id: str) -> TrainedModel:
    """The training that a finished run logged."""
    with tempfile.TemporaryDirectory() as scratch:
        path = client.download_artifacts(run_id, f"{FOLDER}/{TRAINING_FILE}", scratch)
        return TrainedModel.model_validate_json(Path(path).read_text(encoding="utf-8"))


def _training_metrics(trained: TrainedModel, at_ms: int) -> list[Metric]:
    from mlflow.entities import Metric

    single = {
        **trained.train_metrics,
        "rounds": trained.rounds,
        "train_rows": trained.train_rows,
        "holdout_rows": trained.holdout_rows,
        "train_seconds": trained.train_seconds,
    }
    metrics = [Metric(name, float(value), at_ms, 0) for name, value in single.items()]
    for name, values in trained.history.items():
        step = max(1, len(values) // HISTORY_POINTS)
        kept = sorted({*range(0, len(values), step), len(values) - 1})
        metrics += [Metric(f"round/{name}", values[i], at_ms, i + 1) for i in kept]
    return metrics


def _verdict_metrics(verdict: Verdict, at_ms: int) -> list[Metric]:
    """Their time is the run's start, so that a retry logs the same points and MLflow keeps one of each."""
    from mlflow.entities import Metric

    values = _named("holdout", verdict.challenger) | _named("champion", verdict.champion)
    if verdict.difference is not None:
        values |= {f"difference_{k}": v for k, v in verdict.difference.model_dump().items()}
    return [Metric(name, float(value), at_ms, 0) for name, value in values.items()]


def _named(prefix: str, scores: Scores | None) -> dict[str, Any]:
    if scores is None:
        return {}
    values = {f"{prefix}_{name}": interval.value for name, interval in scores.metrics.items()}
    if scores.expected_calibration_error is not None:
        values[f"{prefix}_calibration_error"] = scores.expected_calibration_error
    return values
