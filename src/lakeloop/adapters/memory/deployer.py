"""Endpoints in memory, with the contract's rules and a scorer that the test gives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import MODEL_FILES, model_digest
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.domain.routes import Backend, Routes, finished, rolled_back, shifted

Scorer = Callable[[Candidate, Sequence[dict[str, Any]]], list[float]]


class MemoryDeployer:
    """Implements `lakeloop.ports.deployer.Deployer`."""

    target = "memory"

    def __init__(self, score: Scorer) -> None:
        self._score = score
        self._known: dict[tuple[str, str], Candidate] = {}
        self._running: set[tuple[str, str]] = set()
        self._routes: dict[str, Routes] = {}
        self._open: set[str] = set()

    def live(self, endpoint: str) -> Identity | None:
        """What answers now."""
        candidate = self._serving(endpoint)
        return None if candidate is None else candidate.identity

    def start(self, endpoint: str, candidate: Candidate) -> str:
        """Keep the candidate.

        Raises:
            LakeloopError: the model's bytes are not the registered ones.
        """
        folder = Path(candidate.model_folder)
        if (
            model_digest({n: (folder / n).read_bytes() for n in MODEL_FILES})
            != candidate.identity.model_digest
        ):
            raise LakeloopError("the model's bytes are not the registered ones", where=candidate.model_folder)
        handle = candidate.identity.digest()[:20]
        self._known[endpoint, handle] = candidate
        self._running.add((endpoint, handle))
        return handle

    def serves(self, endpoint: str, handle: str) -> bool:
        """Whether the traffic goes to this handle already."""
        return self._routes.get(endpoint, Routes()).live == handle

    def predict(self, endpoint: str, handle: str, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Scores of the candidate.

        Raises:
            LakeloopError: it does not run.
        """
        self._check_runs(endpoint, handle)
        return self._score(self._known[endpoint, handle], rows)

    def shift(self, endpoint: str, handle: str) -> str:
        """Route to the candidate.

        Raises:
            LakeloopError: it does not run.
        """
        self._check_runs(endpoint, handle)
        routes = self._routes.get(endpoint, Routes())
        standby = routes.previous if routes.live == handle else routes.live
        self._routes[endpoint] = shifted(
            routes, self._backend(endpoint, handle), self._backend(endpoint, standby) if standby else None
        )
        self._open.add(endpoint)
        return f"memory://{endpoint}"

    def ask(self, endpoint: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The live model's answer.

        Raises:
            LakeloopError: nothing is live.
        """
        candidate = self._serving(endpoint)
        if candidate is None:
            raise LakeloopError("nothing runs", where=f"endpoint {endpoint}")
        scores = self._score(candidate, rows)
        return {
            "scores": scores,
            "model_version": candidate.identity.version,
            "snapshot_id": candidate.identity.to_snapshot_id,
            "prediction_ids": [uuid.uuid4().hex for _ in scores],
        }

    def roll_back(self, endpoint: str, handle: str) -> None:
        """Back to the previous handle."""
        routes = self._routes.get(endpoint, Routes())
        if routes.live == handle:
            previous = routes.previous
            if previous is not None:
                self._running.add((endpoint, previous))
            self._routes[endpoint] = rolled_back(
                routes, self._backend(endpoint, previous) if previous else None
            )
        if self._routes.get(endpoint, Routes()).backend(handle) is None:
            self._running.discard((endpoint, handle))

    def finish(self, endpoint: str, handle: str) -> None:
        """Only the handle runs on.

        Raises:
            LakeloopError: it is not live.
        """
        routes = self._routes.get(endpoint, Routes())
        if routes.live != handle:
            raise LakeloopError("another version is live", where=f"endpoint {endpoint}", fix="deploy again")
        self._routes[endpoint] = finished(routes)
        self._running = {(e, h) for e, h in self._running if e != endpoint or h == handle}

    def stop(self, endpoint: str) -> bool:
        """End everything of the endpoint."""
        running = {key for key in self._running if key[0] == endpoint}
        was_open = endpoint in self._open
        self._running -= running
        self._open.discard(endpoint)
        return bool(running) or was_open

    def _serving(self, endpoint: str) -> Candidate | None:
        live = self._routes.get(endpoint, Routes()).live
        if endpoint not in self._open or live is None or (endpoint, live) not in self._running:
            return None
        return self._known[endpoint, live]

    def _backend(self, endpoint: str, handle: str) -> Backend:
        version = self._known[endpoint, handle].identity.version
        return Backend(handle=handle, url=f"memory://{endpoint}/{handle}", version=version)

    def _check_runs(self, endpoint: str, handle: str) -> None:
        if (endpoint, handle) not in self._running:
            raise LakeloopError("the candidate's server does not run", where=f"endpoint {endpoint}")
