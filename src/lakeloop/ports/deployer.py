"""Redeploy: prove, shift, verify, roll back; one contract for every target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from lakeloop.domain.rollout import Candidate, Identity


class Deployer(Protocol):
    """A place where a model answers. Every call is safe to repeat."""

    @property
    def target(self) -> str:
        """Which kind of place, as in `deployment.target`; the rollout's record names it."""

    def live(self, endpoint: str) -> Identity | None:
        """What answers now, asked of the endpoint itself; None where nothing does."""

    def start(self, endpoint: str, candidate: Candidate) -> str:
        """Start the candidate beside what serves, without traffic; its handle."""

    def serves(self, endpoint: str, handle: str) -> bool:
        """Whether the traffic goes to this handle already: then there is nothing to go back from.

        The same version may have several handles, e.g. one for each image that serves it.
        """

    def predict(self, endpoint: str, handle: str, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Scores of the candidate behind `handle` (no live traffic is touched)."""

    def shift(self, endpoint: str, handle: str) -> str:
        """Send the endpoint's traffic to the candidate, no request failed; the endpoint's URL."""

    def ask(self, endpoint: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The live endpoint's whole answer to rows."""

    def roll_back(self, endpoint: str, handle: str) -> None:
        """Back to what served before `shift`; the candidate stops."""

    def finish(self, endpoint: str, handle: str) -> None:
        """Stop what served before; keep what is needed to go back."""

    def stop(self, endpoint: str) -> bool:
        """End the endpoint; False where nothing ran."""


@runtime_checkable
class Remarks(Protocol):
    """A deployer whose shifts have something to tell beside their success."""

    def remarks(self, endpoint: str) -> tuple[str, ...]:
        """Of the last shift, for the rollout's evidence: e.g. for how long nothing answered."""
