"""Which rights an audit log shows in use, and what it shows refused."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.cluster.rights import Held, Right, audited, declared, refused, rights, used

SECRET = Right("", "secrets", "store-key", "get")
STEPS = "kubeflow:lakeloop-steps"


def call(code: int = 200, namespace: str = "kubeflow", **changed: str) -> dict[str, Any]:
    target = {"resource": "secrets", "name": "store-key", "namespace": namespace, **changed}
    return {
        "user": {"username": f"system:serviceaccount:{STEPS}"},
        "verb": target.pop("verb", "get"),
        "requestURI": "/somewhere",
        "objectRef": target,
        "responseStatus": {"code": code},
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (call(), True),
        (call(404), True),
        (call(403), False),
        (call(name="other"), False),
        (call(verb="list"), False),
        (call(apiGroup="apps"), False),
        (call(subresource="status"), False),
        (call(namespace="lakeloop"), False),
        (call(namespace="lakeloop-e2e-1"), True),
    ],
)
def test_a_right_is_used_by_a_call_that_it_allows(event: dict[str, Any], expected: bool) -> None:
    assert used(Held(STEPS, "kubeflow", SECRET), event) is expected


def test_a_right_without_a_name_is_used_with_any() -> None:
    held = Held(STEPS, "kubeflow", Right("", "pods/log", "", "get"))
    assert used(held, call(resource="pods", subresource="log", name="p-1"))
    assert not used(held, call(resource="pods", name="p-1"))
    assert not used(
        held._replace(account="lakeloop:lakeloop-submit"), call(resource="pods", subresource="log")
    )


def test_applying_what_was_not_there_uses_the_right_to_create() -> None:
    create = Held(STEPS, "kubeflow", Right("apps", "deployments", "", "create"))
    patch = {"resource": "deployments", "apiGroup": "apps", "verb": "patch"}
    assert used(create, call(201, **patch))
    assert not used(create, call(200, **patch))
    assert used(create._replace(right=create.right._replace(verb="patch")), call(201, **patch))


def test_rights_are_read_through_bindings_across_namespaces() -> None:
    rules = [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["store-key"], "verbs": ["get"]}]
    subject = {"kind": "ServiceAccount", "name": "lakeloop-steps", "namespace": "kubeflow"}
    documents = [
        {"kind": "Role", "metadata": {"name": "r", "namespace": "lakeloop"}, "rules": rules},
        {
            "kind": "RoleBinding",
            "metadata": {"name": "b", "namespace": "lakeloop"},
            "roleRef": {"name": "r"},
            "subjects": [subject, {"kind": "ServiceAccount", "name": "beside"}],
        },
    ]
    assert rights(rules) == {SECRET}
    assert declared(documents) == {
        Held(STEPS, "lakeloop", SECRET),
        Held("lakeloop:beside", "lakeloop", SECRET),
    }


def test_refused_calls_are_counted() -> None:
    assert refused([call(403), call(403), call()]) == {(STEPS, "get /somewhere"): 2}


def test_the_api_server_gets_the_log_and_keeps_what_it_had() -> None:
    container = {"command": ["kube-apiserver", "--x"], "volumeMounts": [{"name": "certs", "mountPath": "/c"}]}
    server = audited({"spec": {"containers": [container], "volumes": [{"name": "certs"}]}})
    (found,) = server["spec"]["containers"]
    assert found["command"][:2] == ["kube-apiserver", "--x"]
    assert {one["name"] for one in found["volumeMounts"]} == {
        one["name"] for one in server["spec"]["volumes"]
    }
    assert len(server["spec"]["volumes"]) == 3
