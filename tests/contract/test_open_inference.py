"""The Open Inference Protocol over REST and over gRPC: one predictor, one answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.serving.model import load
from tests.fakes.models import ROWS, model_folder
from tests.fakes.open_inference import (
    TYPES,
    Running,
    Stub,
    inference,
    prediction_ids,
    predictor_process,
    scores,
)
from tests.fakes.random_rows import EXAMPLES, ROW


@dataclass(frozen=True)
class Both:
    folder: Path
    running: Running
    rest: httpx.Client
    stub: Stub

    def by_rest(self, rows: list[dict[str, Any]]) -> Any:
        inputs = [
            {"name": name, "datatype": type_, "shape": [len(rows)], "data": [row[name] for row in rows]}
            for name, type_ in TYPES.items()
        ]
        return self.rest.post("/v2/models/fraud/infer", json={"inputs": inputs}).raise_for_status().json()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    scratch = tmp_path_factory.mktemp("predictor")
    folder = Path(
        model_folder(scratch / "m", version="7", expression="coalesce(amount, 0) / 3 + age").model_folder
    )
    options = ("--grpc-port", "0", "--workers", "2", "--prediction-log", str(scratch / "log"))
    with (
        predictor_process(folder, *options, scratch=scratch) as running,
        httpx.Client(base_url=running.url, trust_env=False, timeout=20) as rest,
    ):
        yield Both(folder, running, rest, Stub(running.address))


def test_both_forms_give_what_the_booster_gives(both: Both) -> None:
    offline = load(both.folder).scores(ROWS)
    by_rest, by_grpc = both.by_rest(ROWS), both.stub.infer(inference(ROWS))
    assert by_rest["outputs"][0]["data"] == scores(by_grpc) == offline
    assert (by_rest["model_name"], by_rest["model_version"]) == (by_grpc.model_name, by_grpc.model_version)
    assert by_rest["parameters"]["snapshot_id"] == by_grpc.parameters["snapshot_id"].string_param


@given(rows=st.lists(ROW, min_size=1, max_size=5))
@EXAMPLES
def test_the_same_rows_have_the_same_scores_by_both(both: Both, rows: list[dict[str, Any]]) -> None:
    assert both.by_rest(rows)["outputs"][0]["data"] == scores(both.stub.infer(inference(rows)))


@given(body=st.binary(max_size=200))
@EXAMPLES
def test_whatever_bytes_come_are_refused_as_the_caller_s_mistake(both: Both, body: bytes) -> None:
    code, _ = both.stub.refused("ModelInfer", body)
    assert code in {"INVALID_ARGUMENT", "NOT_FOUND"}


def test_workers_share_the_port_and_no_prediction_id_is_given_twice(both: Both) -> None:
    ids: list[str] = []
    for _ in range(20):  # connections, which the kernel spreads over the workers
        stub = Stub(both.running.address)
        ids += prediction_ids(stub.infer(inference(ROWS)))
        stub.channel.close()
    assert len(set(ids)) == 20 * len(ROWS)
    assert len({one[:24] for one in ids}) == 2, "the first 24 digits are the worker's"


def test_a_second_server_cannot_take_a_share_of_the_port(both: Both) -> None:
    port = both.running.address.rpartition(":")[2]
    words = ["--model-folder", str(both.folder), "--grpc-port", port]
    ended = subprocess.run(
        [sys.executable, "-m", "lakeloop.serving.predictor", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "in use" in ended.stderr


def test_calls_under_way_are_answered_at_the_end_and_the_port_is_free_again(tmp_path: Path) -> None:
    folder = Path(model_folder(tmp_path / "m").model_folder)
    with predictor_process(folder, "--grpc-port", "0", scratch=tmp_path) as running:
        stub = Stub(running.address)
        offline = load(folder).scores(ROWS * 3000)
        call = stub.channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda r: r.SerializeToString(),
            response_deserializer=type(stub.infer(inference(ROWS))).FromString,
        )
        under_way = [call.future(inference(ROWS * 3000), timeout=30) for _ in range(3)]
        under_way[0].result()
        os.kill(running.process.pid, signal.SIGTERM)
        assert running.process.wait(30) == 0
        for answer in under_way:
            try:
                assert scores(answer.result()) == offline
            except grpc.RpcError as error:  # one that had not begun may be turned away, never cut short
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
    port = running.address.rpartition(":")[2]
    with predictor_process(folder, "--grpc-port", port, scratch=tmp_path) as again:
        assert scores(Stub(again.address).infer(inference(ROWS))) == offline[: len(ROWS)]


def test_without_a_port_grpc_is_not_even_loaded(tmp_path: Path) -> None:
    folder = Path(model_folder(tmp_path / "m").model_folder)
    with predictor_process(folder, scratch=tmp_path) as running:
        assert running.address == ""
        libraries = Path(f"/proc/{running.process.pid}/maps").read_text(encoding="utf-8")
    assert "xgboost" in libraries
    assert "cygrpc" not in libraries
