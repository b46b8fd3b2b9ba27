"""What a Spark step's account must be allowed, in its own namespace: rules of Kubernetes RBAC, as data.

The end-to-end tests run with exactly these; the manifests and docs/guides/spark.md repeat them.
"""

from __future__ import annotations

DRIVER_RULES: tuple[dict[str, list[str]], ...] = (
    {
        "apiGroups": [""],
        "resources": ["pods"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete", "deletecollection"],
    },
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
)
