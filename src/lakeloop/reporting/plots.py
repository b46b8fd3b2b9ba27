"""The report's plots, drawn by Matplotlib as SVG; no display, no pyplot state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeloop.domain.verdict import Curve, Evaluation, Interval, Verdict
from lakeloop.reporting import wording
from lakeloop.reporting.chart import (
    FONT_POINTS,
    SIZE_INCHES,
    diagonal,
    figure,
    legend,
    line_style,
    literal,
    unit_square,
    zoom,
)
from lakeloop.reporting.svg import STAND_INS, Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST_NAME = 22
_MOST_FEATURES = 20
_FEWEST_SLOTS = 5
_CROWDED = 0.8  # with a rare label all points would sit in one corner of the unit square


@dataclass(frozen=True)
class Plot:
    """A drawing with its title and one sentence on how to read it."""

    title: str
    caption: str
    drawing: Drawing

    @property
    def svg(self) -> str:
        """For the page."""
        return self.drawing.svg


def _labelled(model: str, verdict: Verdict | None, metric: str) -> str:
    interval = _metrics_of(model, verdict).get(metric)
    return literal(f"{model} {wording.decimal(interval.value, 3)}" if interval else model)


def _metrics_of(model: str, verdict: Verdict | None) -> Mapping[str, Interval]:
    if verdict is None:
        return {}
    scores = verdict.challenger if model == "challenger" else verdict.champion
    return scores.metrics if scores else {}


def roc(evaluation: Evaluation, verdict: Verdict | None) -> Plot:
    """True against false positive rate of each model."""
    drawing, axes = figure()
    diagonal(axes)
    for model, curve in _ordered(evaluation.roc):
        axes.plot(curve.x, curve.y, label=_labelled(model, verdict, "roc_auc"), **line_style(model))
    unit_square(axes, "false positive rate", "true positive rate")
    legend(axes, loc="lower right", title=None)
    said = _said("area under the curve", evaluation.roc, verdict, "roc_auc")
    return Plot(
        "ROC", f"{said} The dotted diagonal is chance.", Drawing(drawing, "roc", f"ROC curve. {said}")
    )


def precision_recall(evaluation: Evaluation, verdict: Verdict | None) -> Plot:
    """Precision against recall of each model; chance is the positives' share."""
    drawing, axes = figure()
    base = verdict.positives / verdict.rows if verdict and verdict.rows else None
    if base is not None:
        axes.axhline(base, color=STAND_INS["muted"], linewidth=0.9, linestyle=(0, (1, 2.5)))
    for model, curve in _ordered(evaluation.precision_recall):
        axes.plot(curve.x, curve.y, label=_labelled(model, verdict, "pr_auc"), **line_style(model))
    unit_square(axes, "recall", "precision")
    legend(axes, loc="best")
    said = _said("area under the curve", evaluation.precision_recall, verdict, "pr_auc")
    chance = f" Chance is the dotted line, the positives' share of {wording.percent(base)}." if base else ""
    return Plot(
        "Precision and recall", said + chance, Drawing(drawing, "pr", f"Precision-recall curve. {said}")
    )


def calibration(evaluation: Evaluation, verdict: Verdict | None) -> Plot:
    """Observed rate against mean score, a point a bin."""
    drawing, axes = figure()
    diagonal(axes)
    for model, curve in _ordered(evaluation.calibration):
        marker = "o" if model == "challenger" else "s"
        axes.plot(curve.x, curve.y, label=literal(model), marker=marker, markersize=3.6, **line_style(model))
    top = max((v for c in evaluation.calibration.values() for v in (*c.x, *c.y)), default=1.0)
    unit_square(axes, "mean score in the bin", "observed rate")
    if 0 < top < _CROWDED:
        zoom(axes, top)
    legend(axes, loc="upper left")
    said = _errors(verdict)
    return Plot(
        "Calibration",
        f"On the dotted diagonal a score is the observed rate. {said}".strip(),
        Drawing(drawing, "calibration", f"Calibration. {said}"),
    )


def _errors(verdict: Verdict | None) -> str:
    both = (verdict.challenger, verdict.champion) if verdict else ()
    errors = [(s.model, s.expected_calibration_error) for s in both if s]
    listed = ", ".join(f"{model} {wording.decimal(e)}" for model, e in errors if e is not None)
    return f"Expected calibration error: {listed}." if listed else ""


