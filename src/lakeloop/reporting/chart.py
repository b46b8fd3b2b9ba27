"""The manner in which every plot of the report is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakeloop.reporting.svg import STAND_INS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_INCHES = (3.4, 2.6)
FONT_POINTS = 9.0


def figure(size_inches: tuple[float, float] = SIZE_INCHES) -> tuple[Figure, Axes]:
    """An empty plot in the page's manner, and its axes."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=size_inches, layout="constrained")
    axes = drawing.add_subplot()
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.grid(visible=True, color=STAND_INS["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=STAND_INS["muted"], labelsize=FONT_POINTS)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=STAND_INS["muted"], fontsize=FONT_POINTS)
    return drawing, axes


def line_style(model: str) -> dict[str, Any]:
    """Keyword arguments of a model's line: told apart by dash as well as by colour."""
    first = model == "challenger"
    return {
        "color": STAND_INS["challenger" if first else "champion"],
        "linestyle": "-" if first else (0, (5, 2.5)),
        "linewidth": 1.9 if first else 1.6,
        "zorder": 3 if first else 2.5,
    }


def legend(axes: Axes, **where: Any) -> None:
    """Names of the lines, without a frame."""
    axes.legend(frameon=False, labelcolor=STAND_INS["ink"], fontsize=FONT_POINTS, handlelength=2.2, **where)


def unit_square(axes: Axes, x_label: str, y_label: str) -> None:
    """Both axes from 0 to 1."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), xlabel=x_label, ylabel=y_label)
    ticks = (0, 0.25, 0.5, 0.75, 1)
    axes.set_xticks(ticks, ("0", ".25", ".5", ".75", "1"))
    axes.set_yticks(ticks, ("0", ".25", ".5", ".75", "1"))


def diagonal(axes: Axes) -> None:
    """The dotted line of chance, or of perfect calibration."""
    axes.plot((0, 1), (0, 1), color=STAND_INS["muted"], linewidth=0.9, linestyle=(0, (1, 2.5)))


def literal(name: str) -> str:
    """A name as it is: Matplotlib reads text between two dollar signs as mathematics."""
    return name.replace("$", r"\$")


def zoom(axes: Axes, top: float) -> None:
    """Both axes from 0 to just above `top`, as percentages."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set(xlim=(0, top * 1.05), ylim=(0, top * 1.08))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(PercentFormatter(1.0))
