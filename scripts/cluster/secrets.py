"""Secrets of the kind cluster: made where they are absent, kept where they are; values travel by pipes alone."""

import base64
import json
import secrets
from typing import Any, Final
from urllib.parse import quote

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.programs import Programs

PLATFORM: Final = "lakeloop"
STEPS: Final = "kubeflow"
STORE_SECRET: Final = "mlpipeline-minio-artifact"  # noqa: S105 - a name, as Kubeflow Pipelines installs it
_BYTES: Final = 24


def ensure_secrets(programs: Programs) -> list[str]:
    """Passwords of the stores, and the steps' credentials in both namespaces.

    Returns:
        What was made now, as NAMESPACE/NAME.

    Raises:
        LakeloopError: Kubeflow Pipelines' object store has no Secret, or the API refuses.
    """
    made: list[str] = []
    postgres = _read(programs, PLATFORM, "postgres")
    if postgres is None:
        postgres = {key: _password() for key in ("password", "iceberg-password", "mlflow-password")}
        made.append(_write(programs, PLATFORM, "postgres", postgres))
    valkey = _read(programs, PLATFORM, "valkey")
    if valkey is None:
        password = _password()
        valkey = {"password": password, "users.acl": f"user default on >{password} ~* &* +@all\n"}
        made.append(_write(programs, PLATFORM, "valkey", valkey))
    store = _read(programs, STEPS, STORE_SECRET)
    if store is None:
        raise LakeloopError(
            f"Secret {STORE_SECRET} is not there",
            where=f"namespace {STEPS}",
            fix="install Kubeflow Pipelines",
        )
    wanted = {
        "AWS_ACCESS_KEY_ID": store["accesskey"],
        "AWS_SECRET_ACCESS_KEY": store["secretkey"],
        "PGPASSWORD": postgres["iceberg-password"],
        "LAKELOOP_ONLINE_STORE_URI": f"redis://:{quote(valkey['password'], safe='')}@valkey.{PLATFORM}:6379/0",
    }
    for namespace in (PLATFORM, STEPS):
        held = _read(programs, namespace, "lakeloop-credentials") or {}
        if {**held, **wanted} != held:
            made.append(_write(programs, namespace, "lakeloop-credentials", {**held, **wanted}))
    return made


def _password() -> str:
    return secrets.token_urlsafe(_BYTES)


def _read(programs: Programs, namespace: str, name: str) -> dict[str, str] | None:
    text = programs.kubectl(
        "--namespace", namespace, "get", "secret", name, "--ignore-not-found", "--output", "json"
    )
    if not text.strip():
        return None
    data: dict[str, str] = json.loads(text).get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _write(programs: Programs, namespace: str, name: str, values: dict[str, str]) -> str:
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "lakeloop"},
        },
        "stringData": values,
    }
    # Replaced or created, not applied: an annotation would hold the values a second time.
    verb = "replace" if _read(programs, namespace, name) is not None else "create"
    programs.kubectl(verb, "--filename", "-", text=json.dumps(secret))
    return f"{namespace}/{name}"
