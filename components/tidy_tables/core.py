"""What a tidying came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lakeloop.domain.base import Frozen
from lakeloop.domain.errors import UserError
from lakeloop.domain.tidying import Left, Removal

Mode = Literal["remove", "show"]


class Tidied(Frozen):
    """Artifact `tidied`."""

    mode: Mode
    planned: tuple[Removal, ...]
    removed: tuple[Removal, ...]
    left: tuple[Left, ...]


def mode_of(text: str) -> Mode:
    """The mode.

    Raises:
        UserError: it is none.
    """
    match text:
        case "remove" | "show":
            return text
    raise UserError(f"{text!r} is no mode", where="mode", fix="write remove or show")


def told(tidied: Tidied) -> str:
    """The result in one line."""
    kinds: Sequence[str] = [r.kind for r in (tidied.removed if tidied.mode == "remove" else tidied.planned)]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "nothing"
    verb = "removed" if tidied.mode == "remove" else "would remove"
    return f"{verb} {counts}; left alone: {len(tidied.left)}"
