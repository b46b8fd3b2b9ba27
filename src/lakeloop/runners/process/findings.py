"""Walk a compiled document against the field tables and collect what is refused or not applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lakeloop.runners.process.spec_fields import EachItem, EachValue, NotApplied, Refused, RequiredRefused


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in the document that deserves a word.

    Attributes:
        place: dotted path of the field.
        problem: what about it.
        fix: what to do; empty when the field is merely not applied.
        refused: whether the run may not start.
    """

    place: str
    problem: str
    fix: str = ""
    refused: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" + (f" -> {self.fix}" if self.fix else "")


def walk_fields(document: Any, table: Any, place: str = "") -> Iterator[Finding]:
    """Compare a document with a field table, depth first."""
    if isinstance(table, Refused):
        yield Finding(place, "this runner cannot honour it", table.fix)
    elif isinstance(table, NotApplied):
        yield Finding(place, table.why, refused=False)
    elif isinstance(table, RequiredRefused):
        if not _all_optional(document):
            yield Finding(place, "this runner cannot honour it unless it is optional", table.fix)
    elif isinstance(table, EachItem):
        yield from _walk_items(document, table, place)
    elif isinstance(table, (EachValue, Mapping)):
        yield from _walk_mapping(document, table, place)


def _all_optional(document: Any) -> bool:
    items = document if isinstance(document, list) else [document]
    return bool(items) and all(isinstance(one, Mapping) and one.get("optional") is True for one in items)


def _walk_items(document: Any, table: EachItem, place: str) -> Iterator[Finding]:
    if not isinstance(document, list):
        yield Finding(place, "a list is expected", "compile the pipeline again")
        return
    for index, item in enumerate(document):
        yield from walk_fields(item, table.table, f"{place}[{index}]")


def _walk_mapping(document: Any, table: Any, place: str) -> Iterator[Finding]:
    if not isinstance(document, Mapping):
        yield Finding(place or "document", "a mapping is expected", "compile the pipeline again")
        return
    for key, value in document.items():
        where = f"{place}.{key}" if place else str(key)
        if not isinstance(key, str):
            fix = "rename it: YAML 1.1 reads n, y, no, yes, on and off as booleans"
            yield Finding(where, f"the key {key!r} is not text", fix)
        elif isinstance(table, EachValue):
            yield from walk_fields(value, table.table, where)
        elif key not in table:
            yield Finding(where, "unknown field", "use a newer lakeloop, or run this pipeline on a cluster")
        else:
            yield from walk_fields(value, table[key], where)
