"""The crash matrix as a table of docs/reliability.md, between two marks."""

from __future__ import annotations

from pathlib import Path

from tests.faults.crash_matrix.matrix import Rerun
from tests.faults.crash_matrix.points import FIRST_RUN, LATER_RUN, REFUSAL, REJECTION, Point

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
BEGIN, END = "<!-- crash matrix: begin -->", "<!-- crash matrix: end -->"
Results = dict[tuple[str, str, str, Rerun], list[str]]
COLUMNS: tuple[tuple[str, Rerun], ...] = (
    ("before", "resume"),
    ("before", "new run"),
    ("after", "resume"),
    ("after", "new run"),
)


def publish(results: Results, page: Path = PAGE) -> None:
    """Replace what lies between the marks, unless only some of the matrix was played; the rest is a person's."""
    if any((point.step, point.name, "before", "resume") not in results for point in points()):
        return
    text = page.read_text(encoding="utf-8")
    head, found, rest = text.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{page} has no place between {BEGIN} and {END}")
    page.write_text(f"{head}{BEGIN}\n{table(results)}\n{END}{tail}", encoding="utf-8")


def points() -> list[Point]:
    """Each once, in the order of the table."""
    return list(dict.fromkeys([*FIRST_RUN[:9], *LATER_RUN, *FIRST_RUN[9:], *REJECTION, *REFUSAL]))


def table(results: Results) -> str:
    """A row a point, a column a death and rerun."""
    head = ["step", "commit point", *(f"cut {side}, {rerun}" for side, rerun in COLUMNS)]
    lines = [head, ["---"] * len(head), *(_row(point, results) for point in points())]
    same = sum(not found for found in results.values())
    total = f"{len(points())} points, {same} of {len(results)} deaths ended as a clean run."
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", total])


def _row(point: Point, results: Results) -> list[str]:
    return [
        point.step,
        point.name,
        *(_cell(results.get((point.step, point.name, *column))) for column in COLUMNS),
    ]


def _cell(differences: list[str] | None) -> str:
    if differences is None:
        return "-"
    return "same" if not differences else "differs: " + ", ".join(d.partition(":")[0] for d in differences)
