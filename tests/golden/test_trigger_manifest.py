"""The trigger's Deployment: what it mounts is there, and it asks for no right."""

from typing import Any

import yaml

from scripts.golden import ROOT

BASE = ROOT / "manifests" / "base" / "trigger"


def deployment() -> dict[str, Any]:
    return dict(yaml.safe_load((BASE / "deployment.yaml").read_text(encoding="utf-8")))


def test_every_use_case_and_schedule_reaches_the_cluster() -> None:
    generated = yaml.safe_load((ROOT / "conf" / "kustomization.yaml").read_text(encoding="utf-8"))
    listed = {one["name"]: one["files"] for one in generated["configMapGenerator"]}
    for name, folder in (("lakeloop-use-cases", "use_cases"), ("lakeloop-schedules", "schedules")):
        there = sorted(f"{folder}/{path.name}" for path in (ROOT / "conf" / folder).glob("*.yaml"))
        assert listed[name] == there


def test_its_mounts_name_what_is_generated() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    mounted = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert mounted == {"lakeloop-use-cases", "lakeloop-schedules"}
    (container,) = pod["containers"]
    paths = {mount["mountPath"] for mount in container["volumeMounts"]}
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert {variables["LAKELOOP_USE_CASES"], variables["LAKELOOP_SCHEDULES"]} < paths
    assert variables["LAKELOOP_HOME"].startswith("/tmp/")  # noqa: S108 - an emptyDir


def test_it_meets_the_restricted_standard_and_holds_no_token() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
