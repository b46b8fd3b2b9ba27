"""Spark's executors on a cluster: they come and go, leave with the step, and their failures are told by their cause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.spark_place import STEP_POD, SparkPlace, spark_place, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long, pytest.mark.timeout(900)]
START_SECONDS, END_SECONDS, GONE_SECONDS = 240, 400, 60
SMALL = {"cpu_request": "10m", "memory_mib": 512}
LONG_TASKS = (
    "spark.sparkContext.range(0, 2000, 1, 40).map(lambda n: __import__('time').sleep(0.1) or n).sum()"
)
SLOW_JOB = "spark.sparkContext.range(0, 4000, 1, 4).map(lambda n: __import__('time').sleep(1) or n).sum()"
EAT = """
def eat(n):
    import time
    held = [bytearray(b'x' * 2**20) for _ in range(900)]
    time.sleep(5)
    return len(held)

print(spark.sparkContext.range(0, 1, 1, 1).map(eat).sum())
"""

TRAIN = """
from xgboost.spark import SparkXGBClassifier

rows = spark.range(4000).selectExpr(
    "array(cast(id % 7 as float), cast(id % 5 as float)) AS features", "cast(id % 7 > 3 as double) AS label"
)
model = SparkXGBClassifier(features_col="features", label_col="label", num_workers=2, n_estimators=3).fit(rows)
print("rounds", model.get_booster().num_boosted_rounds())
"""


@pytest.fixture
def place() -> Iterator[SparkPlace]:
    with spark_place() as made:
        yield made


def running(place: SparkPlace) -> int:
    return sum(pod["status"].get("phase") == "Running" for pod in place.executors())


def error_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, log
    return lines[0]


def test_executors_come_while_tasks_wait_go_when_idle_and_leave_with_the_step(place: SparkPlace) -> None:
    executors = {**SMALL, "min": 1, "max": 3, "idle_seconds": 3}
    place.start(f"print('sum', {LONG_TASKS})\n__import__('time').sleep(25)", {"executors": executors})
    most, pods = 0, []

    def over() -> bool:
        nonlocal most, pods
        found = place.executors()
        most, pods = max(most, running(place)), found or pods
        return "sum 1999000" in place.log()

    wait_for(over, END_SECONDS, "the job's end")
    assert most == 3
    (owner,) = {(o["kind"], o["name"]) for pod in pods for o in pod["metadata"]["ownerReferences"]}
    assert owner == ("Pod", STEP_POD)
    assert {pod["spec"]["automountServiceAccountToken"] for pod in pods} == {False}
    assert {pod["metadata"]["labels"]["app.kubernetes.io/part-of"] for pod in pods} == {"lakeloop"}
    wait_for(lambda: running(place) == 1, 60, "the idle executors' end")
    code, log = place.ended(END_SECONDS)
    assert code == 0, log
    assert "forbidden" not in log
    assert "::progress::executors: 3 running" in log
    wait_for(lambda: place.executors() == [], GONE_SECONDS, "the executors' end")


@pytest.mark.parametrize(
    "death",
    [
        "SIGTERM",
        pytest.param("deleted", marks=pytest.mark.slow),
        pytest.param("deleted at once", marks=pytest.mark.slow),
    ],
)
def test_a_terminated_step_leaves_no_executor(place: SparkPlace, death: str) -> None:
    place.start(SLOW_JOB, {"executors": {**SMALL, "min": 2, "max": 2}})
    wait_for(lambda: running(place) == 2, START_SECONDS, "two executors")
    if death == "SIGTERM":
        place.kubectl("exec", STEP_POD, "--", "sh", "-c", "kill -TERM 1")
    elif death == "deleted":
        place.kubectl("delete", "pod", STEP_POD, "--wait=false")
    else:
        place.kubectl("delete", "pod", STEP_POD, "--wait=false", "--grace-period=0", "--force")
    wait_for(lambda: place.executors() == [], GONE_SECONDS, "the executors' end")
    if death == "SIGTERM":
        assert place.ended(END_SECONDS)[0] == 143


@pytest.mark.slow
def test_a_lost_executor_is_replaced_and_the_job_ends_well(place: SparkPlace) -> None:
    job = "print('sum', spark.sparkContext.range(0, 60, 1, 12).map(lambda n: __import__('time').sleep(1) or n).sum())"
    place.start(job, {"executors": {**SMALL, "min": 2, "max": 2}})
    wait_for(lambda: running(place) == 2, START_SECONDS, "two executors")
    victim = place.executors()[0]["metadata"]["name"]
    place.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
    code, log = place.ended(END_SECONDS)
    assert code == 0, log
    assert "sum 1770" in log


@pytest.mark.parametrize(
    ("spark", "env", "said", "advice"),
    [
        ({"executors": {"memory_mib": 500_000}}, {}, "Insufficient memory", "spark.executors.memory_mib"),
        pytest.param(
            {"node_selector": {"no-such": "node"}},
            {},
            "node affinity/selector",
            "spark.node_selector",
            marks=pytest.mark.slow,
        ),
        (
            {},
            {"LAKELOOP_SPARK_EXECUTOR_IMAGE": "lakeloop/no-such-image:0"},
            "image lakeloop/no-such-image:0 cannot be pulled",
            "LAKELOOP_SPARK_EXECUTOR_IMAGE",
        ),
        pytest.param(
            {},
            {"LAKELOOP_SPARK_EXECUTOR_SECRETS": json.dumps({"KEY": "no-such-secret:key"})},
            'secret "no-such-secret" not found',
            "Secret",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["memory", "node", "image", "secret"],
)
def test_pods_that_stay_pending_end_the_step_with_the_reason(
    place: SparkPlace, spark: dict[str, Any], env: dict[str, str], said: str, advice: str
) -> None:
    spark = {**spark, "executors": {**SMALL, **spark.get("executors", {})}, "pending_timeout_seconds": 15}
    place.start("spark.range(10).rdd.count()", spark, env)
    code, log = place.ended(END_SECONDS)
    assert code == 1, log
    line = error_line(log)
    assert said in line
    assert advice in line
    wait_for(lambda: place.executors() == [], GONE_SECONDS, "the executors' end")


def test_a_quota_that_has_no_room_is_told(place: SparkPlace) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"requests.memory": "600Mi"}},
    }
    place.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    place.start("spark.range(10).rdd.count()", {"executors": SMALL, "pending_timeout_seconds": 15})
    code, log = place.ended(END_SECONDS)
    assert code == 1, log
    assert "exceeded quota: small" in error_line(log)


def test_an_executor_over_its_memory_limit_is_told_with_the_field_to_raise(place: SparkPlace) -> None:
    executors = {**SMALL, "min": 1, "max": 1, "memory_mib": 512, "memory_overhead_mib": 384}
    place.start(EAT, {"executors": executors})
    code, log = place.ended(END_SECONDS)
    assert code == 1, log
    line = error_line(log)
    assert "memory" in line
    assert "raise spark.executors.memory_overhead_mib (now 384)" in line
    wait_for(lambda: place.executors() == [], GONE_SECONDS, "the executors' end")


def test_a_full_java_heap_is_told_with_the_field_to_raise(place: SparkPlace) -> None:
    executors = {**SMALL, "min": 1, "max": 1}
    work = (
        'spark.sql("select sum(length(a)) from (select repeat(uuid(), 30000000) a from range(8))").collect()'
    )
    place.start(
        work, {"executors": executors}, {"LAKELOOP_SPARK_CONF": json.dumps({"spark.task.maxFailures": "2"})}
    )
    code, log = place.ended(END_SECONDS)
    assert code == 1, log
    line = error_line(log)
    assert "Java heap (512 MiB)" in line, log
    assert "spark.executors.memory_mib (now 512)" in line


def test_wrong_data_is_told_as_such(place: SparkPlace) -> None:
    place.start("spark.sql(\"select cast('abc' as int)\").collect()", {"executors": SMALL})
    code, log = place.ended(END_SECONDS)
    assert code == 1, log
    assert "CAST_INVALID_INPUT" in error_line(log)


def test_workers_that_train_together_find_executors_for_all_of_them(place: SparkPlace) -> None:
    place.start(TRAIN, {"executors": {**SMALL, "min": 0, "max": 4}}, tasks=2)
    code, log = place.ended(END_SECONDS)
    assert code == 0, log
    assert "executors: 2 running" in log
    assert "rounds 3" in log
