"""A full disk, stores that somebody has locked, clocks that disagree: what is left is as after a clean run."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.faults.crash_matrix.facts import differences
from tests.faults.crash_matrix.matrix import KILLED, SECOND, Matrix, dying
from tests.faults.crash_matrix.points import LATER_RUN, kill
from tests.faults.crash_matrix.table import SCARCE

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

HOURS = 3600
STORES = {"catalog.db": "the catalog", "mlflow.db": "MLflow's database"}


def check_as_clean(matrix: Matrix, what: str, where: str) -> None:
    found = differences(matrix.world.facts(), matrix.clean["second"])
    matrix.results[SCARCE, what, where, "again"] = found
    assert not found, "\n".join(found)


def ready_for(matrix: Matrix, step: str) -> str:
    matrix.stop_before_each_step()
    matrix.world.offer(*SECOND)
    matrix.world.restore(step)
    return matrix.world.newest_run()


def attempt_logs(matrix: Matrix, run_id: str, step: str) -> list[str]:
    folder = matrix.world.home / "runs" / run_id / "tasks"
    return [path.read_text(encoding="utf-8") for path in sorted(folder.rglob(f"{step}/attempt-*/log.txt"))]


@contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Another process has the SQLite file for itself, from now on."""
    taken = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            taken.set()
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(30)
    yield
    thread.join(timeout=seconds + 30)


@pytest.mark.parametrize(("step", "limit"), [("train_model", 4096), ("redeploy_endpoint", 9000)])
def test_a_full_disk_fails_one_attempt_with_a_reason_and_harms_nothing(
    matrix: Matrix, step: str, limit: int
) -> None:
    run_id = ready_for(matrix, step)
    ended = matrix.world.run("--resume", run_id, faults={"LAKELOOP_TEST_FILE_BYTES": f"{step}={limit}"})
    assert ended.code == 0, ended.output
    *_, first, second = attempt_logs(matrix, run_id, step.replace("_", "-"))
    assert "error: " in first
    assert "error: " not in second
    check_as_clean(matrix, "disk full, once", step)


@pytest.mark.parametrize(
    ("name", "side"), [("model's files logged", "before"), ("alias champion moved", "after")]
)
def test_a_step_that_dies_alone_is_tried_again_by_its_run(matrix: Matrix, name: str, side: str) -> None:
    point = next(point for point in LATER_RUN if point.name == name)
    run_id = ready_for(matrix, point.step)
    alone = {"LAKELOOP_TEST_KILL": kill(point, side, only_step=True)}
    ended = matrix.world.run("--resume", run_id, faults=alone)
    assert ended.code == 0, ended.output
    assert "again in" in ended.output
    check_as_clean(matrix, f"step killed alone, {side}: {name}", point.step)


@pytest.mark.spark
def test_a_full_disk_under_spark_leaves_main_as_it_was(spark: Matrix) -> None:
    spark.world.offer(*SECOND)
    spark.world.restore("first")
    ended = spark.world.run(faults={"LAKELOOP_TEST_FILE_BYTES": "ingest_batch=2500"})
    assert ended.code == 0, ended.output
    check_as_clean(spark, "disk full, once, under Spark", "ingest_batch")


@pytest.mark.parametrize(
    ("step", "database", "seconds"),
    [
        ("register_model", "catalog.db", 8),
        ("train_model", "mlflow.db", 4),
        ("register_model", "mlflow.db", 12),
    ],
)
def test_a_store_that_somebody_else_has_locked_is_waited_for_or_tried_again(
    matrix: Matrix, step: str, database: str, seconds: float
) -> None:
    run_id = ready_for(matrix, step)
    with locked(matrix.world.home / database, seconds):
        ended = matrix.world.run("--resume", run_id)
    assert ended.code == 0, ended.output
    check_as_clean(matrix, f"{STORES[database]} refuses every write for {seconds} s", step)


@pytest.mark.parametrize("off_by_seconds", [-2 * HOURS, 2 * HOURS])
def test_clocks_that_disagree_order_nothing(matrix: Matrix, off_by_seconds: int) -> None:
    """Half of a run by a clock that is off, killed; the rest by one that is right."""
    run_id = ready_for(matrix, "train_model")
    version_made = next(point for point in LATER_RUN if point.name == "version made")
    skewed = {"LAKELOOP_TEST_CLOCK_SECONDS": str(off_by_seconds), **dying(version_made, "after")}
    assert matrix.world.run("--resume", run_id, faults=skewed).code == KILLED
    ended = matrix.world.run()
    assert ended.code == 0, ended.output
    hours = off_by_seconds // HOURS
    check_as_clean(
        matrix,
        f"half of a run by a clock that is {hours:+d} h off, then killed",
        "train_model, register_model",
    )
