"""What a publication of features came to."""

from __future__ import annotations

from lakeloop.domain.online import OnlineVersion


def told(version: OnlineVersion, published: bool) -> str:
    """The result in one line."""
    done = "published" if published else "were published already"
    by = ", ".join(version.entity)
    return f"features of {version.use_case} {done}: snapshot {version.source_snapshot_id}, by {by}"
