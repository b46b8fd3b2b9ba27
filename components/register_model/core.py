"""What the registration tells of its pins."""

from __future__ import annotations

from collections.abc import Iterable

from lakeloop.domain.pins import Pin


def main_pins(pins: Iterable[Pin]) -> dict[str, str]:
    """Table -> the tag at which a reader finds what the version was made of, the first of each table."""
    found: dict[str, str] = {}
    for pin in pins:
        found.setdefault(pin.table, pin.tag)
    return found
