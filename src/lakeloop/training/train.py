"""Feature rows -> booster: the same rows, configuration and seed give the same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xgboost as xgb

from lakeloop.domain.boosting import VALIDATION_FRACTION, boosting_parameters
from lakeloop.domain.encoding import fit_feature, source_columns
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_rows import (
    RANGE_COLUMN,
    FeatureRows,
    Indices,
    Split,
    layout_of,
    read_rows,
    split_by_time,
)
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE
from lakeloop.domain.rows_digest import RowsDigest, rows_digest
from lakeloop.domain.sampling import in_sample, key_hash
from lakeloop.domain.trained_booster import EXAMPLE_ROWS, Champion, TrainedBooster, refuse_hopeless
from lakeloop.domain.use_case import UseCase
from lakeloop.training.boosting import Boosted, boost
from lakeloop.training.matrices import quantile_matrix

DEFAULT_MAX_BIN = 256


def train(  # noqa: PLR0913 - all that decides the booster's bytes, by name
    use_case: UseCase,
    training_set: TrainingSet,
    batches: Iterable[pa.RecordBatch],
    *,
    raw_columns: Mapping[str, str],
    champion: Champion | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> TrainedBooster:
    """Train on the training set's rows, the holdout excepted.

    Args:
        use_case: what to train.
        training_set: which rows the batches hold.
        batches: the feature table's rows of `training_set.range_ids`, `layout_of`'s columns, in any order.
        raw_columns: the source table's columns -> their types, for callers of the model.
        champion: warm start continues it; other policies ignore it.
        report: told of the progress.

    Raises:
        UserError: too few rows, one class only, wrong parameters, a champion with other features.
        LakeloopError: the batches are not the training set's rows.
    """
    boosting_parameters(use_case.train)
    rows = _read(use_case, training_set, batches)
    split = _split(use_case, training_set, rows)
    report(f"{len(split.train)} rows to train on, {len(split.holdout)} held out")
    _refuse_hopeless(rows, split)
    started = time.monotonic()
    continued = champion if use_case.train.window.policy == "warm_start" else None
    encoding = _encoding(use_case, rows, split.train, raw_columns, continued)
    boosted = _boost(use_case, rows, split.train, encoding, continued, report)
    return TrainedBooster(
        booster=bytes(boosted.booster.save_raw("ubj")),
        encoding=encoding,
        rounds=boosted.best_round,
        train_rows=len(split.train),
        holdout_rows=len(split.holdout),
        holdout_start=_event_time(rows, split.holdout),
        metrics=_last_metrics(boosted),
        history=boosted.history,
        example=rows.feature_table(split.train[:EXAMPLE_ROWS]),
        seconds=time.monotonic() - started,
        notes={"warm_start_from": f"version {continued.version}"} if continued else {},
        continued_version=continued.version if continued else None,
        data=_digests(use_case, rows, split),
    )


def model_files(made: TrainedBooster) -> dict[str, bytes]:
    """The model folder's files by name."""
    return {BOOSTER_FILE: made.booster, ENCODING_FILE: made.encoding.model_dump_json(indent=1).encode()}


def _read(use_case: UseCase, training_set: TrainingSet, batches: Iterable[pa.RecordBatch]) -> FeatureRows:
    window, seed = use_case.train.window, use_case.train.seed

    def sample(batch: pa.RecordBatch) -> pa.Array:
        earlier = in_sample(key_hash([batch.column(k) for k in use_case.table.key], seed), window.fraction)
        return pc.or_(pc.equal(batch.column(RANGE_COLUMN), training_set.newest_range_id), pa.array(earlier))

    replayed = window.policy == "replay" and len(training_set.range_ids) > 1
    return read_rows(
        batches, layout_of(use_case, training_set), training_set.rows, sample if replayed else None
    )


