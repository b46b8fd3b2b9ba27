"""From the use case's word to the processes in the pods."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from lakeloop import bootstrap
from lakeloop.adapters.kserve.deployer import KServeDeployer
from lakeloop.adapters.kserve.inference_service import has_transformer
from lakeloop.domain.use_case import Online
from lakeloop.settings import Settings
from tests.fakes.documents import use_case
from tests.fakes.models import model_folder


def manifest(tmp_path: Path, *, transformer: bool) -> dict[str, Any]:
    settings = Settings(
        home=tmp_path,
        deployment_target="kserve",
        models_uri=f"file://{tmp_path}/models",
        online_store_uri="redis://valkey:6379/0",
    )
    deployment = use_case().deployment.model_copy(update={"transformer": transformer})
    asked = use_case().model_copy(update={"deployment": deployment, "online": Online(entity=("id",))})
    deployer = bootstrap.deployer(settings, asked)
    assert isinstance(deployer, KServeDeployer)
    return deployer._manifest("card-fraud", model_folder(tmp_path / "m"))


def test_a_transformer_is_there_where_the_use_case_asks_for_one(tmp_path: Path) -> None:
    assert not has_transformer(manifest(tmp_path, transformer=False))
    assert has_transformer(manifest(tmp_path, transformer=True))


def test_each_server_understands_its_arguments_and_those_that_kserve_adds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakeloop.serving.predictor import __main__ as predictor
    from lakeloop.serving.transformer import __main__ as transformer

    spec = manifest(tmp_path, transformer=True)["spec"]
    arguments = {part: spec[part]["containers"][0]["args"] for part in ("predictor", "transformer")}
    monkeypatch.setattr(sys, "argv", ["predictor", *arguments["predictor"]])
    assert predictor._options().ready_features
    monkeypatch.setattr(sys, "argv", ["transformer", *arguments["transformer"], "--predictor_host", "m.ns"])
    told = transformer._options()
    assert (told.predictor_host, told.model_name) == ("m.ns", "fraud")
    assert (told.port, told.grpc_port, told.drain_seconds, told.online_features) == (8080, 8081, 10.0, True)
