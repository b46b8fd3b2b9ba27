"""What a batch scoring is told, and tells."""

from __future__ import annotations

from lakeloop.domain.batch_scoring import Scored


def given(argument: str) -> str | None:
    """A pipeline parameter; empty stands for "not given"."""
    return argument.strip() or None


def told(scored: Scored) -> str:
    """The result in one line."""
    before = f", {scored.files_before} files were scored before" if scored.files_before else ""
    return f"{scored.rows:,} rows of {scored.files} files scored into {scored.target}{before}"
