"""What the accounts of an endpoint must be allowed: rules of Kubernetes RBAC, in the endpoints' namespace, as data.

The end-to-end tests deploy with exactly these; docs/guides/cluster.md and the manifests repeat them.
"""

from __future__ import annotations

from typing import Any

Rule = dict[str, list[str]]


def _rule(group: str, resource: str, *verbs: str) -> Rule:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


DEPLOYER_RULES: tuple[Rule, ...] = (
    _rule("serving.kserve.io", "inferenceservices", "get", "list", "create", "patch", "delete"),
    _rule("apps", "deployments", "get", "create", "patch"),
    _rule("policy", "poddisruptionbudgets", "create", "patch"),
    _rule("", "services", "get", "create", "patch"),
    _rule("", "configmaps", "get", "list", "create", "patch", "update", "delete"),
    _rule("", "pods", "get", "list"),
    _rule("", "pods/log", "get"),
)
"""Of the account that redeploys, in a pod. Server-side apply is `patch`, and `create` where there is nothing yet."""

OUTSIDE_RULES: tuple[Rule, ...] = (
    _rule("", "services/proxy", "get", "create"),
    _rule("", "pods/proxy", "get"),
)
"""Besides those, of a person who redeploys from a laptop: endpoints are asked through the API server's proxy."""

STOPPING_RULES: tuple[Rule, ...] = (
    _rule("apps", "deployments", "delete"),
    _rule("policy", "poddisruptionbudgets", "get", "delete"),
    _rule("", "services", "delete"),
)
"""Besides those, of a person who ends an endpoint (`lakeloop stop`). No step does."""

GATEWAY_RULES: tuple[Rule, ...] = (_rule("", "configmaps", "list", "watch"),)
"""Of the gateway's account: it follows its routes."""


def role(name: str, namespace: str, rules: tuple[Rule, ...]) -> dict[str, Any]:
    """A Role with these rules."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": list(rules),
    }
