"""`lakeloop trigger`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeloop.cli.options import Json

if TYPE_CHECKING:
    from lakeloop.domain.schedule import BySnapshots
    from lakeloop.domain.use_case import UseCase
    from lakeloop.ports.submitter import Submitter
    from lakeloop.settings import Settings
    from lakeloop.triggering import Trigger

Named = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[USE_CASE]...", help="Default: all with `when.kind: snapshots` in conf/schedules."
    ),
]
On = Annotated[str, typer.Option("--on", metavar="cluster|local", help="Where the runs are started.")]
Once = Annotated[bool, typer.Option("--once", help="Look once and leave, e.g. in a CronJob.")]
Every = Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="Between two looks.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trigger)


def trigger(
    use_cases: Named = None,
    *,
    on: On = "cluster",
    once: Once = False,
    every: Every = 15.0,
    json: Json = False,
) -> None:
    """Start a run when a table has new snapshots.

    Looks at metadata only. Waits until the table is quiet and has enough new rows, starts one run at a time,
    and cools down after it, as conf/schedules says; a use case without a schedule gets the defaults. Lands no
    batch: trains on what the table holds. The ledger is the cursor: a restart, or a second trigger beside
    this one, starts nothing twice.

    \b
      lakeloop trigger                          all that are declared, on the cluster
      lakeloop trigger card_fraud --on local    runs on this machine
      lakeloop trigger --once --json
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.settings import Settings

    settings = Settings()
    triggers = _triggers(settings, use_cases or [], on)
    if once:
        raise typer.Exit(_look_once(triggers, as_json=json))
    names = ", ".join(one.use_case.name for one in triggers)
    output.say(f"watching {names}; every {every:g} s; runs on {on}")
    _watch(settings, triggers, every)


def _look_once(triggers: list[Trigger], *, as_json: bool) -> int:
    from lakeloop.cli import output
    from lakeloop.domain.errors import LakeloopError

    code, found = 0, []
    for one in triggers:
        try:
            decision = one.look()
            found.append({"use_case": one.use_case.name, **decision.model_dump(mode="json")})
        except LakeloopError as error:
            code = code or error.exit_code
            found.append({"use_case": one.use_case.name, "action": "failed", "reason": str(error)})
    if as_json:
        output.as_json(found)
    else:
        for row in found:
            output.data(f"{row['use_case']}: {row['action']}: {row['reason']}")
    return code


def _watch(settings: Settings, triggers: list[Trigger], every: float) -> None:
    import signal
    import threading

    from lakeloop.claiming import now_ms
    from lakeloop.cli import output
    from lakeloop.triggering import watch

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    heartbeat = settings.root / "trigger-alive"
    heartbeat.parent.mkdir(parents=True, exist_ok=True)
    try:
        watch(
            triggers,
            every,
            stop,
            lambda text: output.say(f"{output.moment(now_ms())}  {text}"),
            heartbeat.touch,
        )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _triggers(settings: Settings, names: list[str], on: str) -> list[Trigger]:
    from lakeloop.domain.errors import UserError

    if on not in {"cluster", "local"}:
        raise UserError(f"{on!r} is no place for runs", where="--on", fix="use cluster or local")
    chosen = _chosen(names)
    if not chosen:
        raise UserError(
            "no use case to watch",
            where="conf/schedules",
            fix="name one, or declare a schedule with `when: {kind: snapshots}`",
        )
    return [_trigger(settings, use_case, policy, on) for use_case, policy in chosen]


def _chosen(names: list[str]) -> list[tuple[UseCase, BySnapshots]]:
    """Declared and enabled ones; named ones without a schedule get the defaults.

    Raises:
        UserError: two schedules watch one use case.
    """
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.schedule import BySnapshots
    from lakeloop.use_case_files import load_use_case
    from lakeloop.use_case_files.schedules import load_schedules

    policies: dict[str, BySnapshots] = {}
    declared: dict[str, UseCase] = {}
    for schedule in load_schedules():
        if not isinstance(schedule.when, BySnapshots) or not schedule.enabled:
            continue
        use_case = load_use_case(schedule.use_case)
        if use_case.name in policies:
            raise UserError(
                f"two schedules watch {use_case.name}", where="conf/schedules", fix="disable one of them"
            )
        declared[use_case.name], policies[use_case.name] = use_case, schedule.when
    named = [load_use_case(name) for name in names] or list(declared.values())
    return [(one, policies.get(one.name) or BySnapshots(kind="snapshots")) for one in named]


def _trigger(settings: Settings, use_case: UseCase, policy: BySnapshots, on: str) -> Trigger:
    from lakeloop import bootstrap
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.domain.batch import BatchOptions
    from lakeloop.runners.cluster.submission import pipeline_arguments, pipeline_inputs, submission
    from lakeloop.runtime.claimant import recorded_by
    from lakeloop.triggering import Trigger

    by = recorded_by(settings)
    inputs = pipeline_inputs(pipeline_file("retrain"))
    arguments = pipeline_arguments("retrain", inputs, use_case, BatchOptions(land=False), {})
    return Trigger(
        lake=bootstrap.lake(settings),
        ledger=bootstrap.ledger(settings),
        submitter=_submitter(settings, use_case, on),
        use_case=use_case,
        policy=policy,
        submission_for=lambda key: submission(
            use_case, "retrain", arguments, key=f"snapshots-{key}", keyed=True, by=f"trigger, {by}"
        ),
        by=by,
        skew_seconds=settings.clock_skew_seconds,
    )


def _submitter(settings: Settings, use_case: UseCase, on: str) -> Submitter:
    from dataclasses import replace

    from lakeloop import bootstrap
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.cli.run import run_options
    from lakeloop.runners.process.submitting import ProcessSubmitter

    if on == "cluster":
        return bootstrap.submitter(settings, pipeline_file)
    options = run_options(settings, use_case.name, None, 4)
    return ProcessSubmitter(
        lambda run_id: replace(options, run_id=run_id), pipeline_file, bootstrap.run_ended(settings)
    )
