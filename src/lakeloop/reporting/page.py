"""The page itself: sections rendered one by one, so that a broken one says so and costs no other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from lakeloop.reporting import wording
from lakeloop.reporting.outcome import Outcome, outcome, with_interval
from lakeloop.reporting.sections import SECTIONS, Run

if TYPE_CHECKING:
    from jinja2 import Environment, Template


@dataclass(frozen=True)
class RenderedSection:
    """A section's HTML; `error` where it could not be made."""

    name: str
    title: str
    html: str
    error: str = ""


@dataclass(frozen=True)
class Page:
    """A self-contained HTML document and what went wrong while it was made (nothing, as a rule)."""

    html: str
    outcome: Outcome
    errors: tuple[str, ...]


def render(run: Run, made_at: str) -> Page:
    """One HTML page without scripts or outside resources.

    Args:
        run: the run and its documents.
        made_at: when, as it is to be printed.
    """
    result = outcome(run.documents, run.status)
    sections = [s for name, title, _ in SECTIONS if (s := _section(name, title, run))]
    html = template("page.html.j2").render(
        run=run, outcome=result, sections=sections, made_at=made_at, facts=_facts(run)
    )
    return Page(html, result, tuple(f"{s.name}: {s.error}" for s in sections if s.error))


def _section(name: str, title: str, run: Run) -> RenderedSection | None:
    view = next(make for section, _, make in SECTIONS if section == name)
    try:
        values = view(run)
        if values is None:
            return None
        drawn = template(f"sections/{name}.html.j2").render(run=run, **values)
        return RenderedSection(name, title, drawn)
    except Exception as error:  # noqa: BLE001 - shown in the section's place; the rest of the page is still true
        return RenderedSection(name, title, "", f"{type(error).__name__}: {error}")


def _facts(run: Run) -> list[tuple[str, str, str]]:
    """The few numbers at the top: (what, value, beside it)."""
    documents = run.documents
    verdict, made = documents.verdict, documents.training_set
    facts: list[tuple[str, str, str]] = []
    if documents.ingest and documents.ingest.rows:
        facts.append(
            (
                "rows in the batch",
                wording.whole(documents.ingest.rows),
                documents.ingest.outcome.replace("_", " "),
            )
        )
    if made:
        snapshots = wording.counted(len(documents.plan.snapshots), "new snapshot") if documents.plan else ""
        facts.append(("rows in the training set", wording.whole(made.rows), snapshots))
    if verdict and verdict.challenger and verdict.metric in verdict.challenger.metrics:
        interval = verdict.challenger.metrics[verdict.metric]
        low, high = wording.decimal(interval.low, 3), wording.decimal(interval.high, 3)
        title = wording.metric_title(verdict.metric)
        facts.append((f"{title}, challenger", wording.decimal(interval.value, 3), f"{low} to {high}"))
    if verdict and verdict.difference:
        low, high = wording.signed(verdict.difference.low), wording.signed(verdict.difference.high)
        facts.append(("against the champion", wording.signed(verdict.difference.value), f"{low} to {high}"))
    return facts


def template(name: str) -> Template:
    """One of the package's templates."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("lakeloop.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (
        resources.files("lakeloop.reporting").joinpath("templates", "style.css").read_text(encoding="utf-8")
    )
    shown: dict[str, Any] = {
        "drawing": Markup,  # our own SVG, its texts escaped by the XML writer
        "style": Markup(style),  # noqa: S704 - a file of this package
        "wording": wording,
        "with_interval": with_interval,
    }
    environment.globals.update(shown)
    return environment
