"""What can be said of a batch that has no files."""

from __future__ import annotations

from lakeloop.domain.batch import Batch
from lakeloop.domain.profile import Profile


def without_files(batch: Batch) -> Profile:
    """A profile that says why there is nothing to look at."""
    return Profile(batch_id=batch.batch_id, note=batch.note or "no new rows: there is nothing to look at")
