"""Follow a run to its end: look, tell what changed, wait, look again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lakeloop.domain.errors import LakeloopError, ServiceAwayError
from lakeloop.domain.remote_run import RemoteRun, StepLog
from lakeloop.ports.pipelines import PipelineService
from lakeloop.runners.cluster.changes import (
    LOG_LINES,
    Seen,
    changed,
    events_of,
    log_events,
    running,
    seen_after,
)
from lakeloop.runners.process.events import LEFT, Listener, RunFinished, RunStarted

FIRST_PAUSE_SECONDS = 1.0
SETTLE_SECONDS = 15.0
"""For so long at most: Kubeflow Pipelines tells a run's end a moment before its last step's."""


def _pause(seconds: float) -> None:
    """Between two looks; Ctrl-C ends it."""
    threading.Event().wait(seconds)


@dataclass(frozen=True)
class Following:
    """How a run is followed.

    Args:
        service: where it runs.
        listener: told of every change.
        log_command: a task's name -> the command that shows its whole log.
        again: the command that follows the run again.
        poll_seconds: between two looks.
        longest_outage_seconds: for how long the service may stay away.
        limit_seconds: how long a run is followed at most; the run itself goes on.
        pause: waits for some seconds.
        clock: seconds that only grow.
        say: told of outages.
    """

    service: PipelineService
    listener: Listener
    log_command: Callable[[str], str] = lambda _: ""
    again: str = ""
    poll_seconds: float = 3.0
    longest_outage_seconds: float = 300.0
    limit_seconds: float = 86400.0
    pause: Callable[[float], None] = _pause
    clock: Callable[[], float] = time.monotonic
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Followed:
    """The run at its end, and the ends of the failed steps' logs, by task id."""

    run: RemoteRun
    logs: Mapping[str, StepLog] = field(default_factory=dict)


def follow(following: Following, run_id: str) -> Followed:
    """Tell the listener every change until the run has ended.

    Raises:
        UserError: there is no such run.
        LakeloopError: the service stayed away for too long, or the run took too long; the run goes on.
    """
    started, link = following.clock(), following.service.link(run_id)
    run = _look(following, run_id)
    following.listener(RunStarted(run.run_id, run.pipeline or run.name, link, False, ()))
    try:
        followed = _to_its_end(following, run, started + following.limit_seconds)
    except BaseException:
        seconds = following.clock() - started
        following.listener(RunFinished(run_id, LEFT, seconds, link, following.again))
        raise
    run = followed.run
    seconds = ((run.ended_at_ms or run.created_at_ms) - run.created_at_ms) / 1000
    following.listener(RunFinished(run.run_id, run.state, seconds, link, ""))
    return followed


def _to_its_end(following: Following, run: RemoteRun, until: float) -> Followed:
    seen, logs = dict[str, Seen](), dict[str, StepLog]()
    while True:
        seen = _tell(following, run, seen, logs)
        if run.ended:
            until = min(until, following.clock() + SETTLE_SECONDS)
            if _settled(run) or following.clock() >= until:
                return Followed(run, logs)
        elif following.clock() > until:
            raise LakeloopError(
                f"the run goes on after {following.limit_seconds:,.0f} s; it is followed no longer",
                where=f"run {run.run_id}",
                fix=following.again,
            )
        following.pause(following.poll_seconds)
        run = _look(following, run.run_id)


def _settled(run: RemoteRun) -> bool:
    return run.state == "cancelled" or not any(running(run))


def _tell(
    following: Following, run: RemoteRun, seen: Mapping[str, Seen], logs: dict[str, StepLog]
) -> dict[str, Seen]:
    for task in changed(seen, run):
        log = _log(following, run.run_id, task.name) if task.state == "failed" else None
        if log:
            logs[task.task_id] = log
        for event in events_of(task, seen.get(task.task_id, Seen()), log, following.log_command(task.name)):
            following.listener(event)
    told: dict[str, StepLog] = {}
    for task in [] if run.ended else list(running(run)):
        log = _log(following, run.run_id, task.name)
        if log:
            told[task.task_id] = log
            for event in log_events(task, seen.get(task.task_id, Seen()), log):
                following.listener(event)
    return seen_after(seen, run, told)


def _log(following: Following, run_id: str, task: str) -> StepLog | None:
    try:
        return following.service.step_log(run_id, task, LOG_LINES)
    except ServiceAwayError:
        return None


def _look(following: Following, run_id: str) -> RemoteRun:
    """The run now, through an outage of bounded length."""
    away_since, pause = None, FIRST_PAUSE_SECONDS
    while True:
        try:
            run = following.service.look(run_id)
        except ServiceAwayError as error:
            now = following.clock()
            if away_since is None:
                following.say(f"{error}; trying again for {following.longest_outage_seconds:,.0f} s")
            away_since = now if away_since is None else away_since
            if now - away_since > following.longest_outage_seconds:
                raise LakeloopError(
                    f"no answer for {now - away_since:,.0f} s; the run goes on without being followed",
                    where=f"run {run_id}",
                    fix=following.again,
                ) from error
            following.pause(pause)
            pause = min(pause * 2, 15.0)
        else:
            if away_since is not None:
                following.say("the service answers again")
            return run
