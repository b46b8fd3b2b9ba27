"""Drawings that stand inside text and tables."""

from __future__ import annotations

from collections.abc import Sequence

from lakeloop.domain.verdict import Interval
from lakeloop.reporting import wording
from lakeloop.reporting.chart import SIZE_INCHES, figure
from lakeloop.reporting.svg import STAND_INS, inline_svg


def difference(interval: Interval, required: float, title: str) -> str:
    """SVG of the paired difference with its interval against zero and what the gate asks for."""
    drawing, axes = figure((SIZE_INCHES[0], 0.62))
    colour = STAND_INS[
        "good" if interval.low > required else "bad" if interval.high < required else "champion"
    ]
    axes.axvline(0, color=STAND_INS["muted"], linewidth=1)
    if required:
        axes.axvline(required, color=STAND_INS["muted"], linewidth=1, linestyle=(0, (2, 2)))
    axes.plot(
        (interval.low, interval.high), (0, 0), color=colour, linewidth=5, alpha=0.4, solid_capstyle="round"
    )
    axes.plot((interval.value,), (0,), marker="o", markersize=7, color=colour)
    axes.set_yticks([])
    axes.set(ylim=(-1, 1))
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=5)
    value, low, high = (wording.signed(v) for v in (interval.value, interval.low, interval.high))
    return inline_svg(drawing, "difference", f"{title}: {value}, from {low} to {high}")


def spark(counts: Sequence[float], name: str, description: str) -> str:
    """A histogram as small as a word, without axes."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(1.3, 0.34))
    axes = drawing.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.bar(range(len(counts)), counts, width=0.86, color=STAND_INS["challenger"], alpha=0.75)
    axes.set_ylim(0, max(counts, default=1) or 1)
    return inline_svg(drawing, name, description)
