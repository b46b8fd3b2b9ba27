"""Prometheus metrics of a server (`GET /metrics`); with several worker processes, of all of them together."""

from __future__ import annotations

import os
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class ServerMetrics:
    """Counts calls by path and status, their time, and rows; a path is a route, never what a caller made up."""

    def __init__(self, server: str, facts: dict[str, str]) -> None:
        """For `server` (predictor, features); `facts` become the labels of `lakeloop_server_info`."""
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "lakeloop_requests", "Calls answered.", ["server", "path", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "lakeloop_request_seconds",
            "Time from the request's head to its answer.",
            ["server", "path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rows = Counter("lakeloop_rows", "Rows answered.", ["server"], registry=self.registry)
        self._info = Counter(
            "lakeloop_server", "What answers; counts its worker processes.", [*facts], registry=self.registry
        )
        self._info.labels(**facts).inc()
        self._server = server
        self._rows_of_server = self._rows.labels(server)
        self._known: dict[tuple[str, int], tuple[Any, Any]] = {}

    def answered(self, path: str, status: int, seconds: float, rows: int) -> None:
        """One call."""
        known = self._known.get((path, status))
        if known is None:
            shown = path or "other"
            known = (
                self._calls.labels(self._server, shown, str(status)),
                self._seconds.labels(self._server, shown),
            )
            self._known[path, status] = known
        known[0].inc()
        known[1].observe(seconds)
        if rows:
            self._rows_of_server.inc(rows)

    def text(self) -> bytes:
        """Prometheus' text format, version 0.0.4."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            from prometheus_client import multiprocess

            everyone = CollectorRegistry()
            multiprocess.MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
            return generate_latest(everyone)
        return generate_latest(self.registry)


prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
