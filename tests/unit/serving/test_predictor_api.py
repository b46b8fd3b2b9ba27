"""The predictor's protocols, limits, tokens, metrics and log, as a caller sees them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lakeloop.serving.api import Guards, Limits
from lakeloop.serving.http import Tokens
from lakeloop.serving.model import load
from lakeloop.serving.prediction_log.rows import prediction_rows
from lakeloop.serving.prediction_log.segments import SegmentWriter, read_segment
from lakeloop.serving.predictor.app import build_app
from tests.fakes.models import ROWS, SNAPSHOT, model_folder

V2 = [
    {"name": "amount", "shape": [3], "datatype": "FP64", "data": [r["amount"] for r in ROWS]},
    {"name": "age", "shape": [3, 1], "datatype": "INT32", "data": [[r["age"]] for r in ROWS]},
    {"name": "kind", "shape": [3], "datatype": "BYTES", "data": [r["kind"] for r in ROWS]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    candidate = model_folder(
        tmp_path_factory.mktemp("model") / "m", version="7", expression="amount / (age + 1)"
    )
    return Path(candidate.model_folder)


def call(app: Any, method: str, path: str, **request: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://model") as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


def test_all_three_protocols_give_the_same_scores(folder: Path) -> None:
    app = build_app(load(folder))
    own = call(app, "POST", "/predictions", json={"rows": ROWS}).json()
    assert own["decisions"] == [score >= 0.5 for score in own["scores"]]
    instances = [ROWS[0], list(ROWS[1].values()), ROWS[2]]
    v1 = call(app, "POST", "/v1/models/fraud:predict", json={"instances": instances}).json()
    assert (v1["predictions"], v1["snapshot_id"]) == (own["scores"], SNAPSHOT)
    for path in ("/v2/models/fraud/infer", "/v2/models/fraud/versions/7/infer"):
        v2 = call(app, "POST", path, json={"id": "mine", "inputs": V2}).json()
        assert (v2["id"], v2["model_version"]) == ("mine", "7")
        assert v2["outputs"][0] == {"name": "score", "shape": [3], "datatype": "FP64", "data": own["scores"]}
    told = call(app, "GET", "/v2/models/fraud").json()
    assert [(i["name"], i["datatype"]) for i in told["inputs"]] == [
        ("amount", "FP64"),
        ("age", "INT32"),
        ("kind", "BYTES"),
    ]
    assert call(app, "GET", "/v1/models/fraud").json() == {"name": "fraud", "ready": True}


def test_v2_names_another_model_or_output_at_its_peril(folder: Path) -> None:
    app = build_app(load(folder))
    path = "/v2/models/fraud/infer"
    named = call(
        app, "POST", path, json={"model_name": "fraud", "inputs": V2, "outputs": [{"name": "score"}]}
    )
    assert [output["name"] for output in named.json()["outputs"]] == ["score"]
    assert call(app, "POST", path, json={"model_name": "other", "inputs": V2}).status_code == 404
    for outputs in ("score", [{"name": "margin"}], ["score"], [{"name": ["score"]}], {"name": "score"}):
        assert call(app, "POST", path, json={"inputs": V2, "outputs": outputs}).status_code == 422


def binary(tensors: list[dict[str, Any]], *raw: bytes) -> dict[str, Any]:
    """A request whose tensors stand behind its JSON."""
    told = json.dumps({"inputs": tensors}).encode()
    return {
        "content": told + b"".join(raw),
        "headers": {"inference-header-content-length": str(len(told))},
    }


def tensor(name: str, datatype: str, size: int, **parameters: Any) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": datatype,
        "shape": [3],
        "parameters": {"binary_data_size": size, **parameters},
    }


def test_tensors_may_stand_as_bytes_behind_the_json(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    who = {"identity": model.identity.model_dump(mode="json"), "columns": model.encoding.source_columns}
    app = build_app(model, SegmentWriter(tmp_path / "log", who))
    amounts = np.array([0.7, 0.2, np.nan]).tobytes()
    ages = np.array([31, 0, 64], dtype=np.int32).tobytes()
    kinds = b"".join(len(k).to_bytes(4, "little") + k for k in (b"b", b"a", b"never seen"))
    sent = binary(
        [
            tensor("amount", "FP64", 24),
            tensor("age", "INT32", 12, nulls="[1]"),
            tensor("kind", "BYTES", len(kinds)),
        ],
        *(amounts, ages, kinds),
    )
    answer = call(app, "POST", "/v2/models/fraud/infer", **sent)
    assert answer.json()["outputs"][0]["data"] == model.scores(ROWS)
    (segment,) = (tmp_path / "log").glob("*.segment")
    logged = prediction_rows(read_segment(segment.read_bytes()))
    assert [json.loads(row["inputs"]) for row in logged] == ROWS
    mixed = binary([V2[0], tensor("age", "INT32", 12), V2[2]], np.array([31, 1, 64], np.int32).tobytes())
    assert call(app, "POST", "/v2/models/fraud/infer", **mixed).status_code == 200


@pytest.mark.parametrize(
    ("tensors", "raw", "problem"),
    [
        ([tensor("amount", "FP64", 24)], b"\0" * 23, "are 24 bytes raw, not 23"),
        ([tensor("amount", "FP64", 24)], b"\0" * 25, "binary_data_size of all inputs: 24, but 25 bytes"),
        ([tensor("amount", "FP64", 23)], b"\0" * 23, "are 24 bytes raw, not 23"),
        ([tensor("amount", "FP64", -1)], b"\0" * 24, "binary_data_size of all inputs: 0"),
        ([tensor("amount", "FP64", 10**30)], b"\0" * 24, "binary_data_size of all inputs"),
        ([tensor("amount", "FP8", 24)], b"\0" * 24, "datatype must be one of"),
        ([tensor("amount", "FP64", 24)], np.array([1, np.inf, 2]).tobytes(), "row 1 is infinite"),
        ([{**tensor("amount", "FP64", 24), "shape": [3, 2]}], b"\0" * 24, "shape must be"),
        ([{**tensor("amount", "FP64", 24), "shape": "3"}], b"\0" * 24, "shape must be"),
        ([tensor("kind", "BYTES", 4, nulls="[9]")], b"\0" * 4, "3 raw BYTES are expected"),
    ],
)
def test_bytes_that_do_not_fit_their_tensors_are_refused(
    folder: Path, tensors: list[dict[str, Any]], raw: bytes, problem: str
) -> None:
    answer = call(build_app(load(folder)), "POST", "/v2/models/fraud/infer", **binary(tensors, raw))
    assert (answer.status_code, problem in answer.json()["error"]) == (422, True), answer.text


@pytest.mark.parametrize("length", ["", "x", "-1", "0", "9999", "9" * 5000, "1.0"])
def test_a_wrong_length_of_the_json_is_refused(folder: Path, length: str) -> None:
    sent = {"content": b'{"inputs": []}', "headers": {"inference-header-content-length": length}}
    assert call(build_app(load(folder)), "POST", "/v2/models/fraud/infer", **sent).status_code == 422


def test_an_explanation_sums_to_the_score_s_log_odds(folder: Path) -> None:
    answer = call(build_app(load(folder)), "POST", "/predict?explain=true", json={"rows": ROWS}).json()
    for score, told in zip(answer["scores"], answer["explanations"], strict=True):
        assert list(told["contributions"]) == ["amount", "age", "kind"]
        margin = told["bias"] + sum(told["contributions"].values())
        assert 1 / (1 + np.exp(-margin)) == pytest.approx(score, abs=1e-5)
    assert (
        call(build_app(load(folder)), "POST", "/predict?explain=maybe", json={"rows": ROWS}).status_code
        == 422
    )


@pytest.mark.parametrize("datatype", ["FP8", "", None, ["FP64"], 1])
def test_a_tensor_of_no_datatype_is_refused(folder: Path, datatype: Any) -> None:
    sent = {"inputs": [{**V2[0], "datatype": datatype}, *V2[1:]]}
    answer = call(build_app(load(folder)), "POST", "/v2/models/fraud/infer", json=sent)
    assert (answer.status_code, "datatype must be one of" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize("amount", [1e39, -1e39, 1e308])
def test_a_number_beyond_float32_is_explained_as_it_is_scored(folder: Path, amount: float) -> None:
    row = {**ROWS[0], "amount": amount}
    answer = call(build_app(load(folder)), "POST", "/predictions?explain=true", json={"rows": [row]}).json()
    [told], [score] = answer["explanations"], answer["scores"]
    margin = told["bias"] + sum(told["contributions"].values())
    assert 1 / (1 + np.exp(-margin)) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    ("path", "sent"),
    [("v1/models/fraud:predict", {"instances": ROWS}), ("v2/models/fraud/infer", {"inputs": V2})],
)
def test_a_form_without_explanations_says_so(folder: Path, path: str, sent: dict[str, Any]) -> None:
    app = build_app(load(folder))
    assert call(app, "POST", f"/{path}?explain=true", json=sent).status_code == 422
    assert call(app, "POST", f"/{path}?trace=7", json=sent).status_code == 200


@pytest.mark.parametrize("query", ["explain=maybe", "explian=true", "explain=true&explain=true", "explain="])
def test_a_parameter_that_is_none_is_refused(folder: Path, query: str) -> None:
    assert call(build_app(load(folder)), "POST", f"/predict?{query}", json={"rows": ROWS}).status_code == 422


def test_without_a_valid_token_only_health_and_identity_answer(folder: Path) -> None:
    app = build_app(load(folder), guards=Guards(Tokens(["old", "new"])))
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "old"}):
        refused = call(app, "POST", "/predict", json={"rows": ROWS}, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    for token in ("old", "new"):
        headers = {"authorization": f"Bearer {token}"}
        assert call(app, "POST", "/predict", json={"rows": ROWS}, headers=headers).status_code == 200
    for path in (
        "/version",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
        "/v2/health/ready",
    ):
        assert call(app, "GET", path).status_code == 200


def test_a_token_file_without_a_token_does_not_open_the_api(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\ntwo\n", encoding="utf-8")
    assert Tokens.of_environment({"LAKELOOP_SERVING_TOKEN_FILE": str(file)}).asked
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no token"):
        Tokens.of_environment({"LAKELOOP_SERVING_TOKEN_FILE": str(file)})
    assert not Tokens.of_environment({}).asked


def test_limits_are_told_with_the_right_status(folder: Path) -> None:
    app = build_app(load(folder), guards=Guards(limits=Limits(body_bytes=100, calls_at_once=1)))
    assert call(app, "POST", "/predict", content=b" " * 101).status_code == 413
    assert call(app, "GET", "/predict").headers["allow"] == "POST"
    assert call(app, "GET", "/nothing").status_code == 404

    async def two_at_once() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://model") as client:
            calls = [client.post("/predict", json={"rows": ROWS[:1]}) for _ in range(2)]
            return sorted(answer.status_code for answer in await asyncio.gather(*calls))

    assert asyncio.run(two_at_once()) == [200, 503]


def test_metrics_count_calls_by_route_and_never_by_what_a_caller_made_up(folder: Path) -> None:
    app = build_app(load(folder))
    call(app, "POST", "/predict", json={"rows": ROWS})
    call(app, "GET", "/secret-name")
    told = call(app, "GET", "/metrics").text
    assert 'lakeloop_requests_total{path="/predict",server="predictor",status="200"} 1.0' in told
    assert 'path="other",server="predictor",status="404"' in told
    assert 'lakeloop_rows_total{server="predictor"} 3.0' in told
    assert "secret" not in told


def test_the_server_s_log_names_no_value_of_a_caller(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call(build_app(load(folder)), "POST", "/predict", json={"rows": [{**ROWS[0], "age": "personal"}]})
    (line,) = capfd.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["path"], told["status"], told["level"]) == ("/predict", 422, "warning")
    assert "personal" not in line


def test_each_answer_is_in_the_log_before_it_is_given(folder: Path, tmp_path: Path) -> None:
    app = build_app(load(folder), SegmentWriter(tmp_path / "log", {"identity": {"version": "7"}}))
    answer = call(app, "POST", "/predict", json={"rows": ROWS}).json()
    call(app, "POST", "/v2/models/fraud/infer", json={"inputs": V2})
    call(app, "POST", "/predict", json={"rows": [{}]})
    (segment,) = (tmp_path / "log").glob("*.segment")
    (head, _), (first, body), (second, _) = read_segment(segment.read_bytes())
    assert head == {"identity": {"version": "7"}, "segment": segment.stem}
    assert (first["ids"], first["scores"]) == (answer["prediction_ids"], answer["scores"])
    assert json.loads(body) == {"rows": ROWS}
    assert (first["form"], second["form"]) == ("rows", "v2")


def test_what_cannot_be_logged_is_not_answered(folder: Path, tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "log", {})
    (tmp_path / "log").rmdir()
    answer = call(build_app(load(folder), writer), "POST", "/predict", json={"rows": ROWS})
    assert (answer.status_code, "prediction log" in answer.json()["error"]) == (503, True)


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_torn_last_record_ends_a_segment(tmp_path: Path, cut: int) -> None:
    writer = SegmentWriter(tmp_path, {"who": 1})
    writer.append([({"n": 1}, b"one"), ({"n": 2}, b"two" * 20)])
    (segment,) = tmp_path.glob("*.segment")
    whole = segment.read_bytes()
    assert [h.get("n") for h, _ in read_segment(whole)] == [None, 1, 2]
    assert [h.get("n") for h, _ in read_segment(whole[:-cut])] == [None, 1]
    broken = bytearray(whole)
    broken[-cut] ^= 1
    assert [h.get("n") for h, _ in read_segment(bytes(broken))] == [None, 1]


def test_injected_and_monstrous_values_are_refused(folder: Path) -> None:
    app = build_app(load(folder))
    for value in ("1 or 1=1", "\u202e\u0000", "x" * 2**20, {"$gt": 0}, [1], 1e309, 2**70):
        content = json.dumps({"rows": [{**ROWS[0], "age": value}]}, allow_nan=True)
        answer = call(app, "POST", "/predict", content=content)
        assert answer.status_code == 422, value if not isinstance(value, str) else value[:20]
        assert len(answer.content) < 400
