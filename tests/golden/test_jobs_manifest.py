"""Runs as Jobs: their account holds what Spark's driver and a redeploy need, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lakeloop.adapters.spark.on_kubernetes.access import DRIVER_RULES

BASE = Path(__file__).parents[2] / "manifests" / "base"


def objects(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((BASE / file).read_text(encoding="utf-8")))


def test_the_account_has_the_drivers_and_the_deployers_rights() -> None:
    own = objects("jobs/accounts.yaml")
    (role,) = [o for o in own if o["kind"] == "Role"]
    assert role["rules"] == [dict(rule) for rule in DRIVER_RULES]
    bindings = [o for o in own if o["kind"] == "RoleBinding"]
    assert {o["roleRef"]["name"] for o in bindings} == {"lakeloop-driver", "lakeloop-deployer"}
    assert all(o["subjects"] == [{"kind": "ServiceAccount", "name": "lakeloop-steps"}] for o in bindings)
    assert "lakeloop-deployer" in {
        o["metadata"]["name"] for o in objects("platform/accounts.yaml") if o["kind"] == "Role"
    }
