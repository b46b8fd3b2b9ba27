"""What a drift check tells."""

from __future__ import annotations

from lakeloop.domain.drift import DriftVerdict


def told(verdict: DriftVerdict) -> str:
    """The result in one line."""
    version = f" of version {verdict.model_version}" if verdict.model_version else ""
    return f"{verdict.decision}{version}: {'; '.join(verdict.reasons)}"
