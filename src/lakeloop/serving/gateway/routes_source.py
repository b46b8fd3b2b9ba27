"""Where a gateway's orders come from."""

from __future__ import annotations

from typing import Protocol

from lakeloop.domain.routes import Routes


class RoutesSource(Protocol):
    """The last good routes; what cannot be read is told in `problem` and changes nothing."""

    problem: str

    @property
    def ready(self) -> bool:
        """Whether routes were read at least once."""

    def current(self) -> Routes:
        """Routes as of now; empty while not ready."""
