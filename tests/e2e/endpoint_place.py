"""A namespace of its own for one test's endpoints, with the accounts and places that lakeloop expects there."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakeloop.adapters.kserve.access import DEPLOYER_RULES, GATEWAY_RULES, OUTSIDE_RULES, STOPPING_RULES, role
from lakeloop.adapters.kserve.names import CREDENTIALS_SECRET, ENDPOINT_SERVICE_ACCOUNT, SETTINGS_CONFIG_MAP
from lakeloop.settings import Settings

STORE_NAMESPACE, STORE_SERVICE, STORE_SECRET = "kubeflow", "minio-service", "mlpipeline-minio-artifact"
BUCKET = "lakeloop-e2e"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True)
class EndpointPlace:
    """Where a test deploys; `settings` reach it with an account that may do no more than the documentation says."""

    namespace: str
    settings: Settings
    kubeconfig: Path

    def kubectl(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        """As the cluster's administrator."""
        return kubectl("-n", self.namespace, *words, check=check, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Objects of this namespace."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


@functools.cache
def administrator() -> dict[str, str]:
    """The environment before a test narrows it: its KUBECONFIG makes namespaces and accounts.

    Not yet when this module is imported: the session's own start leads to the cluster first.
    """
    return dict(os.environ)


def kubectl(*words: str, check: bool = True, stdin: str | None = None) -> str:
    """Its output; its error is the exception's text."""
    done = subprocess.run(
        ["kubectl", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=administrator(),
    )
    assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def endpoint_place(folder: Path) -> Iterator[EndpointPlace]:
    """A fresh namespace, gone afterwards; its pods' logs and events are printed when the test failed."""
    namespace = f"lakeloop-e2e-{secrets.token_hex(4)}"
    kubeconfig = folder / "kubeconfig"
    with object_store() as (url, keys):
        _make(namespace, keys)
        try:
            kubeconfig.write_text(_kubeconfig(namespace, "lakeloop-steps"), encoding="utf-8")
            with _environment(
                KUBECONFIG=str(kubeconfig), AWS_ENDPOINT_URL=url, AWS_REGION="us-east-1", **keys
            ):
                settings = Settings(
                    home=folder,
                    deployment_target="kserve",
                    endpoint_namespace=namespace,
                    models_uri=f"s3://{BUCKET}/models",
                    gateway_replicas=2,
                )
                yield EndpointPlace(namespace, settings, kubeconfig)
        except BaseException:
            _tell(namespace)
            raise
        finally:
            kubectl("delete", "namespace", namespace, "--wait=false", check=False)


def store_client(url: str, keys: Mapping[str, str]) -> Any:
    """boto3's, of the cluster's S3 store."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )


@contextlib.contextmanager
def object_store() -> Iterator[tuple[str, dict[str, str]]]:
    """The cluster's S3 store on the loopback interface, and its keys, with the tests' bucket in it."""
    secret = yaml.safe_load(kubectl("-n", STORE_NAMESPACE, "get", "secret", STORE_SECRET, "-o", "yaml"))[
        "data"
    ]
    keys = {
        "AWS_ACCESS_KEY_ID": _decoded(secret["accesskey"]),
        "AWS_SECRET_ACCESS_KEY": _decoded(secret["secretkey"]),
    }
    with forwarded(STORE_NAMESPACE, f"svc/{STORE_SERVICE}", 9000) as port:
        url = f"http://127.0.0.1:{port}"
        store = store_client(url, keys)
        with contextlib.suppress(
            store.exceptions.BucketAlreadyOwnedByYou, store.exceptions.BucketAlreadyExists
        ):
            store.create_bucket(Bucket=BUCKET)
        yield url, keys


@contextlib.contextmanager
def forwarded(namespace: str, what: str, port: int) -> Iterator[int]:
    """A port of the cluster on the loopback interface; forwarded again whenever kubectl loses it, as it does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        local = int(free.getsockname()[1])
    command = ["kubectl", "-n", namespace, "port-forward", what, f"{local}:{port}"]
    ended, running = threading.Event(), []

    def keep() -> None:
        while not ended.is_set():
            quiet = subprocess.DEVNULL
            with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=administrator()) as process:
                running[:] = [process]
                process.wait()

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        wait_for(lambda: _listens(local), 30, f"{' '.join(command)} listens")
        yield local
    finally:
        ended.set()
        for process in running:
            process.terminate()
        thread.join(timeout=10)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _decoded(text: str) -> str:
    import base64

    return base64.b64decode(text).decode()


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _make(namespace: str, keys: dict[str, str]) -> None:
    kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", namespace, *(f"{k}={v}" for k, v in RESTRICTED.items()))
    settings = {
        "AWS_ENDPOINT_URL": f"http://{STORE_SERVICE}.{STORE_NAMESPACE}:9000",
        "AWS_REGION": "us-east-1",
    }
    objects = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": SETTINGS_CONFIG_MAP},
            "data": settings,
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIALS_SECRET}, "stringData": keys},
        *_account(namespace, "lakeloop-steps", (*DEPLOYER_RULES, *OUTSIDE_RULES, *STOPPING_RULES)),
        *_account(namespace, ENDPOINT_SERVICE_ACCOUNT, GATEWAY_RULES),
    ]
    kubectl("-n", namespace, "apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


def _account(namespace: str, name: str, rules: Any) -> list[dict[str, Any]]:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    return [account, role(name, namespace, rules), binding]


def _kubeconfig(namespace: str, account: str) -> str:
    """Of the account alone: what the tests deploy with is what its Role allows."""
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    token = kubectl("-n", namespace, "create", "token", account, "--duration=2h").strip()
    config["users"] = [{"name": account, "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = account
    return yaml.safe_dump(config)


def _tell(namespace: str) -> None:
    for words in (
        ("get", "pods,inferenceservices,deployments,services", "-o", "wide"),
        ("get", "events", "--sort-by=.lastTimestamp"),
        ("logs", "-l", "app.kubernetes.io/name=lakeloop", "--all-containers", "--prefix", "--tail=40"),
    ):
        print(f"== kubectl {' '.join(words)}\n{kubectl('-n', namespace, *words, check=False)}")


def wait_for(condition: Any, seconds: float, what: str) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
