"""What the guide says of backing up the platform's database and restoring it, as it says it, into an empty one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster import PLATFORM, Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long, pytest.mark.timeout(600)]
OVERLAY = Path(__file__).parents[2] / "manifests/overlays/kind"
TABLES = "SELECT schemaname || '.' || relname FROM pg_stat_user_tables ORDER BY 1"
Ask = Callable[[str, str], list[str]]


def test_a_dump_restores_every_row_and_the_roles_passwords(cluster: Cluster, namespace: str) -> None:
    dump = cluster.kubectl("-n", PLATFORM, "exec", "postgres-0", "--", "pg_dumpall", "-U", "postgres")
    before = {database: rows(asker(cluster, PLATFORM), database) for database in ("iceberg", "mlflow")}
    empty_database(cluster, namespace)

    cluster.kubectl("-n", namespace, "exec", "-i", "postgres-0", "--", "psql", "-U", "postgres", text=dump)

    after = {database: rows(asker(cluster, namespace), database) for database in before}
    assert after == before
    assert "public.iceberg_tables" in after["iceberg"]
    assert after["mlflow"]["public.alembic_version"] == 1
    login = "PGPASSWORD=$ICEBERG_PASSWORD psql --host=127.0.0.1 --username=iceberg iceberg -Atc 'SELECT 1'"
    assert cluster.kubectl("-n", namespace, "exec", "postgres-0", "--", "sh", "-c", login).strip() == "1"


def empty_database(cluster: Cluster, namespace: str) -> None:
    """The manifests' own, with the same Secret."""
    rendered = yaml.safe_load_all(cluster.kubectl("kustomize", str(OVERLAY)))
    wanted = {("Service", "postgres"), ("ConfigMap", "postgres-init"), ("StatefulSet", "postgres")}
    for document in rendered:
        if (document["kind"], document["metadata"]["name"]) in wanted:
            document["metadata"]["namespace"] = namespace
            cluster.apply(document, namespace)
    secret = cluster.json("-n", PLATFORM, "get", "secret", "postgres")
    kept = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "postgres"}, "data": secret["data"]}
    cluster.apply(kept, namespace)
    words = ("rollout", "status", "statefulset/postgres", "--timeout=240s")
    cluster.kubectl("-n", namespace, *words, seconds=260)


def asker(cluster: Cluster, namespace: str) -> Ask:
    def ask(database: str, statement: str) -> list[str]:
        words = ("psql", "-U", "postgres", database, "--no-align", "--tuples-only", "--command", statement)
        return cluster.kubectl("-n", namespace, "exec", "postgres-0", "--", *words).split()

    return ask


def rows(ask: Ask, database: str) -> dict[str, int]:
    """Of each table."""
    tables = ask(database, TABLES)
    counts = " UNION ALL ".join(f"SELECT '{table}|' || count(*) FROM {table}" for table in tables)  # noqa: S608 - names that the database told
    return {name: int(count) for name, count in (line.split("|") for line in ask(database, counts))}
