"""One matrix for all of its tests: what clean runs leave is played once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crash_matrix.matrix import Matrix
from tests.faults.crash_matrix.table import publish
from tests.faults.crash_matrix.world import World


@pytest.fixture(scope="package")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Published at the end, when `make crash-matrix` asks for it.

    LAKELOOP_CRASH_MATRIX_RESULTS names a file that keeps results from one call to the next, so that the matrix can be
    played in parts; remove it when the code changes.
    """
    matrix = Matrix(World(tmp_path_factory.mktemp("crash")))
    kept = Path(os.environ.get("LAKELOOP_CRASH_MATRIX_RESULTS") or os.devnull)
    if kept.is_file():
        matrix.results.update(
            {tuple(cell): found for cell, found in json.loads(kept.read_text(encoding="utf-8"))}
        )
    try:
        matrix.prepare()
        yield matrix
    finally:
        matrix.world.close()
        kept.write_text(json.dumps(list(matrix.results.items())), encoding="utf-8")
    if os.environ.get("LAKELOOP_PUBLISH_CRASH_MATRIX"):
        publish(matrix.results)
