"""Compare the champion's predictions with its training; leave a verdict, and fail where nothing could be read."""

from components.check_drift import core
from lakeloop import bootstrap
from lakeloop.claiming import now_ms
from lakeloop.domain.drift import source_of
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.moments import parse_moment
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.runtime.step import Step, progress, run_step
from lakeloop.serving.drift_check import DriftCheck


def body(step: Step) -> None:
    """Leave verdict and decision; drift is a successful step, an unreachable source is not.

    Raises:
        LakeloopError: the predictions cannot be read.
    """
    target = bootstrap.deployment_target(step.settings, step.use_case)
    tracks = target == "cai" and step.use_case.deployment.cai.metrics
    source = source_of(step.arguments["source"], tracks=tracks)
    end_ms = parse_moment(step.arguments["until"] or "now", now_ms())
    verdict = DriftCheck(step.settings, step.use_case, source, end_ms, progress).run()
    step.write("decision_path", verdict.decision)
    step.write("verdict_path", verdict)
    metadata = {"decision": verdict.decision, "model_version": verdict.model_version}
    step.publish("verdict", {**metadata, "reasons": "; ".join(verdict.reasons)})
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "drift", verdict.model_dump(mode="json"))
    progress(core.told(verdict))
    if verdict.decision == "unreachable":
        raise LakeloopError("; ".join(verdict.reasons), where="check_drift")


if __name__ == "__main__":
    run_step("check_drift", ["source", "until", "decision_path", "verdict_path"], body)
