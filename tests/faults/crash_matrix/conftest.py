"""One matrix for all tests that start a JVM, and one for all that need none: clean runs are played once for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.crash_matrix.keeping import keep, kept
from tests.faults.crash_matrix.matrix import Matrix
from tests.faults.crash_matrix.world import World


@pytest.fixture(scope="package")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Batches and features by Spark."""
    with kept(Matrix(World(tmp_path_factory.mktemp("spark")))) as matrix:
        matrix.prepare()
        yield matrix


@pytest.fixture(scope="package")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Everything without a JVM."""
    with kept(Matrix(World(tmp_path_factory.mktemp("in_process"), engine="local"))) as matrix:
        matrix.prepare()
        yield matrix


@pytest.fixture(autouse=True)
def _keep_after_each_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """So that nothing is lost where the whole is interrupted."""
    yield
    for name in {"matrix", "spark", "versions"} & set(request.fixturenames):
        keep(request.getfixturevalue(name).results)
