"""The gRPC service as a caller sees it: codes, tokens, limits, metrics, logs, and that it goes on."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from lakeloop.serving.api import Guards, Limits
from lakeloop.serving.http import MAX_BODY_BYTES, Tokens
from lakeloop.serving.listener import reserve
from lakeloop.serving.model import load
from lakeloop.serving.prediction_log.rows import prediction_rows
from lakeloop.serving.prediction_log.segments import SegmentWriter, read_segment
from lakeloop.serving.predictor.open_inference import open_inference_pb2 as messages
from tests.fakes.models import ROWS, SNAPSHOT, model_folder
from tests.fakes.open_inference import grpc_serving, inference, prediction_ids, scores
from tests.unit.serving.test_predictor_api import call

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    candidate = model_folder(
        tmp_path_factory.mktemp("model") / "m", version="7", expression="amount / (age + 1)"
    )
    return Path(candidate.model_folder)


def test_it_scores_as_the_booster_and_says_which_version_answers(folder: Path) -> None:
    with grpc_serving(folder) as (stub, _):
        answer = stub.infer(inference(ROWS, id="mine"))
        assert scores(answer) == load(folder).scores(ROWS)
        assert (answer.id, answer.model_name, answer.model_version) == ("mine", "fraud", "7")
        assert answer.parameters["snapshot_id"].string_param == SNAPSHOT
        assert len(set(prediction_ids(answer))) == len(ROWS)
        whole_numbers_as_floats = inference(ROWS, {"amount": "FP64", "age": "FP64", "kind": "BYTES"})
        assert scores(stub.infer(whole_numbers_as_floats)) == scores(answer)
        named = inference(ROWS, model_version="7")
        named.outputs.add(name="score")
        assert [output.name for output in stub.infer(named).outputs] == ["score"]


def test_it_says_what_is_served(folder: Path) -> None:
    with grpc_serving(folder) as (stub, http):
        assert stub.call("ServerLive").live
        assert stub.call("ServerReady").ready
        assert stub.call("ModelReady", messages.ModelReadyRequest(name="fraud")).ready
        assert (stub.call("Check").status, stub.call("ServerMetadata").name) == (1, "lakeloop")
        told = stub.call("ModelMetadata", messages.ModelMetadataRequest(name="fraud", version="7"))
        by_rest = call(http, "GET", "/v2/models/fraud").json()
    assert (told.name, list(told.versions), told.platform) == ("fraud", ["7"], "xgboost")
    for side in ("inputs", "outputs"):
        tensors = [
            {"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in getattr(told, side)
        ]
        assert tensors == by_rest[side]


def test_what_cannot_be_answered_has_a_code_and_the_text_that_rest_has_and_the_server_goes_on(
    folder: Path,
) -> None:
    wrong = [{**ROWS[0], "age": "old"}]
    with grpc_serving(folder) as (stub, http):
        by_rest = call(http, "POST", "/predict", json={"rows": wrong}).json()["error"]
        sent = inference(wrong, {"amount": "FP64", "age": "BYTES", "kind": "BYTES"})
        assert stub.refused("ModelInfer", sent) == ("INVALID_ARGUMENT", by_rest)
        infinite = inference([{**ROWS[0], "amount": float("inf")}])
        assert stub.refused("ModelInfer", infinite)[0] == "INVALID_ARGUMENT"
        assert stub.refused("ModelInfer", inference(ROWS, {"age": "INT32"}))[0] == "INVALID_ARGUMENT"
        assert stub.refused("ModelInfer", b"\xff\xff")[0] == "INVALID_ARGUMENT"
        other_output = inference(ROWS)
        other_output.outputs.add(name="margin")
        assert stub.refused("ModelInfer", other_output)[0] == "INVALID_ARGUMENT"
        for other in (inference(ROWS, model_name="other"), inference(ROWS, model_version="8")):
            assert stub.refused("ModelInfer", other) == (
                "NOT_FOUND",
                "the model here is fraud, version 7",
            )
        assert stub.refused("ModelReady", messages.ModelReadyRequest(name="other"))[0] == "NOT_FOUND"
        assert stub.refused("Check", b"\n\5other")[0] == "NOT_FOUND"
        for method in ("RepositoryModelLoad", "RepositoryModelUnload", "ModelStreamInfer"):
            assert stub.refused(method)[0] == "UNIMPLEMENTED"
        assert scores(stub.infer(inference(ROWS))) == load(folder).scores(ROWS)


def test_a_call_without_a_valid_token_is_not_even_read(folder: Path) -> None:
    with grpc_serving(folder, Guards(Tokens(["old", "new"]))) as (stub, _):
        for sent in ((), (("authorization", "Bearer wrong"),)):
            assert stub.refused("ModelInfer", b"no message", metadata=sent)[0] == "UNAUTHENTICATED"
        assert stub.refused("RepositoryModelLoad")[0] == "UNAUTHENTICATED"
        for token in ("old", "new"):
            sent = (("authorization", f"Bearer {token}"),)
            assert scores(stub.infer(inference(ROWS), metadata=sent)) == load(folder).scores(ROWS)
        assert stub.call("ServerReady").ready
        assert stub.call("Check").status == 1


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_over_the_limit_is_refused_however_small_it_was_packed(
    folder: Path, compression: grpc.Compression
) -> None:
    with grpc_serving(folder) as (stub, _):
        code, _ = stub.refused("ModelInfer", b"\0" * (MAX_BODY_BYTES + 1), compression=compression)
        assert code == "RESOURCE_EXHAUSTED"
        assert stub.call("ServerLive").live


def test_calls_over_the_limit_are_told_to_come_again(folder: Path) -> None:
    many = inference(ROWS * 3000)
    with grpc_serving(folder, Guards(limits=Limits(calls_at_once=1))) as (stub, _):

        def code(_: int) -> str:
            try:
                stub.infer(many)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

        with ThreadPoolExecutor(8) as pool:
            codes = set(pool.map(code, range(8)))
        assert codes == {"OK", "UNAVAILABLE"}


def test_metrics_and_log_tell_of_grpc_calls_without_their_values(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with grpc_serving(folder) as (stub, http):
        stub.infer(inference(ROWS))
        private = inference(
            [{**ROWS[0], "age": "personal"}], {"amount": "FP64", "age": "BYTES", "kind": "BYTES"}
        )
        stub.refused("ModelInfer", private)
        told = call(http, "GET", "/metrics").text
    assert f'lakeloop_requests_total{{path="{INFER}",server="predictor",status="200"}} 1.0' in told
    assert f'lakeloop_requests_total{{path="{INFER}",server="predictor",status="422"}} 1.0' in told
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert (json.loads(line)["path"], json.loads(line)["status"]) == (INFER, 422)
    assert "personal" not in line + told


def test_each_answer_is_in_the_log_before_it_is_given(folder: Path, tmp_path: Path) -> None:
    identity = load(folder).identity.model_dump(mode="json")
    columns = load(folder).encoding.source_columns
    writer = SegmentWriter(tmp_path / "log", {"identity": identity, "columns": columns})
    with grpc_serving(folder, log=writer) as (stub, _):
        answer = stub.infer(inference(ROWS), metadata=(("lakeloop-purpose", "proof"),))
        (segment,) = (tmp_path / "log").glob("*.segment")
        rows = list(prediction_rows(read_segment(segment.read_bytes())))
    assert [row["prediction_id"] for row in rows] == prediction_ids(answer)
    assert [row["score"] for row in rows] == scores(answer)
    assert [json.loads(row["inputs"]) for row in rows] == ROWS
    assert {row["purpose"] for row in rows} == {"proof"}


def test_what_cannot_be_logged_is_not_answered(folder: Path, tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "log", {})
    (tmp_path / "log").rmdir()
    with grpc_serving(folder, log=writer) as (stub, _):
        code, text = stub.refused("ModelInfer", inference(ROWS))
    assert (code, "prediction log" in text) == ("UNAVAILABLE", True)


def test_a_port_is_held_for_one_server(folder: Path) -> None:
    with reserve("127.0.0.1", 0) as held, pytest.raises(OSError, match="in use"):
        reserve("127.0.0.1", held.getsockname()[1])
