"""What a publication of features came to."""

from __future__ import annotations

from lakeloop.domain.errors import UserError
from lakeloop.domain.online import OnlineVersion
from lakeloop.domain.use_case import UseCase


def why_left_out(use_case: UseCase, optional: str, *, store_known: bool) -> str:
    """Why there is nothing to do, where that is as it should be; empty where features are to be published.

    Args:
        use_case: `online.entity` says whose features are looked up.
        optional: `yes` as a part of another pipeline, `no` where publishing is all that was asked for.
        store_known: whether the place has an online store; a cluster's has to be named.

    Raises:
        UserError: `optional` is neither yes nor no.
    """
    if optional not in {"yes", "no"}:
        raise UserError(f"{optional!r} is neither yes nor no", where="--optional", fix="use one of them")
    if optional == "no":
        return ""
    if use_case.online is None:
        return "the use case has no online.entity"
    return "" if store_known else "no online store is named: LAKELOOP_ONLINE_STORE_URI"


def told(version: OnlineVersion, published: bool) -> str:
    """The result in one line."""
    done = "published" if published else "were published already"
    by = ", ".join(version.entity)
    return f"features of {version.use_case} {done}: snapshot {version.source_snapshot_id}, by {by}"
