"""What the KFP v2 API says of a run, as values.

Its back ends up to 2.14 list the nodes of the Argo workflow: beside each task a `-driver` and an `executor`, and
one node for every group (root, condition, loop, exit handler). Only the compiled pipeline tells which are steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from lakeloop.domain.remote_run import RemoteRun, RemoteTask, RunState, TaskState

_DRIVER = "-driver"
_RUN: dict[str, RunState] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "PAUSED": "running",
    "CANCELING": "running",
    "SUCCEEDED": "succeeded",
    "SKIPPED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}
_TASK: dict[str, TaskState] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "PAUSED": "running",
    "CANCELING": "running",
    "SUCCEEDED": "succeeded",
    "SKIPPED": "skipped",
    "OMITTED": "skipped",
    "CACHED": "succeeded",
    "FAILED": "failed",
    "ERROR": "failed",
    "CANCELED": "cancelled",
}


def remote_run(document: Mapping[str, Any]) -> RemoteRun:
    """The run, with its steps in the order in which they started.

    Args:
        document: V2beta1Run as JSON.
    """
    spec = pipeline_spec(document)
    rows = (document.get("run_details") or {}).get("task_details") or []
    ended = milliseconds(document.get("finished_at"))
    return RemoteRun(
        run_id=document["run_id"],
        name=document.get("display_name") or document["run_id"],
        pipeline=(spec.get("pipelineInfo") or {}).get("name") or "",
        state=_run_state(document),
        created_at_ms=milliseconds(document.get("created_at")) or 0,
        ended_at_ms=ended,
        tasks=tuple(sorted(_tasks(rows, spec), key=lambda t: (t.started_at_ms or 0, t.name, t.task_id))),
        error=_error(document),
        use_case=_use_case(document),
    )


def _use_case(document: Mapping[str, Any]) -> str:
    """Name of the use case among the run's arguments."""
    arguments = (document.get("runtime_config") or {}).get("parameters") or {}
    try:
        given = json.loads(arguments.get("use_case") or "{}")
    except (TypeError, ValueError):
        return ""
    return str(given.get("name") or "") if isinstance(given, dict) else ""


def _run_state(document: Mapping[str, Any]) -> RunState:
    """A terminated run ends as FAILED; that it was being cancelled is in its history."""
    state = _RUN.get(document.get("state") or "", "waiting")
    history = {one.get("state") for one in document.get("state_history") or []}
    return "cancelled" if state == "failed" and "CANCELING" in history else state


def pipeline_spec(document: Mapping[str, Any]) -> dict[str, Any]:
    """The run's PipelineSpec; it comes bare, or beside its platform document."""
    given = document.get("pipeline_spec") or {}
    return given.get("pipeline_spec") or given


def steps_of(spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Each task of the pipeline: a container maps to nothing, a group to the containers below it."""
    components = spec.get("components") or {}
    found: dict[str, tuple[str, ...]] = {}
    for tasks in _dags(spec):
        for name, task in tasks.items():
            found[name] = tuple(sorted(_below(components, task)))
    return found


def _dags(spec: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for component in [spec.get("root") or {}, *(spec.get("components") or {}).values()]:
        if "dag" in component:
            yield component["dag"].get("tasks") or {}


def _below(components: Mapping[str, Any], task: Mapping[str, Any]) -> Iterable[str]:
    component = components.get((task.get("componentRef") or {}).get("name") or "") or {}
    for name, inner in ((component.get("dag") or {}).get("tasks") or {}).items():
        deeper = list(_below(components, inner))
        yield from deeper or [name]


def _tasks(rows: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> Iterable[RemoteTask]:
    known = steps_of(spec)
    named = {row.get("display_name") for row in rows}
    broken = {str(row["display_name"]).removesuffix(_DRIVER) for row in rows if _is_broken_driver(row)}
    for row in rows:
        name = row.get("display_name") or ""
        if name in known and not known[name]:
            yield _task(row, name, driver_failed=name in broken)
        elif name in known and _state(row) == "skipped":
            yield from (_task(row, member, f"/{member}") for member in known[name] if member not in named)
        elif _is_broken_driver(row) and name.removesuffix(_DRIVER) not in named:
            yield _task(row, name.removesuffix(_DRIVER), driver_failed=True)


def _is_broken_driver(row: Mapping[str, Any]) -> bool:
    return str(row.get("display_name") or "").endswith(_DRIVER) and _state(row) == "failed"


def _state(row: Mapping[str, Any]) -> TaskState:
    """A node that Argo left out has no state here, but an end."""
    if not row.get("state"):
        return "not_run" if milliseconds(row.get("end_time")) else "waiting"
    return _TASK.get(row["state"], "waiting")


def _task(row: Mapping[str, Any], name: str, suffix: str = "", *, driver_failed: bool = False) -> RemoteTask:
    omitted = driver_failed and _state(row) in {"not_run", "failed"}
    return RemoteTask(
        task_id=f"{row['task_id']}{suffix}",
        name=name,
        state="failed" if omitted else _state(row),
        started_at_ms=milliseconds(row.get("start_time")),
        ended_at_ms=milliseconds(row.get("end_time")),
        error="its driver failed before the step could start" if omitted else _error(row),
    )


def _error(document: Mapping[str, Any]) -> str:
    return str((document.get("error") or {}).get("message") or "").strip()


def milliseconds(text: str | None) -> int | None:
    """Milliseconds since the epoch; the back end writes 1970 for `not yet`."""
    if not text:
        return None
    at = int(datetime.fromisoformat(text).timestamp() * 1000)
    return at if at > 0 else None
