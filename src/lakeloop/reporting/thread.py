"""The thread from an answer back to the exact snapshots behind it, link by link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lakeloop.reporting import wording
from lakeloop.reporting.documents import RunDocuments


@dataclass(frozen=True)
class Link:
    """One link: what it is, its identity, and what else is worth knowing of it."""

    title: str
    identity: str
    facts: tuple[tuple[str, str], ...] = ()
    items: tuple[str, ...] = ()


def thread(documents: RunDocuments) -> tuple[Link, ...]:
    """Links from the endpoint down to the batch's files; those that the run did not reach are left out."""
    return tuple(
        link
        for part in (_endpoint, _version, _run, _booster, _features, _source, _batch)
        for link in part(documents)
    )


def _endpoint(documents: RunDocuments) -> Iterator[Link]:
    rollout = documents.rollout
    if rollout:
        facts = (("URL", rollout.url), ("serves version", _serving(documents)))
        yield Link("Endpoint", rollout.endpoint, _present(facts))


def _serving(documents: RunDocuments) -> str:
    rollout = documents.rollout
    if rollout is None:
        return ""
    live = rollout.outcome in {"live", "already_live"}
    return rollout.version if live else rollout.previous_version or "none"


def _version(documents: RunDocuments) -> Iterator[Link]:
    made = documents.registration
    if made:
        pins = tuple(f"{table} ⟵ tag {tag}" for table, tag in made.pins.items())
        facts = (("model URI", made.model_uri), ("champion before", made.previous_champion or "none"))
        yield Link("Model version", f"{made.model_name} version {made.version}", facts, pins)


def _run(documents: RunDocuments) -> Iterator[Link]:
    trained = documents.training
    if trained:
        lineage = trained.lineage
        facts = (
            ("run key", lineage.run_key),
            ("use case digest", lineage.use_case_digest),
            ("seed", str(lineage.seed)),
            ("git commit", lineage.code.git_commit),
            ("image", lineage.code.image_digest),
            ("MLflow UI", trained.mlflow_run_url),
        )
        libraries = tuple(f"{name} {version}" for name, version in sorted(lineage.code.libraries.items()))
        yield Link("MLflow run", trained.mlflow_run_id, _present(facts), libraries)


def _booster(documents: RunDocuments) -> Iterator[Link]:
    trained = documents.training
    if trained:
        rows = (
            f"{trained.train_rows:,} trained, {trained.holdout_rows:,} held out from {trained.holdout_start}"
        )
        facts = (("model digest", trained.model_digest), ("rounds", str(trained.rounds)), ("rows", rows))
        yield Link("Booster", f"sha256 {trained.booster_sha256}", facts)


def _features(documents: RunDocuments) -> Iterator[Link]:
    made = documents.training_set
    if made:
        facts = (
            ("table uuid", made.feature_table_uuid),
            ("feature hash", made.feature_hash),
            ("range ids", ", ".join(made.range_ids)),
            ("rows", f"{made.rows:,}, newest range {made.newest_rows:,}"),
        )
        yield Link(
            "Feature table", f"{made.feature_table} at snapshot {made.feature_snapshot_id}", _present(facts)
        )


def _source(documents: RunDocuments) -> Iterator[Link]:
    made = documents.training_set
    range_ = made.range if made else documents.plan.range if documents.plan else None
    if range_ is None:
        return
    start = range_.from_snapshot_id or "the first row"
    snapshots = (
        made.snapshots
        if made
        else tuple(s.snapshot_id for s in documents.plan.snapshots)
        if documents.plan
        else ()
    )
    facts = (
        ("table uuid", range_.table_uuid),
        ("after", start),
        ("up to and including", range_.to_snapshot_id),
        ("schema id", "" if made is None or made.schema_id is None else str(made.schema_id)),
    )
    yield Link("Source snapshots", range_.table, _present(facts), tuple(f"snapshot {s}" for s in snapshots))


def _batch(documents: RunDocuments) -> Iterator[Link]:
    batch, ingest = documents.batch, documents.ingest
    if batch and (batch.batch_id or batch.note):
        facts = (
            ("number", "" if batch.number is None else str(batch.number)),
            ("rows", "" if batch.rows is None else wording.whole(batch.rows)),
            ("landed as snapshot", (ingest.snapshot_id if ingest else "") or ""),
        )
        yield Link("Batch", batch.batch_id or batch.note, _present(facts), batch.files)


def _present(facts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in facts if value)
