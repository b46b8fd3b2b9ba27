"""Synthetic batches made on Spark's executors: each task makes and writes whole files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from lakeloop.adapters.spark.session import spark_session
from lakeloop.domain.batch import Batch, BatchOptions
from lakeloop.domain.use_case import UseCase
from lakeloop.generation.manifest import write_batch
from lakeloop.generation.parts import batch_rows, write_part
from lakeloop.generation.rows import Part
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    WriteBatches = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class SparkBatchGenerator:
    """The same files as `FileBatchGenerator` writes, in parallel.

    Args:
        settings: where to work.
        session: an open session to use and leave open; by default each `generate` starts and stops its own.
    """

    def __init__(self, settings: Settings, session: SparkSession | None = None) -> None:
        self._settings, self._session = settings, session

    def generate(self, use_case: UseCase, number: int, options: BatchOptions) -> Batch:
        """Batch `number`, below the staging URI; a batch that is there already is not made again."""
        rows = batch_rows(use_case, options)

        def write_parts(use_case: UseCase, parts: dict[str, Part], folder_uri: str) -> dict[str, int]:
            return self._write_parts(use_case, parts, folder_uri, rows)

        return write_batch(use_case, number, options, self._settings.staging, write_parts)

    def _write_parts(
        self, use_case: UseCase, parts: dict[str, Part], folder_uri: str, rows: int
    ) -> dict[str, int]:
        with self._open(use_case, rows) as session:
            names = session.range(0, len(parts), 1, numPartitions=len(parts))
            written = names.mapInArrow(_writer(use_case, parts, folder_uri), "name string, size long")
            return {row["name"]: row["size"] for row in sorted(written.collect())}

    def _open(self, use_case: UseCase, rows: int) -> AbstractContextManager[SparkSession]:
        if self._session is not None:
            return nullcontext(self._session)
        return spark_session(
            self._settings, f"lakeloop generate {use_case.name}", rows, resources=use_case.spark
        )


def _writer(use_case: UseCase, parts: dict[str, Part], folder_uri: str) -> WriteBatches:
    """What an executor does with the part numbers that it gets."""

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        names = list(parts)
        for batch in batches:
            chosen = [names[i] for i in batch.column(0).to_pylist()]
            sizes = [write_part(use_case, parts[name], folder_uri, name) for name in chosen]
            yield pa.RecordBatch.from_pydict({"name": chosen, "size": pa.array(sizes, pa.int64())})

    return write
