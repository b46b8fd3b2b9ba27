"""The way to Kubeflow Pipelines through the Kubernetes API server, as the user of a kube context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lakeloop.adapters.kfp.connection import api_client
from lakeloop.settings import Settings

HOST = "https://127.0.0.1:6443"
PROXY = "/api/v1/namespaces/kubeflow/services/ml-pipeline:8888/proxy"


def kubeconfig(user: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": HOST, "insecure-skip-tls-verify": True}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "users": [{"name": "me", "user": user}],
        }
    )


@pytest.fixture(autouse=True)
def _on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("LAKELOOP_KFP_HOST", raising=False)


def reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any]) -> Any:
    file = tmp_path / "config"
    file.write_text(kubeconfig(user), encoding="utf-8")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    return api_client(Settings()).configuration


def test_a_token_is_sent_with_every_call_to_the_proxys_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes' own client writes the host anew whenever it refreshes a token."""
    configuration = reached(tmp_path, monkeypatch, {"token": "secret"})
    for _ in range(2):
        assert configuration.auth_settings()["Bearer"]["value"] == "Bearer secret"
        assert configuration.host == HOST + PROXY


def test_a_certificate_needs_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = reached(tmp_path, monkeypatch, {"username": "nobody"})
    assert configuration.auth_settings() == {}
    assert configuration.host == HOST + PROXY
    assert configuration.verify_ssl is False
