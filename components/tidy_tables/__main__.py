"""Remove what dead attempts left behind; looks again before it removes anything."""

from components.tidy_tables import core
from lakeloop import bootstrap
from lakeloop.claiming import now_ms
from lakeloop.domain.tidying import age_seconds
from lakeloop.runtime.step import Step, progress, run_step
from lakeloop.tidying import carry_out, plan_tidying


def body(step: Step) -> None:
    """Leave what went and what stayed."""
    mode, age_ms = core.mode_of(step.arguments["mode"]), age_seconds(step.arguments["older_than"]) * 1000
    places = bootstrap.tidying_places(step.settings)
    cutoff_ms = now_ms() - age_ms - int(step.settings.clock_skew_seconds * 1000)
    plan = plan_tidying(places, [step.use_case], cutoff_ms, None)
    removed = carry_out(places, plan, progress) if mode == "remove" else ()
    tidied = core.Tidied(mode=mode, planned=plan.removals, removed=removed, left=plan.left)
    step.write("tidied_path", tidied)
    step.publish("tidied", {"planned": len(plan.removals), "removed": len(removed), "left": len(plan.left)})
    progress(core.told(tidied))


if __name__ == "__main__":
    run_step("tidy_tables", ["older_than", "mode", "tidied_path"], body)
