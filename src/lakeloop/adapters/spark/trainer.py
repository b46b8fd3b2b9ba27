"""Training on executors with xgboost.spark, from the same feature table, with the same holdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.session import spark_session
from lakeloop.domain.boosting import METRIC, VALIDATION_FRACTION, boosting_parameters
from lakeloop.domain.encoding import check_finite, encode, fit_feature, source_columns
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.feature_rows import LABEL_COLUMN, RANGE_COLUMN, holdout_size
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.sampling import in_sample, key_hash
from lakeloop.domain.trained_booster import EXAMPLE_ROWS, TrainedBooster, refuse_hopeless
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    import xgboost
    from pyspark.sql import Column, DataFrame, SparkSession

_MATRIX = "features array<float>, label double, validation boolean"
_NOT_FOR_ESTIMATORS = {"nthread", "verbosity", "seed"}


class SparkTrainer:
    """DistributedTrainer on Spark; `train.workers` tasks train together."""

    def __init__(self, settings: Settings, session: SparkSession | None = None) -> None:
        self._settings, self._session = settings, session

    def train(
        self,
        use_case: UseCase,
        training_set: TrainingSet,
        raw_columns: Mapping[str, str],
        report: Callable[[str], None],
    ) -> TrainedBooster:
        """Same rows and holdout as the local engine; the booster's bytes are the engine's own.

        Raises:
            UserError: the rows cannot be trained on, or the window policy is warm_start.
        """
        boosting_parameters(use_case.train)
        if use_case.train.window.policy == "warm_start":
            raise UserError(
                "warm_start is not supported by engine spark", where="train.engine", fix="use local"
            )
        report("starting Spark")
        with self._open(use_case, training_set.rows) as spark:
            return _Training(spark, self._settings.catalog_name, use_case, training_set).run(
                raw_columns, report
            )

    def _open(self, use_case: UseCase, rows: int) -> AbstractContextManager[SparkSession]:
        if self._session is not None:
            return nullcontext(self._session)
        return spark_session(
            self._settings,
            f"train_model {use_case.name}",
            rows,
            resources=use_case.spark,
            tasks=use_case.train.workers,
        )


class _Training:
    """One training in an open session."""

    def __init__(
        self, spark: SparkSession, catalog: str, use_case: UseCase, training_set: TrainingSet
    ) -> None:
        self._spark, self._catalog, self._case, self._set = spark, catalog, use_case, training_set
        self._order = list(use_case.table.order)

    def run(self, raw_columns: Mapping[str, str], report: Callable[[str], None]) -> TrainedBooster:
        from pyspark.sql import functions as F  # noqa: N812 - its usual name

        started = time.monotonic()
        rows = self._rows()
        held_rows = holdout_size(self._set.newest_rows, self._case.train.holdout.fraction)
        newest = rows.where(F.col(RANGE_COLUMN) == self._set.newest_range_id)
        start = self._first_of_last(newest, held_rows)
        held = (F.col(RANGE_COLUMN) == self._set.newest_range_id) & self._from_place_on("_start")
        marked = self._beside(rows, start, "_start").withColumn("_held", held)
        kept = self._sampled(marked.where(~F.col("_held")))
        counts = {row[0]: int(row[1]) for row in kept.groupBy(LABEL_COLUMN).count().collect()}
        train_rows = sum(counts.values())
        refuse_hopeless(train_rows, counts)
        report(f"{train_rows} rows to train on, {held_rows} held out")
        encoding = self._encoding(kept, raw_columns)
        booster, history = self._fit(kept, train_rows, encoding)
        rounds = booster.num_boosted_rounds()
        return TrainedBooster(
            booster=bytes(booster.save_raw("ubj")),
            encoding=encoding,
            rounds=rounds,
            train_rows=train_rows,
            holdout_rows=held_rows,
            holdout_start=start.first()[self._case.table.event_time].isoformat(),
            metrics={name.replace("-", "_"): values[rounds - 1] for name, values in history.items()},
            history=history,
            example=kept.select(encoding.names).limit(EXAMPLE_ROWS).toArrow(),
            seconds=time.monotonic() - started,
            notes={"workers": str(self._case.train.workers)},
        )

    def _rows(self) -> DataFrame:
        table = f"{self._catalog}.{self._set.feature_table}"
        names = [*self._order, LABEL_COLUMN, RANGE_COLUMN, *(f.name for f in self._case.features)]
        rows = self._spark.read.option("versionAsOf", self._set.feature_snapshot_id).table(table)
        rows = rows.select(*dict.fromkeys(names)).where(rows[RANGE_COLUMN].isin(list(self._set.range_ids)))
        found = rows.count()
        if found != self._set.rows:
            raise LakeloopError(
                f"the feature table holds {found} rows of the training set, not the {self._set.rows} recorded",
                where=self._set.feature_table,
                fix="build the training set again",
            )
        return rows

    def _first_of_last(self, rows: DataFrame, count: int) -> DataFrame:
        """One row: event time and key of the first of the last `count` rows in the total order."""
        falling = [rows[name].desc_nulls_first() for name in self._order]
        last = rows.select(*self._order).orderBy(*falling).limit(count)
        return last.orderBy(*[last[name].asc_nulls_last() for name in self._order]).limit(1)

    def _beside(self, rows: DataFrame, place: DataFrame, name: str) -> DataFrame:
        """`rows` with a place as struct column; joined, so that no value passes through Python's types."""
        from pyspark.sql import functions as F  # noqa: N812

        return rows.crossJoin(F.broadcast(place.select(F.struct(*self._order).alias(name))))

    def _from_place_on(self, place: str) -> Column:
        """Whether a row is at the place or after it; a null counts as after everything, as in the local engine."""
        from pyspark.sql import functions as F  # noqa: N812

        after: Column = F.lit(True)
        for name in reversed(self._order):
            here, there = F.col(name), F.col(f"{place}.{name}")
            after = (here > there) | ((here == there) & after)
        return F.coalesce(after, F.lit(True))

    def _sampled(self, rows: DataFrame) -> DataFrame:
        window, seed, key, newest = (
            self._case.train.window,
            self._case.train.seed,
            list(self._case.table.key),
            self._set.newest_range_id,
        )
        if window.policy != "replay" or len(self._set.range_ids) == 1:
            return rows

        def sample(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            import pyarrow as pa
            import pyarrow.compute as pc

            for batch in batches:
                chosen = in_sample(key_hash([batch.column(k) for k in key], seed), window.fraction)
                yield batch.filter(pc.or_(pc.equal(batch.column(RANGE_COLUMN), newest), pa.array(chosen)))

        return rows.mapInArrow(sample, rows.schema)

    def _encoding(self, rows: DataFrame, raw_columns: Mapping[str, str]) -> FeatureEncoding:
        from pyspark.sql.types import StringType

        empty, event_time = rows.limit(0).toArrow(), self._case.table.event_time
        fitted = []
        for spec in self._case.features:
            text = spec.type == "categorical" or isinstance(rows.schema[spec.name].dataType, StringType)
            values = rows.select(spec.name).distinct().toArrow() if text else empty
            fitted.append(fit_feature(spec, values.column(spec.name), event_time))
        columns = source_columns(self._case.features, raw_columns, event_time)
        return FeatureEncoding(features=tuple(fitted), source_columns=columns)

    def _fit(
        self, rows: DataFrame, train_rows: int, encoding: FeatureEncoding
    ) -> tuple[xgboost.Booster, dict[str, tuple[float, ...]]]:
        from pyspark.sql import functions as F  # noqa: N812

        train = self._case.train
        tail = int(train_rows * VALIDATION_FRACTION) if train.early_stopping_rounds else 0
        data = rows.drop("_start")
        if tail:
            start = self._first_of_last(rows, tail)
            data = self._beside(data, start, "_tail").withColumn("_validation", self._from_place_on("_tail"))
        else:
            data = data.withColumn("_validation", F.lit(False))
        ordered = data.repartition(train.workers, *self._case.table.key).sortWithinPartitions(*self._order)
        names = [*encoding.names, LABEL_COLUMN, "_validation"]
        matrix = ordered.select(*dict.fromkeys(names)).mapInArrow(_encoded(encoding), _MATRIX)
        model = self._estimator(encoding, validated=bool(tail)).fit(matrix)
        booster, summary = model.get_booster(), model.training_summary
        history = {
            "train": summary.train_objective_history,
            "validation": summary.validation_objective_history or {},
        }
        flat = {f"{name}-{METRIC}": tuple(log[METRIC]) for name, log in history.items() if log}
        return _cut(booster, encoding), flat

    def _estimator(self, encoding: FeatureEncoding, *, validated: bool) -> Any:
        classifier = _spark_classifier()
        train = self._case.train
        known = {k: v for k, v in boosting_parameters(train).items() if k not in _NOT_FOR_ESTIMATORS}
        known.pop("objective")
        early = {"early_stopping_rounds": train.early_stopping_rounds} if validated else {}
        marker = {"validation_indicator_col": "validation"} if validated else {}
        return classifier(
            features_col="features",
            label_col="label",
            num_workers=train.workers,
            n_estimators=train.rounds,
            random_state=train.seed,
            feature_types=encoding.xgboost_types,
            **early,
            **marker,
            **known,
        )


def _encoded(encoding: FeatureEncoding) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Feature rows -> the booster's matrix, on the executors."""
    text = encoding.model_dump_json()

    def matrix(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        known = FeatureEncoding.model_validate_json(text)
        for batch in batches:
            values = encode(batch, known)
            for index, name in enumerate(known.names):
                check_finite(values[:, index], name)
            offsets = pa.array(range(0, values.size + 1, values.shape[1]), pa.int32())
            features = pa.ListArray.from_arrays(offsets, pa.array(values.ravel(), pa.float32()))
            columns = [features, batch.column(LABEL_COLUMN).cast(pa.float64()), batch.column("_validation")]
            yield pa.RecordBatch.from_arrays(columns, ["features", "label", "validation"])

    return matrix


def _cut(booster: xgboost.Booster, encoding: FeatureEncoding) -> xgboost.Booster:
    """Without the rounds after the best one, and with the features' names."""
    attributes = booster.attributes()
    kept = booster[: int(attributes["best_iteration"]) + 1] if "best_iteration" in attributes else booster
    kept.set_attr(best_iteration=None, best_score=None)
    kept.feature_names, kept.feature_types = encoding.names, encoding.xgboost_types
    return kept


def _spark_classifier() -> type:
    """SparkXGBClassifier; an XGBoost that was loaded without scikit-learn in this process is loaded anew."""
    import xgboost.compat

    if not xgboost.compat.SKLEARN_INSTALLED:
        for name in [name for name in sys.modules if name.split(".")[0] == "xgboost"]:
            del sys.modules[name]
    from xgboost.spark import SparkXGBClassifier

    found: type = SparkXGBClassifier
    return found
