"""Settings from a mounted ConfigMap and Secret: a file a key, variables win."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakeloop.mounts import MOUNTS_VARIABLE, provide_mounted_variables
from lakeloop.settings import Settings


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    for name in [n for n in os.environ if n.startswith("LAKELOOP_")]:
        monkeypatch.delenv(name)
    config, secret = tmp_path / "settings", tmp_path / "credentials"
    monkeypatch.setenv(MOUNTS_VARIABLE, f"{config}{os.pathsep}{secret}")
    return config, secret


def as_kubelet_does(folder: Path, **values: str) -> None:
    """A projected volume: keys are links into a folder that changes as a whole."""
    data = folder / "..2026_01_01"
    data.mkdir(parents=True)
    (folder / "..data").symlink_to(data.name)
    for key, value in values.items():
        (data / key).write_text(value, encoding="utf-8")
        (folder / key).symlink_to(Path("..data") / key)


@pytest.mark.usefixtures("mounts")
def test_folders_that_are_not_there_change_nothing() -> None:
    assert Settings().spark_master == "local[*]"
    assert Settings().iceberg_catalog == {}


def test_keys_are_read_as_variables_would_be(mounts: tuple[Path, Path]) -> None:
    as_kubelet_does(
        mounts[0],
        LAKELOOP_SPARK_MASTER="k8s://https://kubernetes.default.svc\n",
        LAKELOOP_ICEBERG_CATALOG='{"type": "rest", "uri": "http://catalog"}',
        AWS_REGION="nowhere",
    )
    settings = Settings()
    assert settings.spark_master == "k8s://https://kubernetes.default.svc"
    assert settings.iceberg_catalog == {"type": "rest", "uri": "http://catalog"}


def test_the_secret_goes_before_the_config_map(mounts: tuple[Path, Path]) -> None:
    as_kubelet_does(mounts[0], LAKELOOP_ICEBERG_CATALOG='{"type": "rest"}')
    as_kubelet_does(mounts[1], LAKELOOP_ICEBERG_CATALOG='{"type": "rest", "token": "t"}')
    assert Settings().iceberg_catalog == {"type": "rest", "token": "t"}


def test_a_variable_goes_before_both(mounts: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    as_kubelet_does(mounts[1], LAKELOOP_SPARK_MASTER="k8s://api")
    monkeypatch.setenv("LAKELOOP_SPARK_MASTER", "local[1]")
    assert Settings().spark_master == "local[1]"


def test_a_value_given_in_code_goes_before_all(mounts: tuple[Path, Path]) -> None:
    as_kubelet_does(mounts[0], LAKELOOP_SPARK_MASTER="k8s://api")
    assert Settings(spark_master="local[2]").spark_master == "local[2]"


def test_what_other_clients_read_becomes_a_variable(mounts: tuple[Path, Path]) -> None:
    as_kubelet_does(mounts[0], AWS_REGION="here\n", LAKELOOP_HOME="/x")
    as_kubelet_does(mounts[1], PGPASSWORD="secret", AWS_REGION="there")
    environment = {"PATH": "/bin"}
    provide_mounted_variables(environment)
    assert environment == {"PATH": "/bin", "AWS_REGION": "there", "PGPASSWORD": "secret"}


def test_a_variable_that_is_set_stays(mounts: tuple[Path, Path]) -> None:
    as_kubelet_does(mounts[0], AWS_REGION="here")
    environment = {"AWS_REGION": "mine"}
    provide_mounted_variables(environment)
    assert environment == {"AWS_REGION": "mine"}
