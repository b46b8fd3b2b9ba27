"""The main job: land a batch, train on exactly the new snapshots, judge, register, redeploy, report."""

from kfp import dsl

from components.build_training_set.component import build_training_set
from components.evaluate_model.component import evaluate_model
from components.generate_batch.component import generate_batch
from components.ingest_batch.component import ingest_batch
from components.profile_batch.component import profile_batch
from components.publish_features.component import publish_features
from components.redeploy_endpoint.component import redeploy_endpoint
from components.register_model.component import register_model
from components.report_run.component import report_run
from components.train_model.component import train_model
from pipelines.placement import placed

TRIES_AFTER_A_FAILURE = 1


def _step(task: dsl.PipelineTask, timeout_seconds: int) -> dsl.PipelineTask:
    """Effects are made once by the step itself, so nothing is cached; each attempt has its time limit."""
    from kfp import kubernetes

    task.set_caching_options(enable_caching=False)
    task.set_retry(TRIES_AFTER_A_FAILURE, backoff_duration="5s", backoff_factor=2.0)
    return kubernetes.set_timeout(placed(task), timeout_seconds)


@dsl.pipeline(
    name="lakeloop-retrain", description="From a new batch to a verified, live model, or a recorded refusal."
)
def retrain(use_case: str, batch_options: str = "{}") -> None:
    """Submit with one use case, as one JSON string.

    Args:
        use_case: the use case, as `lakeloop validate --json` prints it.
        batch_options: JSON of BatchOptions: rows, number, plants; `{}` for the next batch as declared.
    """
    run = {"pipeline_run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "use_case": use_case}
    report = _step(report_run(**run), timeout_seconds=600)
    with dsl.ExitHandler(report, name="reported"):
        batch = _step(generate_batch(**run, batch_options=batch_options), timeout_seconds=7200)
        _step(profile_batch(**run, batch=batch.outputs["batch"]), timeout_seconds=1800)
        ingest = _step(ingest_batch(**run, batch=batch.outputs["batch"]), timeout_seconds=14400)
        built = _step(build_training_set(**run, ingest=ingest.outputs["ingest"]), timeout_seconds=14400)
        with dsl.If(built.outputs["action"] == "train", name="something-new"):
            # Beside the training: the store keeps the features of earlier definitions for the model that serves.
            _step(publish_features(**run, optional="yes").after(built), timeout_seconds=7200)
            trained = _step(
                train_model(**run, training_set=built.outputs["training_set"]), timeout_seconds=28800
            )
            judged = _step(evaluate_model(**run, training=trained.outputs["training"]), timeout_seconds=3600)
            with dsl.If(judged.outputs["decision"] == "promote", name="promoted"):
                registered = _step(
                    register_model(
                        **run, training=trained.outputs["training"], verdict=judged.outputs["verdict"]
                    ),
                    timeout_seconds=1800,
                )
                _step(
                    redeploy_endpoint(
                        **run,
                        training=trained.outputs["training"],
                        registration=registered.outputs["registration"],
                    ),
                    timeout_seconds=3600,
                )
