"""Which snapshots a model version lives on, and under which tags Iceberg keeps them from expiring."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from lakeloop.domain.base import Frozen
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.snapshots import Ref

_TAG = re.compile(r"lakeloop_(?P<model>.+)_v(?P<version>\d+)(?:_(?:from|window|s\d+))?")


class Pin(Frozen):
    """A snapshot that must not expire while the version is not retired."""

    table: str
    tag: str
    snapshot_id: str


def main_tag(model_name: str, version: str) -> str:
    """The tag on the end of the version's range, and on the feature table as it was read."""
    return f"lakeloop_{model_name}_v{version}"


def pins(
    model_name: str, version: str, training_set: TrainingSet, retained: Collection[str]
) -> tuple[Pin, ...]:
    """All that a replay of the version reads.

    The source table at the end of its range, and the feature table as it was read. Where the range has a start, the
    start too: the rows of `(from, to]` are then those of `to` without those of `from`, whatever expires in
    between; and the start of the window's oldest range, for all rows before the newest range. Tags of these two alone
    would not keep the commits between them, which Iceberg's incremental scan needs, so a replay does not need it.

    Args:
        model_name: the model.
        version: of it.
        training_set: what it was trained on.
        retained: snapshot ids that the source table still has. A range may begin at a snapshot that has expired
            before the training; then each of its commits is pinned, and the incremental scan stays possible.
    """
    tag, range_ = main_tag(model_name, version), training_set.range
    found = [
        Pin(table=range_.table, tag=tag, snapshot_id=range_.to_snapshot_id),
        Pin(table=training_set.feature_table, tag=tag, snapshot_id=training_set.feature_snapshot_id),
    ]
    start, oldest = range_.from_snapshot_id, training_set.oldest_from_snapshot_id
    if start is not None and start in retained:
        found.append(Pin(table=range_.table, tag=f"{tag}_from", snapshot_id=start))
    elif start is not None:
        between = [s for s in training_set.snapshots if s in retained and s != range_.to_snapshot_id]
        found += [Pin(table=range_.table, tag=f"{tag}_s{s}", snapshot_id=s) for s in between]
    if oldest is not None and oldest != start and oldest in retained:
        found.append(Pin(table=range_.table, tag=f"{tag}_window", snapshot_id=oldest))
    return tuple(found)


def pinned_by(refs: Iterable[Ref], model_name: str, version: str) -> tuple[str, ...]:
    """The tags of one table that pin something for this version: what retiring it removes."""
    return tuple(
        ref.name for ref in refs if ref.kind == "tag" and pinned_for(ref.name) == (model_name, version)
    )


def pinned_for(tag: str) -> tuple[str, str] | None:
    """Model name and version behind a tag's name; None where it is no pin."""
    found = _TAG.fullmatch(tag)
    return (found["model"], found["version"]) if found else None
