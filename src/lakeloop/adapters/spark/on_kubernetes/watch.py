"""Follows one session's executor pods: tells how they are, reads how they end, removes them, knows when to give up."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lakeloop.adapters.spark.on_kubernetes.api import Pods
from lakeloop.adapters.spark.on_kubernetes.diagnosis import (
    Loss,
    hopeless,
    is_going,
    loss_error,
    loss_text,
    pending_error,
    short,
    told,
)
from lakeloop.adapters.spark.on_kubernetes.pods import ExecutorPod
from lakeloop.adapters.spark.on_kubernetes.request import SESSION_LABEL, ExecutorRequest
from lakeloop.domain.errors import ConflictError, LakeloopError, RefusedError, UserError

POLL_SECONDS = 1.0
END_TIMEOUT_SECONDS = 20
GRACE_SECONDS = 5
KEPT_SECONDS = 10
LAST_LOOK_SECONDS = 15.0
"""So long an executor may take to end that Spark saw ending."""


class ExecutorWatch:
    """A thread beside the session.

    Args:
        pods: of the driver's namespace.
        request: what the session asked for.
        sample: a pod like the executors, to ask the API server what speaks against one more.
        tell: where progress goes.
    """

    def __init__(
        self, pods: Pods, request: ExecutorRequest, sample: Mapping[str, Any], tell: Callable[[str], None]
    ) -> None:
        self._pods, self._request, self._sample, self._tell = pods, request, sample, tell
        self._selector = f"{SESSION_LABEL}={request.session}"
        self._busy: Callable[[], bool] = lambda: (
            False
        )  # while Spark starts, it may not have asked for pods yet
        self._cancel: Callable[[], None] = lambda: None
        self._losses: dict[str, Loss] = {}
        self._ended_at: dict[str, float] = {}
        self._verdict: LakeloopError | None = None
        self._short_since: float | None = None
        self._told = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="executor-watch", daemon=True)

    def start(self) -> None:
        """Begin before Spark asks for its first executor."""
        self._thread.start()

    def attach(self, busy: Callable[[], bool], cancel: Callable[[], None]) -> None:
        """Know the session: whether jobs run, and how to end them.

        Raises:
            LakeloopError: the limit for pending pods passed while the session started.
        """
        self._busy, self._cancel = busy, cancel
        if self._verdict is not None:
            raise self._verdict

    def end(self) -> None:
        """Stop following, and leave no executor behind."""
        self._over.set()
        self._thread.join(END_TIMEOUT_SECONDS)
        self.remove_all()

    def remove_all(self) -> None:
        """Every pod of the session; what the API refuses is told, the driver's pod still owns them."""
        try:
            self._pods.delete_all(self._selector, GRACE_SECONDS)
        except Exception as error:  # noqa: BLE001 - the step's own outcome stands; owner references are the backstop
            print(f"warning: executors could not be removed: {error}", file=sys.stderr, flush=True)  # noqa: T201

    def explained(self, error: BaseException) -> LakeloopError | None:
        """The one error to end with instead of Spark's; None where that says it better (wrong data, a conflict)."""
        if self._verdict is not None:
            return self._verdict
        if isinstance(error, UserError | ConflictError | RefusedError):
            return None
        said = _whole_text(error)
        self._look_once()
        until = time.monotonic() + LAST_LOOK_SECONDS
        while is_going(said) and not self._losses and time.monotonic() < until:
            self._over.wait(POLL_SECONDS)
            self._look_once()
        return loss_error(list(self._losses.values()), said, self._request.resources.executors)

    def _follow(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            self._look_once()
            if self._verdict is not None:
                self._cancel_quietly()

    def _look_once(self) -> None:
        try:
            pods = self._pods.executors(self._selector)
            for pod in pods:
                self._see_off(pod)
            self._judge(pods)
        except Exception as error:  # noqa: BLE001 - one failed look must not end the watch; the next one may succeed
            self._say(f"executors: the Kubernetes API does not answer ({type(error).__name__})")

    def _see_off(self, pod: ExecutorPod) -> None:
        """An ended pod: keep why it failed, then remove it."""
        if not pod.ended:
            return
        if pod.phase == "failed" and pod.name not in self._losses:
            self._losses[pod.name] = Loss(pod, self._pods.log_tail(pod.name))
            self._say(f"executor {pod.name} was lost: {loss_text(self._losses[pod.name])}")
        # Spark, too, looks at ended pods, to label them, and stumbles over one that is gone.
        ended_at = self._ended_at.setdefault(pod.name, time.monotonic())
        if time.monotonic() - ended_at > KEPT_SECONDS:
            self._pods.delete(pod.name)

    def _judge(self, pods: list[ExecutorPod]) -> None:
        self._say(told(pods))
        needed, limit = self._request.needed, self._request.resources.pending_timeout_seconds
        if self._verdict is not None or not short(pods, needed, busy=self._busy()):
            self._short_since = None
            return
        now = time.monotonic()
        self._short_since = self._short_since or now
        waited = now - self._short_since
        if waited < limit and not hopeless(pods):
            return
        none_made = not any(p.phase == "pending" for p in pods)
        self._verdict = pending_error(
            pods,
            list(self._losses.values()),
            needed=needed,
            limit_seconds=round(waited),
            executors=self._request.resources.executors,
            not_created=self._pods.refusal(self._sample) if none_made else "",
            image=self._request.image,
        )

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._tell(text)

    def _cancel_quietly(self) -> None:
        try:
            self._cancel()
        except Exception:  # noqa: BLE001 - the JVM may be gone already; the next look tries again
            self._say("executors: Spark does not answer")


def _whole_text(error: BaseException | None) -> str:
    """The error's text with those of its causes."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)
