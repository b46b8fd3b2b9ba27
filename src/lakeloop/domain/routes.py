"""Which server answers an endpoint's requests, and how a rollout changes that: values only.

An endpoint has one gateway on its stable port; it reads `Routes` from a file that is replaced atomically, or on a
cluster from a ConfigMap.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from lakeloop.domain.base import Frozen

ATTEMPTS_PER_REQUEST = 2
ROUTES_KEY = "routes.json"
"""Of the ConfigMap."""


class Backend(Frozen):
    """One model server behind the gateway."""

    handle: str = Field(description="Content address of the model and its identity.")
    url: str
    version: str
    weight: float = Field(
        default=0.0, ge=0, le=100, description="Share of the traffic, relative to the others'."
    )
    standby: bool = Field(
        default=False, description="Takes a request over when another backend does not answer."
    )

    @property
    def dark(self) -> bool:
        """Whether no request comes here, but the gateway's own question who it is."""
        return self.weight == 0 and not self.standby


class Routes(Frozen):
    """The gateway's orders. `generation` grows with each change: a rollout sees when its own is in force."""

    generation: int = 0
    backends: tuple[Backend, ...] = ()
    live: str | None = Field(default=None, description="Handle that the last rollout made live.")
    previous: str | None = Field(default=None, description="Handle to go back to; its folder is kept.")

    def backend(self, handle: str | None) -> Backend | None:
        """The backend with this handle, if it is routed."""
        return next((b for b in self.backends if b.handle == handle), None)


def order_of_attempts(backends: Sequence[Backend], draw: float) -> list[Backend]:
    """Backends to try for one request: one drawn by weight, then one that may take over.

    Args:
        backends: as routed.
        draw: uniform in [0, 1).
    """
    weighted = [b for b in backends if b.weight > 0]
    mark = draw * sum(b.weight for b in weighted)
    chosen: list[Backend] = []
    for backend in weighted:
        mark -= backend.weight
        if mark < 0:
            chosen = [backend]
            break
    chosen = chosen or weighted[-1:]
    others = [b for b in backends if b not in chosen and (b.weight > 0 or b.standby)]
    return (chosen + others)[:ATTEMPTS_PER_REQUEST]


def introduced(routes: Routes, new: Backend) -> Routes:
    """`new` known to the gateway at its present address, with the traffic that it had: none for a new one.

    So that the gateway can be asked whether it reaches it.
    """
    known = routes.backend(new.handle)
    if known is None:
        backends = (*routes.backends, new.model_copy(update={"weight": 0.0, "standby": False}))
    else:
        moved = known.model_copy(update={"url": new.url})
        backends = tuple(moved if b is known else b for b in routes.backends)
    if backends == routes.backends:
        return routes
    return routes.model_copy(update={"generation": routes.generation + 1, "backends": backends})


def withdrawn(routes: Routes, handle: str) -> Routes:
    """Without this backend, where it is dark."""
    kept = tuple(b for b in routes.backends if b.handle != handle or not b.dark)
    if kept == routes.backends:
        return routes
    return routes.model_copy(update={"generation": routes.generation + 1, "backends": kept})


def shifted(routes: Routes, new: Backend, old: Backend | None) -> Routes:
    """All traffic to `new`; `old`, where it still runs, stands by until the rollout is finished.

    The same shift again keeps what to go back to.
    """
    again = routes.live == new.handle
    backends = [new.model_copy(update={"weight": 100.0, "standby": False})]
    if old is not None and old.handle != new.handle:
        backends.append(old.model_copy(update={"weight": 0.0, "standby": True}))
    return Routes(
        generation=routes.generation + 1,
        backends=tuple(backends),
        live=new.handle,
        previous=routes.previous if again else routes.live,
    )


def rolled_back(routes: Routes, previous: Backend | None) -> Routes:
    """All traffic back to `previous`; None where nothing served before: then nothing serves."""
    backends = () if previous is None else (previous.model_copy(update={"weight": 100.0, "standby": False}),)
    return Routes(
        generation=routes.generation + 1,
        backends=backends,
        live=None if previous is None else previous.handle,
    )


def finished(routes: Routes) -> Routes:
    """Only the live backend stays routed; the previous handle is remembered."""
    kept = tuple(b for b in routes.backends if b.handle == routes.live)
    if kept == routes.backends:
        return routes
    return routes.model_copy(update={"generation": routes.generation + 1, "backends": kept})
