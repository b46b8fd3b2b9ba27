"""Which snapshots a model version, or a training under way, lives on, and which tags keep them from expiring."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from lakeloop.domain.base import Frozen, sha256_hex
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import Ref

_TAG = re.compile(r"lakeloop_(?P<model>.+)_v(?P<version>\d+)(?:_(?:from|window|s\d+))?")

MOST_COMMITS = 200


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


def training_prefix(use_case: str, run_id: str) -> str:
    """What the tags of one run's training begin with, on any table; no version's tag does."""
    return f"{_trainings(use_case)}{sha256_hex(run_id)[:12]}_"


def plan_pins(use_case: str, run_id: str, plan: Plan, retained: Collection[str]) -> tuple[Pin, ...]:
    """All that a training reads of its source table: none of it may expire before the outcome.

    The end; where the range has a start, each commit after it too, which an incremental scan needs; and the start,
    unless it had expired before. Of more than `MOST_COMMITS` only both ends: refs are a part of every metadata file,
    and the commits between are needed for as long as features are computed only.

    Args:
        use_case: who trains.
        run_id: of the pipeline.
        plan: what is to be read.
        retained: snapshot ids that the source table still has.
    """
    if plan.range is None:
        return ()
    start, end = plan.range.from_snapshot_id, plan.range.to_snapshot_id
    read = plan.snapshots if start is not None and len(plan.snapshots) <= MOST_COMMITS else ()
    needed = {*(s.snapshot_id for s in read), end}
    needed |= {start} & {*retained} if start is not None else set()
    prefix, table = training_prefix(use_case, run_id), plan.range.table
    return tuple(Pin(table=table, tag=prefix + s, snapshot_id=s) for s in sorted(needed))


def training_set_pins(run_id: str, training_set: TrainingSet, retained: Collection[str]) -> tuple[Pin, ...]:
    """What a training needs beyond its plan: the feature table as it is read, and the start of its window.

    Args:
        run_id: of the pipeline.
        training_set: what was built.
        retained: snapshot ids that the source table still has.
    """
    prefix = training_prefix(training_set.use_case, run_id)
    found = [(training_set.feature_table, training_set.feature_snapshot_id)]
    oldest = training_set.oldest_from_snapshot_id
    if oldest is not None and oldest in retained:
        found.append((training_set.range.table, oldest))
    return tuple(Pin(table=table, tag=prefix + s, snapshot_id=s) for table, s in found)


def tags_of_training(refs: Iterable[Ref], use_case: str, run_id: str) -> tuple[str, ...]:
    """The tags of one table that hold something for this run's training."""
    prefix = training_prefix(use_case, run_id)
    return tuple(tag for tag in _training_tags(refs, use_case) if tag.startswith(prefix))


def tags_of_other_trainings(refs: Iterable[Ref], use_case: str, run_id: str | None) -> tuple[str, ...]:
    """The tags of one table that hold something for trainings of this use case by other runs; by any, for None."""
    mine = () if run_id is None else (training_prefix(use_case, run_id),)
    return tuple(tag for tag in _training_tags(refs, use_case) if not tag.startswith(mine))


def _trainings(use_case: str) -> str:
    return f"lakeloop_training_{use_case}__"


def _training_tags(refs: Iterable[Ref], use_case: str) -> list[str]:
    form = re.compile(re.escape(_trainings(use_case)) + r"[0-9a-f]{12}_\d+")
    return [ref.name for ref in refs if ref.kind == "tag" and form.fullmatch(ref.name)]
