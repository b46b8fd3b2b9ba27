"""What a scenario showed, and the cell that follows from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["caught before traffic", "caught later", "silent"]


_VOLATILE = re.compile(r"\b[0-9a-f]{20}\b|\b[0-9a-f]{64}\b|\b\d{4}…\d{4}\b|\b\d{15,}\b")


@dataclass(frozen=True)
class Seen:
    """One side of one scenario, as its end state and its errors show it.

    Attributes:
        wrong: each difference between the end state and the truth: rows, versions, answers. Empty: none.
        told: each error or refusal that a step ended with.
        right: what is true as it should be; required where nothing was told.
    """

    wrong: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    right: str = ""

    @property
    def outcome(self) -> Outcome:
        """Nothing wrong took effect, and somebody was told or the work was done: caught before traffic.

        Something wrong took effect: later, where any step ended with an error, else in silence. An end state in
        which nothing is wrong, nothing was told and nothing was shown to be right is silent as well.
        """
        if self.wrong:
            return "caught later" if self.told else "silent"
        return "caught before traffic" if self.told or self.right else "silent"

    @property
    def evidence(self) -> str:
        """One line of what really happened."""
        found = self.wrong or ((self.right,) if self.right else ())
        return steady("; ".join([*found, *self.told])) or "nothing was shown to be right"


def steady(text: str) -> str:
    """Without snapshot ids and digests, so that the same findings are the same text every time."""
    return _VOLATILE.sub("…", text)


@dataclass(frozen=True)
class Row:
    """One scenario, seen on both sides."""

    number: int
    name: str
    labs: Seen
    lakeloop: Seen


def difference(
    found: Sequence[int], truth: Sequence[int], missing: str = "never trained on", more: str = "trained on"
) -> tuple[str, ...]:
    """How rows differ from those that there should be, each exactly once.

    Args:
        found: keys of the rows that are there.
        truth: keys of the rows that should be.
        missing: what is said of rows that are not there.
        more: what is said of rows that should not be there, or are there twice.
    """
    seen, wanted = set(found), set(truth)
    differences = [
        (len(wanted - seen), f"of {len(wanted)} rows {missing}"),
        (len(seen - wanted), f"rows {more} that should not be"),
        (len(found) - len(seen), f"rows {more} twice"),
    ]
    return tuple(f"{count} {text}" for count, text in differences if count)


def table_difference(found: Sequence[int], truth: Sequence[int]) -> tuple[str, ...]:
    """How a table's rows differ from those that it should have."""
    return difference(found, truth, "gone from the table", "in the table")
