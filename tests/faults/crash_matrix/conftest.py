"""One matrix for all of its tests: what clean runs leave is played once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.crash_matrix.matrix import Matrix
from tests.faults.crash_matrix.table import publish
from tests.faults.crash_matrix.world import World


@pytest.fixture(scope="package")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Published at the end, when `make crash-matrix` asks for it."""
    matrix = Matrix(World(tmp_path_factory.mktemp("crash")))
    try:
        matrix.prepare()
        yield matrix
    finally:
        matrix.world.close()
    if os.environ.get("LAKELOOP_PUBLISH_CRASH_MATRIX"):
        publish(matrix.results)