def _split(use_case: UseCase, training_set: TrainingSet, rows: FeatureRows) -> Split:
    newest = np.ones(len(rows), dtype=np.bool_)
    if len(training_set.range_ids) > 1 and len(rows):
        ids = rows.extra.column(RANGE_COLUMN)
        newest = pc.equal(ids, training_set.newest_range_id).to_numpy().astype(np.bool_)
    return split_by_time(rows.total_order(), newest, use_case.train.holdout.fraction)


def _digests(use_case: UseCase, rows: FeatureRows, split: Split) -> dict[str, RowsDigest]:
    names = [feature.name for feature in use_case.features]
    return {
        "train": rows_digest(rows, split.train, names),
        "holdout": rows_digest(rows, split.holdout, names),
    }


def _refuse_hopeless(rows: FeatureRows, split: Split) -> None:
    labels = rows.labels[split.train]
    refuse_hopeless(len(labels), {float(value): int((labels == value).sum()) for value in np.unique(labels)})


def _encoding(
    use_case: UseCase,
    rows: FeatureRows,
    train_rows: Indices,
    raw_columns: Mapping[str, str],
    continued: Champion | None,
) -> FeatureEncoding:
    """Categories of the training rows only; a warm start keeps the champion's codes."""
    nothing = pa.chunked_array([pa.array([], pa.float64())])
    taken = pa.array(train_rows)
    seen = {
        f.name: rows.texts[f.name].take(taken) if f.name in rows.texts else nothing for f in use_case.features
    }
    fitted = FeatureEncoding(
        features=tuple(
            fit_feature(spec, seen[spec.name], use_case.table.event_time) for spec in use_case.features
        ),
        source_columns=source_columns(use_case.features, raw_columns, use_case.table.event_time),
    )
    if continued is None:
        return fitted
    blank = [f.model_copy(update={"categories": ()}) for f in continued.encoding.features]
    if blank != [f.model_copy(update={"categories": ()}) for f in fitted.features]:
        raise UserError(
            "the champion was trained on other features, so it cannot be continued",
            where="train.window.policy warm_start",
            fix="train once with another window policy",
        )
    return continued.encoding.model_copy(update={"source_columns": fitted.source_columns})


def _boost(  # noqa: PLR0913, PLR0917
    use_case: UseCase,
    rows: FeatureRows,
    train_rows: Indices,
    encoding: FeatureEncoding,
    continued: Champion | None,
    report: Callable[[str], None],
) -> Boosted:
    config = use_case.train
    matrix, max_bin = rows.encoder(encoding), int(config.params.get("max_bin", DEFAULT_MAX_BIN))
    fitted, tail = _validation_tail(train_rows, bool(config.early_stopping_rounds))
    report(f"quantising {len(fitted)} rows x {len(encoding.features)} features")
    first = quantile_matrix(fitted, rows.labels, matrix, encoding, threads=config.threads, max_bin=max_bin)
    matrices = {"train": first}
    if len(tail):
        matrices["validation"] = quantile_matrix(
            tail, rows.labels, matrix, encoding, threads=config.threads, max_bin=max_bin, reference=first
        )
    return boost(config, matrices, _booster(continued), report)


def _booster(continued: Champion | None) -> xgb.Booster | None:
    return xgb.Booster(model_file=bytearray(continued.booster)) if continued else None


def _validation_tail(train_rows: Indices, wanted: bool) -> tuple[Indices, Indices]:
    size = int(len(train_rows) * VALIDATION_FRACTION) if wanted else 0
    return train_rows[: len(train_rows) - size], train_rows[len(train_rows) - size :]


def _last_metrics(boosted: Boosted) -> dict[str, float]:
    offset = max(len(values) for values in boosted.history.values()) if boosted.history else 0
    best = {name: values[min(boosted.best_round, offset) - 1] for name, values in boosted.history.items()}
    return {name.replace("-", "_"): value for name, value in best.items()}


def _event_time(rows: FeatureRows, chosen: Indices) -> str:
    value = rows.order_columns.column(0)[int(chosen[0])].as_py() if len(chosen) else None
    return value.isoformat() if isinstance(value, (datetime, date)) else str(value)
