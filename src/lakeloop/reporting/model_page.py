"""A model beside another one, as Markdown for a pull request or as one HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lakeloop.domain.model_report import Confusion, ModelReport, Report, ReportedModel
from lakeloop.domain.verdict import Interval, Scores, Verdict
from lakeloop.reporting import wording
from lakeloop.reporting.plots import Plot, evaluation_plots

MARK = "<!-- lakeloop report: {} -->"
"""First line of the Markdown, by which a workflow finds the comment that it wrote before."""
_MOST_NAMES = 12


def report_plots(made: Report) -> dict[str, Plot]:
    """The plots by file name, without ending."""
    drawn = evaluation_plots(made.evaluation, _as_verdict(made.report))
    return {plot.drawing.name: plot for plot in drawn}


def markdown(made: Report, pictures: Mapping[str, str]) -> str:
    """The report as GitHub's and GitLab's Markdown.

    Args:
        made: what was measured.
        pictures: plot name -> where its picture is, as a link says it; none: no plots.
    """
    report = made.report
    parts = [MARK.format(report.use_case), f"## {_headline(report)}", _told(report)]
    parts += [f"> {report.note}"] if report.note else []
    parts += ["### Metrics", _table(*_metrics(report))]
    parts += ["### Decisions", _decisions(report)]
    if report.other is not None and (changed := _changed_features(report.model, report.other)):
        parts += ["### Features", changed]
    plots = report_plots(made)
    shown = [name for name in plots if name in pictures]
    if shown:
        parts += ["### Plots", *(_picture(plots[name], pictures[name]) for name in shown)]
    parts.append(_origin(report))
    return "\n\n".join(parts) + "\n"


def html(made: Report) -> str:
    """The report as one page that loads nothing; the plots are in it."""
    from lakeloop.reporting.page import template

    report = made.report
    return template("model.html.j2").render(
        report=report,
        headline=_headline(report),
        told=_told(report).replace("**", "").replace("`", ""),
        metrics=_metrics(report),
        confusions=[(m, m.confusion) for m in (report.model, report.other) if m],
        changed=_changed_features(report.model, report.other).replace("`", "") if report.other else "",
        plots=list(report_plots(made).values()),
        origin=_origin(report).replace("`", "").replace("<sub>", "").replace("</sub>", ""),
    )


def _as_verdict(report: ModelReport) -> Verdict:
    """What the plots' legends look into: the metrics that were measured here."""

    def scores(model: ReportedModel) -> Scores:
        error = model.expected_calibration_error
        return Scores(model=model.name, metrics=model.metrics, expected_calibration_error=error)

    return Verdict(
        decision="promote" if report.decision == "promote" else "reject",
        bootstrap=report.other is None,
        metric=report.metric,
        reasons=report.reasons,
        checks=(),
        rows=report.rows,
        positives=report.positives,
        challenger=scores(report.model),
        champion=scores(report.other) if report.other else None,
    )


def _headline(report: ModelReport) -> str:
    title, value = wording.metric_title(report.metric), report.model.metrics[report.metric].value
    said = f"{report.use_case}: {title} {wording.decimal(value)}"
    if report.other is None:
        return said
    return f"{said}, {_compared(report)} {report.other.name}"


def _compared(report: ModelReport) -> str:
    """In words, and only as sure as the interval is."""
    difference = report.difference[report.metric]
    if difference.low > 0:
        return "better than"
    return "worse than" if difference.high < 0 else "not told apart from"


def _told(report: ModelReport) -> str:
    version = f"version {report.model.version}" if report.model.version else "not registered"
    rows = f"{wording.counted(report.rows, 'held-out row')}, {report.positives:,} of them positive"
    reasons = "; ".join(report.reasons)
    return f"The gate said **{report.decision}** ({version}): {reasons}. Measured on {rows}."


def _metrics(report: ModelReport) -> tuple[list[str], list[list[str]]]:
    other, title = report.other, wording.percent(report.confidence, 0)
    header = ["metric", report.model.name]
    header += [other.name, f"difference ({title} interval)", "better with probability"] if other else []
    rows = []
    for name, value in report.model.metrics.items():
        less = " (smaller is better)" if name in wording.SMALLER_IS_BETTER else ""
        row = [wording.metric_title(name) + less, _interval(value)]
        if other:
            chance = wording.percent(report.probability_better[name])
            row += [_interval(other.metrics[name]), _difference(report.difference[name]), chance]
        rows.append(row)
    error = "calibration error (smaller is better)"
    row = [error, wording.decimal(report.model.expected_calibration_error)]
    row += [wording.decimal(other.expected_calibration_error), "", ""] if other else []
    return header, [*rows, row]


def _interval(interval: Interval) -> str:
    low, high = wording.decimal(interval.low), wording.decimal(interval.high)
    return f"{wording.decimal(interval.value)} ({low} to {high})"


def _difference(interval: Interval) -> str:
    """The sign says better or worse, whichever way the metric goes."""
    value, low, high = (wording.signed(v) for v in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _decisions(report: ModelReport) -> str:
    models = [m for m in (report.model, report.other) if m is not None]
    header = ["score at or above " + f"{report.model.confusion.threshold:g}", *(m.name for m in models)]
    counts: list[tuple[str, Callable[[Confusion], int]]] = [
        ("positive, called positive", lambda c: c.true_positives),
        ("negative, called positive", lambda c: c.false_positives),
        ("positive, called negative", lambda c: c.false_negatives),
        ("negative, called negative", lambda c: c.true_negatives),
    ]
    rows = [[what, *(wording.whole(count(m.confusion)) for m in models)] for what, count in counts]
    rows += [
        [name, *(_share(m.confusion, name) for m in models)] for name in ("precision", "recall", "accuracy")
    ]
    return _table(header, rows)


def _share(confusion: Confusion, name: str) -> str:
    value = getattr(confusion, name)
    return wording.ABSENT if value is None else wording.percent(value, 2)


def _changed_features(model: ReportedModel, other: ReportedModel) -> str:
    new = [f for f in model.features if f not in other.features]
    gone = [f for f in other.features if f not in model.features]
    said = [f"{what}: {_names(names)}" for what, names in (("New", new), ("Gone", gone)) if names]
    return ". ".join(said) + "." if said else ""


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST_NAMES]) + more


def _picture(plot: Plot, link: str) -> str:
    caption = plot.caption.replace("|", r"\|")
    return f"![{plot.title}]({link})\n*{plot.title}.* {caption}"


def _origin(report: ModelReport) -> str:
    models = [m for m in (report.model, report.other) if m is not None]
    said = (
        f"{m.name}: commit `{m.git_commit[:12]}`, {m.train_rows:,} rows up to snapshot `{m.snapshot_id}`, "
        f"run key `{m.run_key}`"
        for m in models
    )
    return f"<sub>{'; '.join(said)}.</sub>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
