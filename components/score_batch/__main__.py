"""Score a table or a range with the champion into the table of batch predictions."""

from components.score_batch import core
from lakeloop.runtime.step import Step, progress, run_step
from lakeloop.serving.batch_champion import RowsToScore, score_batch


def body(step: Step) -> None:
    """Leave where the scores are, and how many are new."""
    names = ("table", "from_snapshot_id", "to_snapshot_id")
    wanted = RowsToScore(*(core.given(step.arguments[name]) for name in names))
    scored = score_batch(step.settings, step.use_case, wanted, progress)
    step.write("scored_path", scored)
    step.publish("scored", {"table": scored.target, "job_id": scored.job_id, "rows": scored.rows})
    progress(core.told(scored))


if __name__ == "__main__":
    run_step("score_batch", ["table", "from_snapshot_id", "to_snapshot_id", "scored_path"], body)
