"""The manifests give a step's account, over pods, exactly the rights that Spark's driver uses."""

from pathlib import Path
from typing import Any

import yaml

from lakeloop.adapters.spark.on_kubernetes.access import DRIVER_RULES

ACCOUNTS = Path(__file__).parents[4] / "manifests" / "base" / "steps" / "accounts.yaml"


def by_resource(rules: Any) -> dict[str, set[str]]:
    return {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}


def test_the_role_of_steps_holds_these_rights_over_pods() -> None:
    documents = list(yaml.safe_load_all(ACCOUNTS.read_text(encoding="utf-8")))
    (role,) = (d for d in documents if d["kind"] == "Role" and d["metadata"]["name"] == "lakeloop-steps")
    given = by_resource(role["rules"])
    assert {r: v for r, v in given.items() if r.startswith("pods")} == by_resource(DRIVER_RULES)
    assert not set(given) & {"services", "persistentvolumeclaims", "events"}
