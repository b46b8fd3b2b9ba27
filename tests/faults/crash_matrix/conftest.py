"""One matrix for all of its tests that start a JVM: what clean runs leave is played once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.crash_matrix.keeping import kept
from tests.faults.crash_matrix.matrix import Matrix
from tests.faults.crash_matrix.world import World


@pytest.fixture(scope="package")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with kept(Matrix(World(tmp_path_factory.mktemp("crash")))) as matrix:
        matrix.prepare()
        yield matrix
