"""What kubectl would apply, parsed: the same objects as committed, restricted, bounded, without a secret value."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakeloop.adapters.kserve.access import DEPLOYER_RULES, GATEWAY_RULES
from scripts.golden import MANIFEST_OVERLAYS, RENDERED, render

ROOT = Path(__file__).parents[2]
CONTROLLERS = {"Deployment", "StatefulSet", "Job"}
SECRET_WORDS = re.compile(r"(?i)password|secret|token|accesskey|access_key_id")


def documents(overlay: str) -> list[dict[str, Any]]:
    return [o for o in yaml.safe_load_all((RENDERED / f"{overlay}.yaml").read_text(encoding="utf-8")) if o]


def workloads(overlay: str) -> list[dict[str, Any]]:
    return [o for o in documents(overlay) if o["kind"] in CONTROLLERS]


def name_of(one: dict[str, Any]) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    pod = workload["spec"]["template"]["spec"]
    return [*pod["containers"], *(pod.get("initContainers") or [])]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: nothing can render")
@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_the_committed_rendering_is_what_kubectl_makes_of_the_sources(overlay: str) -> None:
    fresh = [o for o in yaml.safe_load_all(render(overlay)) if o]
    key = lambda o: (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])  # noqa: E731
    assert sorted(fresh, key=key) == sorted(documents(overlay), key=key), "run `make golden`"


@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_every_pod_is_restricted(overlay: str) -> None:
    for workload in workloads(overlay):
        pod = workload["spec"]["template"]["spec"]
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name_of(workload)
        assert context["runAsUser"] > 0, name_of(workload)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name_of(workload)
        for container in containers(workload):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name_of(workload)
            assert own["readOnlyRootFilesystem"] is True, name_of(workload)
            assert own["capabilities"] == {"drop": ["ALL"]}, name_of(workload)


@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_every_container_says_what_it_takes_and_where_it_comes_from(overlay: str) -> None:
    for workload in workloads(overlay):
        for container in containers(workload):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), name_of(workload)
            assert "memory" in resources["limits"], name_of(workload)
            tag = container["image"].rpartition(":")[2]
            assert re.match(r"^v?\d", tag), f"{name_of(workload)}: {container['image']} names no version"


@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_a_server_is_probed_and_a_job_ends(overlay: str) -> None:
    for workload in workloads(overlay):
        if workload["kind"] == "Job":
            assert workload["spec"]["activeDeadlineSeconds"] > 0
        elif workload["metadata"]["name"] != "lakeloop-trigger":
            assert all("readinessProbe" in c for c in containers(workload)), name_of(workload)


@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_secrets_are_named_never_written(overlay: str) -> None:
    assert not [o for o in documents(overlay) if o["kind"] == "Secret"]
    for workload in workloads(overlay):
        for container in containers(workload):
            for variable in container.get("env") or []:
                if SECRET_WORDS.search(variable["name"]):
                    assert "secretKeyRef" in variable["valueFrom"], variable["name"]
    for config in (o for o in documents(overlay) if o["kind"] == "ConfigMap"):
        for key, value in (config.get("data") or {}).items():
            pairs = re.findall(r'"([^"]*)"\s*:\s*"([^"]*)"', value)
            told = [
                v for k, v in pairs if SECRET_WORDS.search(k) and not v.startswith("lakeloop-credentials:")
            ]
            assert not told, key


@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_the_namespace_enforces_and_denies_by_default(overlay: str) -> None:
    found = documents(overlay)
    (namespace,) = [o for o in found if o["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    denying = [
        o
        for o in found
        if o["kind"] == "NetworkPolicy" and o["spec"]["podSelector"] == {} and not o["spec"].get("ingress")
    ]
    assert any(
        set(o["spec"]["policyTypes"]) == {"Ingress", "Egress"} and not o["spec"].get("egress")
        for o in denying
    )
    assert {"ResourceQuota", "LimitRange", "PodDisruptionBudget"} <= {o["kind"] for o in found}


@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_every_network_rule_and_budget_selects_a_pod_that_exists(overlay: str) -> None:
    """A label that was renamed would leave a rule that holds for nothing. Endpoints' and steps' pods are made later."""
    labels = [w["spec"]["template"]["metadata"]["labels"] for w in workloads(overlay)]
    for budget in (o for o in documents(overlay) if o["kind"] == "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert any(wanted <= have.items() for have in labels), name_of(budget)


@pytest.mark.parametrize("overlay", MANIFEST_OVERLAYS)
def test_rights_are_those_that_the_code_declares(overlay: str) -> None:
    roles = {o["metadata"]["name"]: o["rules"] for o in documents(overlay) if o["kind"] == "Role"}
    assert roles["lakeloop-deployer"] == [dict(rule) for rule in DEPLOYER_RULES]
    assert roles["lakeloop-endpoint"] == [dict(rule) for rule in GATEWAY_RULES]
    assert not [o for o in documents(overlay) if o["kind"].startswith("Cluster")]
    for rules in roles.values():
        assert not any("*" in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]] for rule in rules)


def test_settings_of_both_namespaces_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and platform read the same places, and `Settings` understands every one of them."""
    from lakeloop.mounts import MOUNTS_VARIABLE
    from lakeloop.settings import Settings

    for overlay in MANIFEST_OVERLAYS:
        maps = [o for o in documents(overlay) if o["metadata"]["name"] == "lakeloop-settings"]
        assert {o["metadata"]["namespace"] for o in maps} == {"lakeloop", "kubeflow"}
        assert maps[0]["data"] == maps[1]["data"]
        folder = tmp_path / overlay
        folder.mkdir()
        for key, value in maps[0]["data"].items():
            (folder / key).write_text(value, encoding="utf-8")
        for name in [n for n in os.environ if n.startswith("LAKELOOP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv(MOUNTS_VARIABLE, str(folder))
        settings = Settings()
        assert settings.iceberg_catalog == json.loads(maps[0]["data"]["LAKELOOP_ICEBERG_CATALOG"])
        assert settings.spark_master.startswith("k8s://")
        known = {f"LAKELOOP_{name}".upper() for name in Settings.model_fields}
        assert {k for k in maps[0]["data"] if k.startswith("LAKELOOP_")} <= known


def test_environment_files_are_the_overlays_settings() -> None:
    for overlay in MANIFEST_OVERLAYS:
        linked = (ROOT / f"conf/environments/{overlay}.env").resolve()
        assert linked == ROOT / f"manifests/overlays/{overlay}/settings.env"


def test_the_executors_entry_point_is_a_valid_script() -> None:
    for script in (ROOT / "images").rglob("*.sh"):
        assert os.access(script, os.X_OK), script
        assert subprocess.run(["bash", "-n", script], check=False, timeout=10).returncode == 0