def score_histogram(evaluation: Evaluation, verdict: Verdict | None) -> Plot:
    """Share of the held-out rows by score."""
    del verdict
    drawing, axes = figure()
    for model, curve in _ordered(evaluation.score_histogram):
        edges, total = _edges(curve), sum(curve.y) or 1.0
        shares, style = [v / total for v in curve.y], line_style(model)
        if model == "challenger":
            axes.stairs(shares, edges, fill=True, color=style["color"], alpha=0.18)
        axes.stairs(shares, edges, label=literal(model), baseline=None, **style)
    _shares(axes)
    legend(axes, loc="best")
    said = "Share of the held-out rows in each band of scores."
    return Plot("Scores", said, Drawing(drawing, "scores", f"Score histogram. {said}"))


def _shares(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set(xlabel="score", ylabel="share of rows", ylim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _edges(curve: Curve) -> Sequence[float]:
    """Bin edges, from edges or from equally spaced centres."""
    if len(curve.x) == len(curve.y) + 1 or len(curve.x) < 2:  # noqa: PLR2004 - one bin has no spacing
        return curve.x if len(curve.x) != len(curve.y) else (0.0, 1.0)
    half = (curve.x[1] - curve.x[0]) / 2
    return (*(c - half for c in curve.x), curve.x[-1] + half)


def importance(evaluation: Evaluation, verdict: Verdict | None) -> Plot:
    """Mean |TreeSHAP| of the features that count most."""
    del verdict
    ranked = sorted(evaluation.shap_importance.items(), key=lambda item: -item[1])[:_MOST_FEATURES]
    slots = max(len(ranked), _FEWEST_SLOTS)
    drawing, axes = figure((SIZE_INCHES[0], 0.55 + 0.24 * slots))
    names = [literal(wording.clipped(name, _LONGEST_NAME)) for name, _ in ranked]
    values = [value for _, value in ranked]
    bars = axes.barh(range(len(ranked)), values, height=0.62, color=STAND_INS["challenger"], alpha=0.85)
    labels = [wording.compact(v) for v in values]
    axes.bar_label(bars, labels, padding=3, color=STAND_INS["muted"], fontsize=FONT_POINTS - 1)
    axes.set_yticks(range(len(ranked)), names, color=STAND_INS["ink"])
    axes.set(ylim=(slots - 0.4, -0.6), xlim=(0, max(values, default=1.0) * 1.16 or 1.0))
    axes.set_xticks([])
    axes.grid(visible=False)
    rows = wording.counted(evaluation.shap_rows, "held-out row")
    said = f"Mean |TreeSHAP| in log-odds over {rows}, challenger."
    heard = ", ".join(f"{name} {wording.compact(value)}" for name, value in ranked)
    return Plot("What the model looks at", said, Drawing(drawing, "shap", f"Feature importance: {heard}"))


def training_history(history: Mapping[str, Sequence[float]]) -> Plot | None:
    """Metrics by boosting round; None where there are fewer than two rounds."""
    lines = {name: values for name, values in history.items() if len(values) > 1}
    if not lines:
        return None
    drawing, axes = figure()
    styles = (line_style("challenger"), line_style("champion"))
    for number, (name, values) in enumerate(sorted(lines.items(), reverse=True)):
        axes.plot(range(1, len(values) + 1), values, label=literal(name), **styles[number % 2])
    axes.set(xlabel="boosting round")
    legend(axes, loc="best")
    last = ", ".join(f"{name} {wording.decimal(values[-1])}" for name, values in sorted(lines.items()))
    said = f"After the last round: {last}."
    return Plot("Training", said, Drawing(drawing, "history", f"Metric by boosting round. {said}"))


_ALL: tuple[tuple[str, Callable[[Evaluation, Verdict | None], Plot]], ...] = (
    ("roc", roc),
    ("precision_recall", precision_recall),
    ("calibration", calibration),
    ("score_histogram", score_histogram),
    ("shap_importance", importance),
)


def evaluation_plots(evaluation: Evaluation, verdict: Verdict | None) -> Iterator[Plot]:
    """The plots whose points are there."""
    for name, draw in _ALL:
        if getattr(evaluation, name):
            yield draw(evaluation, verdict)


def _ordered(curves: Mapping[str, Curve]) -> list[tuple[str, Curve]]:
    """Challenger first, so that it leads the legend."""
    return sorted(curves.items(), key=lambda item: item[0] != "challenger")


def _said(what: str, curves: Mapping[str, Curve], verdict: Verdict | None, metric: str) -> str:
    known = [(model, _metrics_of(model, verdict).get(metric)) for model, _ in _ordered(curves)]
    listed = ", ".join(f"{model} {wording.decimal(i.value, 3)}" for model, i in known if i)
    return f"{what.capitalize()}: {listed}." if listed else ""
