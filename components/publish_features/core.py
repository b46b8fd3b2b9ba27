"""What a publication of features came to."""

from __future__ import annotations

from lakeloop.domain.errors import UserError
from lakeloop.domain.online import OnlineVersion
from lakeloop.domain.use_case import UseCase


def is_left_out(use_case: UseCase, optional: str) -> bool:
    """Whether there is nothing to do, and that is as it should be.

    Raises:
        UserError: `optional` is neither yes nor no.
    """
    if optional not in {"yes", "no"}:
        raise UserError(f"{optional!r} is neither yes nor no", where="--optional", fix="use one of them")
    return optional == "yes" and use_case.online is None


def told(version: OnlineVersion, published: bool) -> str:
    """The result in one line."""
    done = "published" if published else "were published already"
    by = ", ".join(version.entity)
    return f"features of {version.use_case} {done}: snapshot {version.source_snapshot_id}, by {by}"
