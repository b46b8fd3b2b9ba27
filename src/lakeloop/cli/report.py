"""`lakeloop report`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.model_report import Report
    from lakeloop.model_reporting import Judged, ModelPlaces, Other
    from lakeloop.settings import Settings


class Format(StrEnum):
    """What the report is written in."""

    MARKDOWN = "markdown"
    HTML = "html"


FormatOption = Annotated[Format, typer.Option("--format", help="Markdown, or one HTML page.")]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="REF|VERSION",
        help="Compare with the model that a branch, tag or commit of git made, or with a version; "
        "default: the champion that the gate compared it with.",
    ),
]
AgainstHome = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Look for that model in another home folder (LAKELOOP_HOME)."),
]
Version = Annotated[
    str | None, typer.Option(metavar="VERSION", help="Report this version; default: what was judged last.")
]
To = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report there; default: to stdout.")]
Plots = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Markdown: write the plots there; default: USE_CASE-report beside FILE."
    ),
]
PlotsUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Markdown: where the plots will be found, for its links."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(  # noqa: PLR0913, PLR0917 - one option each
    use_case: UseCaseArgument,
    form: FormatOption = Format.MARKDOWN,
    against: Against = None,
    against_home: AgainstHome = None,
    version: Version = None,
    to: To = None,
    plots: Plots = None,
    plots_url: PlotsUrl = None,
    as_json: Json = False,
) -> None:
    """Report the newest model beside another one, for a pull request.

    Metrics with intervals, confusion matrix, plots, and the paired difference to the other model on the same
    held-out rows, which are scored now. A rejected model is reported, too. Starts no JVM.

    \b
      lakeloop report loans --format markdown
      lakeloop report loans --against origin/main --to report.md
      lakeloop report loans --against origin/main --against-home ../main/.lakeloop
      lakeloop report loans --format html --against 3 --to report.html
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost

    # isort: split
    from lakeloop import model_reporting
    from lakeloop.serving.expressions import raw_to_features
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    name = load_use_case(use_case).name
    places = _places(Settings())
    judged = model_reporting.newest_judged(places, name, version)
    other, note = _other(places, judged, name, against, against_home)
    made = model_reporting.reported(places, judged, other, raw_to_features, note=note, tell=output.say)
    if as_json:
        output.as_json(made.report.model_dump(mode="json"))
        return
    if form is Format.HTML:
        from lakeloop.reporting.model_page import html

        _out(html(made), to)
        return
    _markdown(made, name, to, plots, plots_url)


def _places(settings: Settings) -> ModelPlaces:
    from lakeloop import bootstrap
    from lakeloop.model_reporting import ModelPlaces

    return ModelPlaces(
        bootstrap.lake(settings),
        bootstrap.ledger(settings),
        bootstrap.journal(settings),
        bootstrap.run_tracker(settings),
        bootstrap.model_registry(settings),
    )


def _other(
    places: ModelPlaces, judged: Judged, name: str, against: str | None, home: Path | None
) -> tuple[Other | None, str]:
    """What it is compared with, and what the reader has to know of that."""
    from lakeloop.domain.errors import UserError
    from lakeloop.model_reporting import Other
    from lakeloop.settings import Settings

    if home is not None and not home.is_dir():
        raise UserError("no such folder", where=f"--against-home {home}", fix="name the home of a run")
    there = places if home is None else _places(Settings(home=home.resolve()))
    if against is None and home is None:
        known = judged.verdict.champion_version
        if known is None or known == judged.version:
            return None, "There was no other model to compare it with."
        return Other(places, known, f"champion v{known}"), ""
    if against is None:
        champion = there.registry.champion(name)
        if champion is None:
            return None, f"No model was promoted in {home}."
        return Other(there, champion, f"champion v{champion} there"), ""
    if re.fullmatch(r"v?\d{1,9}", against):
        number = against.removeprefix("v")
        return Other(there, number, f"version {number}"), ""
    return _of_ref(there, judged, name, against)


def _of_ref(places: ModelPlaces, judged: Judged, name: str, ref: str) -> tuple[Other | None, str]:
    from lakeloop.cli.task_environment import code_of
    from lakeloop.model_reporting import Other, version_of_code

    found = version_of_code(places, name, code_of(Path.cwd(), ref), judged.trained.lineage.run_key)
    if found is None:
        return (
            None,
            f"No promoted version was made by the code of {ref}, so there is nothing to compare with.",
        )
    return Other(places, found, f"{ref} (v{found})"), ""


def _markdown(made: Report, name: str, to: Path | None, folder: Path | None, url: str | None) -> None:
    from lakeloop.reporting.model_page import markdown, report_plots

    beside = to.parent if to is not None else Path()
    place = folder or beside / f"{name}-report"
    _make(place)
    pictures = {}
    for plot_name, plot in report_plots(made).items():
        file = f"{plot_name}.png"
        _write(place / file, plot.drawing.png())
        pictures[plot_name] = f"{url.rstrip('/')}/{file}" if url else _link(place / file, beside)
    _out(markdown(made, pictures), to)


def _link(file: Path, beside: Path) -> str:
    import os

    return Path(os.path.relpath(file, beside or ".")).as_posix().replace(" ", "%20")


def _out(text: str, to: Path | None) -> None:
    from lakeloop.cli import output

    if to is None:
        output.data(text.rstrip("\n"))
        return
    _write(to, text.encode())
    output.say(f"report: {to}")


def _make(folder: Path) -> None:
    from lakeloop.domain.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made: {error}", where=str(folder), fix="name another --plots") from error


def _write(path: Path, content: bytes) -> None:
    """The whole file or none."""
    from lakeloop.domain.errors import UserError

    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(path), fix="name another place") from error
    finally:
        scratch.unlink(missing_ok=True)
