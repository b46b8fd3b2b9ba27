"""Results of several tests, put together: in memory for one call of pytest, in a file from one call to the next."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.crash_matrix.matrix import Matrix
from tests.faults.crash_matrix.table import Results, publish

_RESULTS: Results = {}


@contextmanager
def kept(matrix: Matrix) -> Iterator[Matrix]:
    """Its results join those of other matrices at the end, and are published when `make crash-matrix` asks for it.

    LAKELOOP_CRASH_MATRIX_RESULTS names a file that keeps results from one call to the next, so that the matrix can be
    played in parts; remove it when the code changes. LAKELOOP_PUBLISH_CRASH_MATRIX=partly publishes what there is.
    """
    try:
        yield matrix
    finally:
        matrix.world.close()
        keep(matrix.results)
    wanted = os.environ.get("LAKELOOP_PUBLISH_CRASH_MATRIX")
    if wanted:
        publish(_RESULTS, partly=wanted == "partly")


def keep(results: Results) -> None:
    """Put these results to the others."""
    file = os.environ.get("LAKELOOP_CRASH_MATRIX_RESULTS")
    if file and Path(file).is_file():
        known = json.loads(Path(file).read_text(encoding="utf-8"))
        _RESULTS.update({tuple(cell): found for cell, found in known})
    _RESULTS.update(results)
    if file:
        Path(file).write_text(json.dumps(list(_RESULTS.items())), encoding="utf-8")
