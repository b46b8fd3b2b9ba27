"""The crash matrix as tables of docs/reliability.md, each between two marks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.faults.crash_matrix.matrix import Rerun
from tests.faults.crash_matrix.points import HAND_POINTS, OF_A_RUN, Point

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
Results = dict[tuple[str, str, str, Rerun], list[str]]
Rows = dict[tuple[str, str], list[str]]
SCARCE = "scarce resources"
"""First word of the cells that are no deaths."""
COLUMNS: tuple[tuple[str, Rerun], ...] = (
    ("before", "resume"),
    ("before", "new run"),
    ("after", "resume"),
    ("after", "new run"),
)


def publish(results: Results, page: Path = PAGE, *, partly: bool = False) -> None:
    """Replace what lies between the marks of each table all of whose points were played; the rest is a person's.

    Args:
        results: of all deaths.
        page: where.
        partly: write the table of runs also where points are left: their rows stay as they were played last.
    """
    by_hand = _hand_cells(HAND_POINTS)
    if partly or all(_played(point, results) for point in OF_A_RUN):
        _replace(page, "crash matrix", table(results, _rows_on(page) if partly else {}))
    if all(cell in results for cell in by_hand):
        _replace(page, "commands by hand", hand_table(results))
    if any(cell[0] == SCARCE for cell in results):
        _replace(page, SCARCE, scarce_table(results))


def _rows_on(page: Path) -> Rows:
    """(step, point) -> the cells that the page has."""
    text = page.read_text(encoding="utf-8").partition("<!-- crash matrix: begin -->")[2]
    lines = text.partition("<!-- crash matrix: end -->")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {(step, name): cells for step, name, *cells in rows}


def _replace(page: Path, name: str, content: str) -> None:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8")
    head, found, rest = text.partition(begin)
    _, ended, tail = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{page} has no place between {begin} and {end}")
    page.write_text(f"{head}{begin}\n{content}\n{end}{tail}", encoding="utf-8")


def hand_table(results: Results) -> str:
    """A row a point of a command, a column a side."""
    head = ["command", "commit point", "cut before", "cut after"]
    rows = [
        [point.step, point.name, *(_cell(results.get(cell)) for cell in _hand_cells([point]))]
        for point in HAND_POINTS
    ]
    found = [results[cell] for cell in _hand_cells(HAND_POINTS)]
    total = (
        f"{len(rows)} points, {sum(not f for f in found)} of {len(found)} deaths ended as a clean command."
    )
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", total])


def scarce_table(results: Results) -> str:
    """A row a shortage."""
    rows = [
        [what, where, _cell(found)] for (kind, what, where, _), found in results.items() if kind == SCARCE
    ]
    lines = [["what is short", "step", "end"], ["---"] * 3, *sorted(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _hand_cells(chosen: Iterable[Point]) -> list[tuple[str, str, str, Rerun]]:
    return [(p.step, p.name, side, "again") for p in chosen for side in ("before", "after")]


def table(results: Results, before: Rows) -> str:
    """A row a point, a column a death and rerun; of a point that was not played, the row that there was before."""
    head = ["step", "commit point", *(f"cut {side}, {rerun}" for side, rerun in COLUMNS)]
    rows = [_row(point, results, before) for point in OF_A_RUN]
    cells = [cell for row in rows for cell in row[2:] if cell != "-"]
    total = f"{len(rows)} points, {cells.count('same')} of {len(cells)} deaths ended as a clean run."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", total])


def _played(point: Point, results: Results) -> bool:
    return any(
        all((point.step, point.name, side, rerun) in results for side in ("before", "after"))
        for _, rerun in COLUMNS
    )


def _row(point: Point, results: Results, before: Rows) -> list[str]:
    cells = [_cell(results.get((point.step, point.name, *column))) for column in COLUMNS]
    if not _played(point, results):
        cells = before.get((point.step, point.name), cells)
    return [point.step, point.name, *cells]


def _cell(differences: list[str] | None) -> str:
    if differences is None:
        return "-"
    return "same" if not differences else "differs: " + ", ".join(d.partition(":")[0] for d in differences)
