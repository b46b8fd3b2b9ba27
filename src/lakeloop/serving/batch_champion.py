"""The champion over a table's rows, by the very code that answers requests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop import bootstrap
from lakeloop.domain.batch_scoring import Scored, ScoringJob, rows_to_score, scoring_range
from lakeloop.domain.errors import UserError
from lakeloop.domain.identity import identity_of
from lakeloop.domain.model_files import IDENTITY_FILE, MODEL_FILES
from lakeloop.domain.rollout import Registration
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.ports.models import ModelRegistry
from lakeloop.ports.past_of_rows import PastOfRows
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.scoring import BatchScoring
from lakeloop.serving.model import ServedModel, load
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RowsToScore:
    """All rows of a table, or those that a range added.

    Args:
        table: with the use case's raw columns and key; None: the use case's own.
        from_snapshot_id: exclusive start of the range; None: all rows.
        to_snapshot_id: end of the range; None: the newest snapshot.
    """

    table: str | None = None
    from_snapshot_id: str | None = None
    to_snapshot_id: str | None = None


def score_batch(
    settings: Settings, use_case: UseCase, wanted: RowsToScore, report: Callable[[str], None]
) -> Scored:
    """Score rows with the champion.

    Args:
        settings: where.
        use_case: whose champion scores.
        wanted: which rows.
        report: told of the progress.

    Raises:
        UserError: no champion, no such table or snapshot, or features are defined otherwise than the model's.
        LakeloopError: storage or catalog do not answer; run again, what is scored stays.
    """
    lake, name = bootstrap.lake(settings), wanted.table or use_case.table.name
    state = lake.table_state(name)
    start, end = scoring_range(state, name, wanted.from_snapshot_id, wanted.to_snapshot_id)
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as folder:
        model, _ = champion_of(bootstrap.model_registry(settings), use_case.name, Path(folder))
        files = model_files(Path(folder))
    assert state is not None  # noqa: S101 - scoring_range refuses None
    past_at = _past_at(lake, use_case, name, end) if model.encoding.past_columns else None
    job = ScoringJob(
        table=name,
        table_uuid=state.table_uuid,
        from_snapshot_id=start,
        to_snapshot_id=end,
        model_name=model.identity.model_name,
        model_version=model.identity.version,
        model_digest=model.identity.model_digest,
        past_snapshot_id=past_at,
    )
    past, columns = None, list(model.encoding.raw_columns)
    if past_at is not None:
        past = bootstrap.past_of_rows(settings, use_case, past_at, model.identity.feature_hash)
        columns += past.columns
    scorer = bootstrap.piece_scorer(settings, use_case, rows_to_score(state, start, end), report)
    score = ModelScore(model.identity.model_digest, files, past)
    scoring = BatchScoring(lake, bootstrap.row_log(settings), score, report, scorer)
    return scoring.run(job, columns, use_case.table.key)


@dataclass(frozen=True)
class ModelScore:
    """Raw rows -> scores, by the very code of the server; can be sent to another process, which loads the model once.

    Args:
        model_digest: of the model.
        files: its folder's files, by name.
        past: what rows know of earlier ones, where the model looks at that.
    """

    model_digest: str
    files: Mapping[str, bytes]
    past: PastOfRows | None = None

    def __call__(self, rows: pa.Table) -> list[float]:
        """Scores [rows]."""
        model = _LOADED.get(self.model_digest)
        if model is None:
            with tempfile.TemporaryDirectory(prefix="lakeloop-") as folder:
                for name, content in self.files.items():
                    (Path(folder) / name).write_bytes(content)
                model = _LOADED[self.model_digest] = load(Path(folder))
        return model.scores_of_table(rows if self.past is None else self.past.beside(rows))


_LOADED: dict[str, ServedModel] = {}


def model_files(folder: Path) -> dict[str, bytes]:
    """All that `load` reads of a model's folder."""
    (identity,) = folder.rglob(IDENTITY_FILE)
    return {name: (identity.parent / name).read_bytes() for name in (*MODEL_FILES, IDENTITY_FILE)}


def _past_at(lake: Lake, use_case: UseCase, name: str, end: str) -> str:
    """The snapshot of the use case's table whose rows are history: the scored one, or of another table the newest."""
    if name == use_case.table.name:
        return end
    own = lake.table_state(use_case.table.name)
    if own is None or own.current_snapshot_id is None:
        raise UserError("it has no rows, so nobody has a past", where=use_case.table.name, fix="land a batch")
    return own.current_snapshot_id


def champion_of(registry: ModelRegistry, name: str, folder: Path) -> tuple[ServedModel, TrainedModel]:
    """The champion, loaded as a server loads it, and its training.

    Raises:
        UserError: there is no champion.
    """
    version = registry.champion(name)
    if version is None:
        raise UserError("there is no champion yet", where=name, fix=f"lakeloop run {name} makes one")
    trained = registry.trained(name, version)
    registration = Registration(
        model_name=name, version=version, model_uri=trained.model_uri, model_digest=trained.model_digest
    )
    model = registry.download(name, version, folder)
    identity = identity_of(trained, registration).model_dump_json()
    (model / IDENTITY_FILE).write_text(identity, encoding="utf-8")
    return load(model), trained
