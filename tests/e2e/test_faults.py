"""Faults of the platform in the middle of a run: what must be once is there once, and the run ends green.

One history of one use case, a fault a run, in this order: the catalog's database is killed while a commit of the first
ingest waits in it; the object store refuses for half a minute while the second batch is landed, and the token of who
follows that run expires.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.loop_place import Ended, Loop, at_work, when
from tests.e2e.spark_place import kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long, pytest.mark.timeout(1800)]
ROWS = 10_000
REFUSES_SECONDS = 30
BLOCK = "BEGIN; LOCK TABLE iceberg_tables IN EXCLUSIVE MODE; SELECT pg_sleep(300);"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'iceberg' AND wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def database_killed(loop: Loop) -> Ended:
    run_id = loop.detached()
    when(lambda: at_work(run_id), 300, "the ingest is at work")
    with commits_wait():
        when(lambda: sql(WAITING) != "0", 240, "a commit to the catalog waits for the lock")
        kubectl("-n", "lakeloop", "delete", "pod", "postgres-0", "--grace-period=0", "--force")
    kubectl("-n", "lakeloop", "rollout", "status", "statefulset/postgres", "--timeout=120s")
    reached(loop)
    return loop.follow(run_id)


def reached(loop: Loop) -> None:
    """Port-forwards learn only when they are used that what they led to is gone, and are made anew then."""
    when(
        lambda: loop.command("status", str(loop.file))[0] == 0, 180, "every store is reached from here again"
    )


def sql(statement: str) -> str:
    words = ("psql", "--username=postgres", "--dbname=iceberg", "--no-align", "--tuples-only", "--command")
    return kubectl("-n", "lakeloop", "exec", "postgres-0", "--", *words, statement).strip()


@contextlib.contextmanager
def commits_wait() -> Iterator[None]:
    """Reads go on; whoever wants to write waits, until the block ends or the database does."""
    words = ["psql", "--username=postgres", "--dbname=iceberg", "--command", BLOCK]
    command = ["kubectl", "-n", "lakeloop", "exec", "postgres-0", "--", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holding:
        try:
            yield
        finally:
            holding.kill()


@pytest.fixture(scope="module")
def store_refused(loop: Loop, database_killed: Ended, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Submitted, and followed at first, with the account `lakeloop-submit` and a token that expires meanwhile."""
    kubeconfig = tmp_path_factory.mktemp("submitter") / "kubeconfig"
    with token_that_expires(kubeconfig) as expire:
        code, told, said = loop.command("submit", str(loop.file), "--detach", KUBECONFIG=str(kubeconfig))
        assert code == 0, said
        run_id = str(told["run_id"])
        when(lambda: at_work(run_id), 300, "the ingest is at work")
        with store_away():
            expire()
            code, told, said = loop.command("follow", run_id, KUBECONFIG=str(kubeconfig))
            assert code == 1, said
            assert "not allowed (401)" in told["error"]["problem"], told
            time.sleep(REFUSES_SECONDS)  # what is tested is this time
        reached(loop)
    return loop.follow(run_id)


@contextlib.contextmanager
def store_away() -> Iterator[None]:
    """The object store ends its connections, and takes no new ones until the block ends."""
    at = ("-n", "kubeflow")
    kubectl(*at, "scale", "deployment/versitygw", "--replicas=0")
    try:
        kubectl(*at, "wait", "pod", "-l", "app=minio", "--for=delete", "--timeout=60s")
        yield
    finally:
        kubectl(*at, "scale", "deployment/versitygw", "--replicas=1")
        kubectl(*at, "rollout", "status", "deployment/versitygw", "--timeout=120s")


@contextlib.contextmanager
def token_that_expires(kubeconfig: Path) -> Iterator[Any]:
    """A kubeconfig of account `lakeloop-submit`; calling what comes ends its token's validity."""
    at, name = ("-n", "lakeloop"), f"e2e-{secrets.token_hex(4)}"
    kubectl(*at, "create", "secret", "generic", name)
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={name}")
    token = kubectl(*at, "create", "token", "lakeloop-submit", *bound).strip()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"] = [{"name": "submitter", "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = "submitter"
    kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")

    def refused() -> bool:
        words = ["kubectl", "--kubeconfig", str(kubeconfig), "-n", "kubeflow", "get", "pods"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        return "Unauthorized" in done.stderr or "must be logged in" in done.stderr

    def expire() -> None:
        kubectl(*at, "delete", "secret", name)
        when(refused, 120, "the API server takes the token no more")

    try:
        yield expire
    finally:
        kubectl(*at, "delete", "secret", name, "--ignore-not-found")


def once(loop: Loop, ended: Ended, batches: int) -> None:
    """What every one of these runs must have left."""
    assert ended.exit_code == 0, ended.said
    assert loop.rows() == batches * ROWS, "each batch landed once"
    decided = [e for e in loop.events() if e["pipeline_run_id"] == ended.run_id]
    kinds = [e["kind"] for e in decided if e["kind"] not in {"claimed", "released"}]
    assert kinds in (["accepted", "promoted"], ["rejected"]), kinds
    state = loop.status()
    assert state["claim"] is None
    assert state["champion"] == state["endpoint"]["version"]
    assert state["plan"]["action"] == "nothing"


def test_the_catalogs_database_may_be_killed_in_mid_commit(loop: Loop, database_killed: Ended) -> None:
    once(loop, database_killed, 1)


def test_the_store_may_refuse_for_half_a_minute_and_the_followers_token_may_expire(
    loop: Loop, store_refused: Ended
) -> None:
    once(loop, store_refused, 2)
