"""A version made a second time from its lineage, in a scratch place, and compared with the first."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from lakeloop.domain.errors import LakeloopError, RefusedError, UserError
from lakeloop.domain.feature_rows import FeatureRows, Indices, RowLayout, layout_of, read_rows, split_by_time
from lakeloop.domain.lineage import CodeIdentity, TrainingSet
from lakeloop.domain.metrics import METRICS, Scored
from lakeloop.domain.model_files import model_digest
from lakeloop.domain.replay import ColumnChange, Rebuilt, Replay, Source, compare
from lakeloop.domain.rereading import check_features_kept, check_source_kept
from lakeloop.domain.row_changes import row_changes
from lakeloop.domain.trained_booster import Champion, TrainedBooster
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.verdict import Verdict
from lakeloop.ports.lake import Lake
from lakeloop.ports.ledger import Ledger
from lakeloop.ports.models import ModelRegistry
from lakeloop.ports.recomputer import FeatureRecomputer, Recomputed
from lakeloop.ports.trainer import DistributedTrainer
from lakeloop.training.model_folder import Model, read_model

if TYPE_CHECKING:
    from lakeloop.domain.feature_rows import Floats


@dataclass(frozen=True)
class Places:
    """Where data, records and models are; `trainer` is for `train.engine: spark`."""

    lake: Lake
    ledger: Ledger
    registry: ModelRegistry
    recomputer: FeatureRecomputer
    trainer: DistributedTrainer


def replay_version(  # noqa: PLR0913 - what, where, and how it is told
    places: Places,
    current: UseCase,
    version: str,
    source: Source,
    *,
    code: CodeIdentity,
    tell: Callable[[str], None] = lambda _: None,
) -> Replay:
    """Rebuild a version and compare it; registers, promotes and publishes nothing.

    Args:
        places: where.
        current: names the model; what is trained is the use case as it was, from the record.
        version: of the model.
        source: `source` computes the features again from the source snapshots, `features` takes them from the pinned
            snapshot of the feature table.
        code: what runs now.
        tell: told of the progress.

    Raises:
        UserError: there is no such version, or its record is not one that can be replayed.
        RefusedError: the data behind the version is gone.
    """
    started = time.monotonic()
    tell(f"reading the record of {current.name} version {version}")
    trained = places.registry.trained(current.name, version)
    use_case = _as_it_was(trained, current)
    replaying = _Replaying(places, use_case, trained, version, tell)
    replaying.check(source)
    rebuilt = replaying.rebuild(source, code)
    return compare(trained, version, source, rebuilt, round(time.monotonic() - started, 3))


def _as_it_was(trained: TrainedModel, current: UseCase) -> UseCase:
    if not trained.use_case:
        if current.digest() == trained.lineage.use_case_digest:
            return current
        raise UserError(
            "this version keeps no copy of its use case, and the use case has changed since",
            where=f"run {trained.mlflow_run_id}",
            fix="give the file as it was then",
        )
    try:
        return UseCase.model_validate_json(json.dumps(trained.use_case))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"the recorded use case does not validate any more: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=f"run {trained.mlflow_run_id}",
            fix=f"replay with the code of commit {trained.lineage.code.git_commit}",
        ) from error


@dataclass(frozen=True)
class _Replaying:
    """One replay under way."""

    places: Places
    use_case: UseCase
    trained: TrainedModel
    version: str
    tell: Callable[[str], None]

    @property
    def recorded_set(self) -> TrainingSet:
        return self.trained.lineage.training_set

    def check(self, source: Source) -> None:
        """Before anything starts, whether the data is there."""
        if source == "features":
            state = self.places.lake.table_state(self.recorded_set.feature_table)
            check_features_kept(self.recorded_set, state, self.version)
        else:
            state = self.places.lake.table_state(self.recorded_set.range.table)
            check_source_kept(self.recorded_set, state, self.version)

    def rebuild(self, source: Source, code: CodeIdentity) -> Rebuilt:
        parent = self._parent()
        recorded = self._recorded()
        with self._rows(source) as made:
            if not made.training_set.newest_rows:
                raise LakeloopError(
                    f"no labelled row of the newest range came out, there were {self.recorded_set.newest_rows}",
                    where=self.recorded_set.range.table,
                    fix="lakeloop show the table at its snapshots",
                )
            booster = self._train(made, parent)
            now = Model(booster.booster, booster.encoding)
            self.tell("scoring both boosters on the rebuilt holdout")
            return self._rebuilt(made.training_set, booster, now, recorded, code)

    @contextmanager
    def _rows(self, source: Source) -> Iterator[Recomputed]:
        if source == "features":
            yield Recomputed(self.recorded_set, self.places.trainer)
            return
        self.tell("computing the features again from the source snapshots, into a scratch table")
        with self.places.recomputer.recompute(self.use_case, self.recorded_set) as made:
            yield made

    def _train(self, made: Recomputed, parent: Champion | None) -> TrainedBooster:
        training_set = made.training_set
        raw_columns = {name: kind for _, name, kind in self.recorded_set.watermark_columns}
        self.tell(f"training on {training_set.rows} rows")
        if self.use_case.train.engine == "spark":
            return made.trainer.train(self.use_case, training_set, raw_columns, self.tell)
        from lakeloop.training.train import train

        layout = layout_of(self.use_case, training_set)
        batches = self.places.lake.read_batches(
            training_set.feature_table,
            training_set.feature_snapshot_id,
            columns=layout.columns,
            range_ids=training_set.range_ids,
        )
        return train(
            self.use_case,
            training_set,
            batches,
            raw_columns=raw_columns,
            champion=parent,
            report=self.tell,
        )

    def _rebuilt(
        self,
        training_set: TrainingSet,
        made: TrainedBooster,
        now: Model,
        recorded: Model | str,
        code: CodeIdentity,
    ) -> Rebuilt:
        from lakeloop.training.train import model_files

        rows = self._range_rows(training_set, newest=True)
        holdout = self._holdout(rows)
        scores = self._scores(rows, holdout, now)
        before = None if isinstance(recorded, str) else self._scores(rows, holdout, recorded)
        labels = rows.labels[holdout]
        measured = Scored(labels, scores).values(METRICS) if len(np.unique(labels)) > 1 else ()
        changed = {p: made.data.get(p) for p in self.trained.data} != self.trained.data and bool(made.data)
        other_rows = changed or training_set.rows != self.recorded_set.rows
        return Rebuilt(
            booster_sha256=hashlib.sha256(made.booster).hexdigest(),
            model_digest=model_digest(model_files(made)),
            rows=training_set.rows,
            data=made.data,
            code=code,
            metrics=dict(zip(METRICS, measured, strict=False)),
            recorded_metrics=self._recorded_metrics(),
            max_score_difference=None
            if before is None
            else float(np.max(np.abs(scores.astype(np.float64) - before))),
            problem=recorded if isinstance(recorded, str) else "",
            changes=self._changes(training_set) if other_rows else (),
        )

    def _parent(self) -> Champion | None:
        """Warm start: the version that was continued."""
        version = self.trained.continued_version
        if version is None:
            return None
        try:
            model = self._download(version)
        except UserError as error:
            raise RefusedError(
                f"version {self.version} continued version {version}, which is gone: {error.problem}",
                where=f"model {self.use_case.name}",
            ) from error
        return Champion(version, model.booster, model.encoding)

    def _recorded(self) -> Model | str:
        """The registered model; what is wrong with its bytes."""
        try:
            return self._download(self.version)
        except LakeloopError as error:
            return error.problem

    def _download(self, version: str) -> Model:
        with tempfile.TemporaryDirectory(prefix="lakeloop-") as scratch:
            folder = self.places.registry.download(self.use_case.name, version, Path(scratch))
            return read_model(folder)

    def _range_rows(self, training_set: TrainingSet, *, newest: bool) -> FeatureRows:
        table, count = self.use_case.table, training_set.newest_rows
        layout = RowLayout(table.order, self.use_case.features)
        ids = [i for i in training_set.range_ids if (i == training_set.newest_range_id) is newest]
        batches = self.places.lake.read_batches(
            training_set.feature_table,
            training_set.feature_snapshot_id,
            columns=layout.columns,
            range_ids=ids,
        )
        return read_rows(batches, layout, count if newest else training_set.rows - count)

    def _holdout(self, rows: FeatureRows) -> Indices:
        newest = np.ones(len(rows), dtype=np.bool_)
        return split_by_time(rows.total_order(), newest, self.use_case.train.holdout.fraction).holdout

    def _scores(self, rows: FeatureRows, holdout: Indices, model: Model) -> Floats:
        from lakeloop.training.scoring import scores

        return scores(model.booster, model.encoding, rows.encoder(model.encoding), holdout)

    def _recorded_metrics(self) -> dict[str, float]:
        """Of the first verdict that measured this training; a retry's may only confirm it."""
        for event in self.places.ledger.events(self.use_case.name):
            if event.run_key != self.trained.lineage.run_key or event.kind not in {"accepted", "rejected"}:
                continue
            challenger = Verdict.model_validate_json(event.document).challenger
            if challenger is not None:
                return {name: interval.value for name, interval in challenger.metrics.items()}
        return {}

    def _changes(self, training_set: TrainingSet) -> tuple[ColumnChange, ...]:
        """Row by row against the feature table, where the rows were computed anew and the table still has them."""
        recorded = self.recorded_set
        if training_set.feature_table == recorded.feature_table:
            return ()
        self.tell("the rows differ: looking for which")
        names = [feature.name for feature in self.use_case.features]
        try:
            check_features_kept(recorded, self.places.lake.table_state(recorded.feature_table), self.version)
            found = [
                row_changes(
                    "newest" if newest else "earlier",
                    self._range_rows(recorded, newest=newest),
                    self._range_rows(training_set, newest=newest),
                    names,
                )
                for newest in ((True, False) if len(recorded.range_ids) > 1 else (True,))
            ]
        except LakeloopError as error:
            self.tell(f"the feature table cannot be compared: {error}")
            return ()
        return tuple(change for changes in found for change in changes)
