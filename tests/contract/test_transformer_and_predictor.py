"""A transformer and its predictor answer as a predictor alone does: every form, by values and by id, and the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.adapters.local.process import wait_until
from lakeloop.adapters.sqlite.online_store import SqliteOnlineStore
from lakeloop.domain.model_files import IDENTITY_VARIABLE
from lakeloop.serving.listener import bind
from lakeloop.serving.model import load
from lakeloop.serving.prediction_log.rows import prediction_rows
from lakeloop.serving.prediction_log.segments import read_segment
from tests.fakes.models import ROWS, model_folder
from tests.fakes.online import EVERYONE, FEATURE_SNAPSHOT, publish_everyone
from tests.fakes.open_inference import (
    TYPES,
    Running,
    Stub,
    inference,
    prediction_ids,
    predictor_process,
    scores,
    transformer_process,
)
from tests.fakes.random_rows import EXAMPLES, ROW

TOKEN = {"authorization": "Bearer a-token-of-the-tests"}


@dataclass(frozen=True)
class Pair:
    folder: Path
    log: Path
    alone: httpx.Client
    """A predictor without a transformer, of the same model."""
    transformer: httpx.Client
    predictor: httpx.Client
    stub: Stub
    running: Running

    def logged(self, prediction_id: str) -> Any:
        """The row of the log with this prediction."""
        found = [
            row
            for segment in self.log.glob("*.segment")
            for row in prediction_rows(read_segment(segment.read_bytes()))
            if row["prediction_id"] == prediction_id
        ]
        assert len(found) == 1
        return found[0]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    scratch, beside = tmp_path_factory.mktemp("pair"), tmp_path_factory.mktemp("alone")
    model = model_folder(scratch / "m", version="7", expression="coalesce(amount, 0) / 3 + age")
    folder = Path(model.model_folder)
    publish_everyone(SqliteOnlineStore(scratch / "online.db"))
    environment = {
        "LAKELOOP_SERVING_TOKEN": TOKEN["authorization"].removeprefix("Bearer "),
        "LAKELOOP_ONLINE_STORE_URI": str(scratch / "online.db"),
        IDENTITY_VARIABLE: model.identity.canonical_json(),
    }
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environment.items():
            patch.setenv(name, value)
        predictor = stack.enter_context(
            predictor_process(
                folder, "--ready-features", "--prediction-log", str(scratch / "log"), scratch=scratch
            )
        )
        host = predictor.url.removeprefix("http://")
        options = ("--model_name", "fraud", "--online-features", "--grpc-port", "0", "--http_port", "0")
        transformer = stack.enter_context(transformer_process(host, *options, scratch=scratch))
        alone = stack.enter_context(predictor_process(folder, "--online-features", scratch=beside))
        patch.undo()
        clients = [
            stack.enter_context(httpx.Client(base_url=r.url, trust_env=False, timeout=20, headers=TOKEN))
            for r in (alone, transformer, predictor)
        ]
        yield Pair(folder, scratch / "log", *clients, Stub(transformer.address), transformer)


def v2(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "mine",
        "inputs": [
            {"name": name, "datatype": type_, "shape": [len(rows)], "data": [row[name] for row in rows]}
            for name, type_ in TYPES.items()
        ],
    }


FORMS = {
    "own": ("/predictions", {"rows": ROWS}),
    "explained": ("/predictions?explain=true", {"rows": ROWS}),
    "by id": ("/predictions", {"ids": list(EVERYONE)}),
    "by id, explained": ("/predict?explain=true", {"ids": ["2"]}),
    "v1": ("/v1/models/fraud:predict", {"instances": [ROWS[0], list(ROWS[1].values()), ROWS[2]]}),
    "v2": ("/v2/models/fraud/infer", v2(ROWS)),
    "v2, the version": ("/v2/models/fraud/versions/7/infer", v2(ROWS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_answered_as_by_a_predictor_alone(pair: Pair, form: str) -> None:
    path, body = FORMS[form]
    wanted, told = (c.post(path, json=body).raise_for_status().json() for c in (pair.alone, pair.transformer))
    ids = [without_ids(answer) for answer in (wanted, told)]
    assert told == wanted
    assert len(ids[0]) == len(ids[1]) > 0
    assert not set(ids[0]) & set(ids[1])


def without_ids(answer: dict[str, Any]) -> list[str]:
    """Takes them out of an answer, and gives them."""
    if "prediction_ids" in answer:
        return list(answer.pop("prediction_ids"))
    (output,) = [output for output in answer["outputs"] if output["name"] == "prediction_id"]
    return list(output.pop("data"))


@given(rows=st.lists(ROW, min_size=1, max_size=5))
@EXAMPLES
def test_any_rows_with_nulls_have_the_same_scores_by_rest_and_by_grpc(
    pair: Pair, rows: list[dict[str, Any]]
) -> None:
    alone = pair.alone.post("/predictions", json={"rows": rows})
    through = pair.transformer.post("/predictions", json={"rows": rows})
    assert through.status_code == alone.status_code
    if alone.status_code == 200:
        assert through.json()["scores"] == alone.json()["scores"]
        metadata = tuple(TOKEN.items())
        assert scores(pair.stub.infer(inference(rows), metadata=metadata)) == alone.json()["scores"]
    else:
        assert through.json() == alone.json()


@given(ids=st.lists(st.sampled_from([*EVERYONE, "nobody"]), min_size=1, max_size=6))
@EXAMPLES
def test_any_ids_have_the_same_scores_or_the_same_refusal(pair: Pair, ids: list[str]) -> None:
    alone, through = (c.post("/predictions", json={"ids": ids}) for c in (pair.alone, pair.transformer))
    assert through.status_code == alone.status_code
    assert through.json().get("scores") == alone.json().get("scores")
    assert through.json().get("error") == alone.json().get("error")


def test_the_log_has_what_the_caller_sent_and_what_was_looked_up(pair: Pair) -> None:
    proof = {"lakeloop-purpose": "proof"}
    for path, body in (FORMS["own"], FORMS["v1"], FORMS["v2"]):
        answer = pair.transformer.post(path, json=body, headers=proof).raise_for_status().json()
        rows = [pair.logged(id_) for id_ in without_ids(answer)]
        assert [json.loads(row["inputs"]) for row in rows] == ROWS
        assert {row["purpose"] for row in rows} == {"proof"}
    grpc = pair.stub.infer(inference(ROWS), metadata=tuple(TOKEN.items()))
    assert [json.loads(pair.logged(id_)["inputs"]) for id_ in prediction_ids(grpc)] == ROWS
    answer = pair.transformer.post("/predictions", json={"ids": ["2"]}).json()
    (row,) = [pair.logged(id_) for id_ in answer["prediction_ids"]]
    looked_up = {"id": "2", "features": EVERYONE["2"], "feature_snapshot_id": FEATURE_SNAPSHOT}
    assert json.loads(row["inputs"]) == looked_up
    assert (row["score"], row["decision"]) == (answer["scores"][0], answer["decisions"][0])


def test_the_transformer_says_which_version_answers_and_asks_for_the_token(pair: Pair) -> None:
    assert pair.transformer.get("/version").json() == pair.alone.get("/version").json()
    assert pair.transformer.get("/openapi.json").json() == pair.alone.get("/openapi.json").json()
    nobody = {"authorization": ""}
    assert pair.transformer.post("/predictions", json={"rows": ROWS}, headers=nobody).status_code == 401
    assert pair.predictor.get("/encoding", headers=nobody).status_code == 401
    assert pair.transformer.get("/encoding").status_code == 404
    assert 'lakeloop_server_total{model="fraud",server="transformer",version="7"} 1.0' in (
        pair.transformer.get("/metrics").text
    )


def test_many_rows_at_once_pass_and_too_many_are_refused(pair: Pair) -> None:
    many = {"rows": [ROWS[n % 3] for n in range(10_000)]}
    wanted, told = (
        c.post("/predictions", json=many).json()["scores"] for c in (pair.alone, pair.transformer)
    )
    assert told == wanted
    more = pair.transformer.post("/predictions", json={"rows": [*many["rows"], ROWS[0]]})
    assert more.status_code == 422


def test_a_transformer_loads_no_booster(pair: Pair) -> None:
    maps = Path(f"/proc/{pair.running.process.pid}/maps").read_text(encoding="utf-8")
    assert "libxgboost" not in maps


def ready(matrix: Any, said: bytes, shape: list[int] | None = None, **changed: Any) -> dict[str, Any]:
    """A request with ready features as any client of the protocol would write it."""
    identity = changed.pop("identity")
    raw = [np.asarray(matrix, "<f4").tobytes(), len(said).to_bytes(4, "little") + said]
    told = {"feature_hash": identity.feature_hash, "model_digest": identity.model_digest, "form": "rows"}
    inputs = [
        {"name": name, "datatype": type_, "shape": of, "parameters": {"binary_data_size": len(part)}}
        for name, type_, of, part in (
            ("features", "FP32", shape or list(np.shape(matrix)), raw[0]),
            ("request", "BYTES", [1], raw[1]),
        )
    ]
    head = json.dumps({"inputs": inputs, "parameters": told | changed}).encode()
    return {
        "content": head + b"".join(raw),
        "headers": {"inference-header-content-length": str(len(head))},
    }


SAID = json.dumps({"rows": ROWS[:1]}).encode()


@pytest.mark.parametrize(
    ("status", "problem", "asked"),
    [
        (409, "feature_hash ffff", (([[0, 1, 2]]), SAID, {"feature_hash": "ffff"})),
        (409, "model_digest None", (([[0, 1, 2]]), SAID, {"model_digest": None})),
        (422, "shape [rows, 3]", (([[0, 1]]), SAID, {})),
        (422, "shape [rows, 3]", (([[0, 1, 2]]), SAID, {"shape": [1, 3, 1]})),
        (422, "are not 12 bytes", (([[0, 1, 2]]), SAID, {"shape": [2, 3]})),
        (422, "request has 1 rows, features has 2", (([[0, 1, 2]] * 2), SAID, {})),
        (422, "the body is not JSON", (([[0, 1, 2]]), b"", {})),
        (422, "one key", (([[0, 1, 2]]), b"{}", {})),
        (422, "not JSON", (([[0, 1, 2]]), b"x", {"form": "ids"})),
        (422, "a list of what was looked up", (([[0, 1, 2]]), b"{}", {"form": "ids"})),
        (422, "form must be one of", (([[0, 1, 2]]), SAID, {"form": "xml"})),
        (422, "rows is empty", ((np.empty((0, 3))), SAID, {})),
    ],
)
def test_what_the_predictor_could_not_be_sure_of_or_not_log_is_refused(
    pair: Pair, status: int, problem: str, asked: tuple[Any, bytes, dict[str, Any]]
) -> None:
    identity = load(pair.folder).identity
    matrix, said, changed = asked
    request = ready(matrix, said, **{"identity": identity, **changed})
    answer = pair.predictor.post("/v2/models/fraud/infer", **request)
    assert answer.status_code == status, answer.text
    assert problem in answer.json()["error"]


@pytest.mark.parametrize("inputs", [None, [], 5, "ab", {"a": 1}, [1, 2], [{"name": "features"}], [{}, {}]])
def test_a_request_without_its_two_tensors_is_refused(pair: Pair, inputs: Any) -> None:
    identity = load(pair.folder).identity
    told = {"feature_hash": identity.feature_hash, "model_digest": identity.model_digest, "form": "rows"}
    content = json.dumps({"inputs": inputs, "parameters": told}).encode()
    headers = {"inference-header-content-length": str(len(content))}
    answer = pair.predictor.post("/v2/models/fraud/infer", content=content, headers=headers)
    assert (answer.status_code, "inputs must be" in answer.json()["error"]) == (422, True)


def test_ready_features_are_taken_only_behind_a_transformer(pair: Pair) -> None:
    asked = ready([[0.1, 3, 1]], SAID, identity=load(pair.folder).identity)
    assert pair.predictor.post("/v2/models/fraud/infer", **asked).status_code == 200
    refused = pair.alone.post("/v2/models/fraud/infer", **asked)
    assert (refused.status_code, "no transformer" in refused.json()["error"]) == (422, True)
    assert pair.alone.get("/encoding").status_code == 404


def test_a_predictor_that_is_away_is_one_clear_error_until_it_is_back(tmp_path: Path) -> None:
    folder = Path(model_folder(tmp_path / "m").model_folder)
    with predictor_process(folder, "--ready-features", scratch=tmp_path) as first:
        host = first.url.removeprefix("http://")
        port = host.partition(":")[2]
        with (
            transformer_process(host, scratch=tmp_path) as running,
            httpx.Client(base_url=running.url, trust_env=False, timeout=20) as caller,
        ):
            assert caller.post("/predictions", json={"rows": ROWS}).status_code == 200
            first.process.kill()
            first.process.wait(10)
            away = caller.post("/predictions", json={"rows": ROWS})
            told = {"error": "the predictor behind this transformer does not answer; try again"}
            assert (away.status_code, away.json(), away.headers["retry-after"]) == (503, told, "1")
            assert caller.get("/health/ready").status_code == 200
            assert caller.post("/predictions", json={"rows": [{}]}).status_code == 422
            other = Path(model_folder(tmp_path / "other", seed=1).model_folder)
            with predictor_process(other, "--ready-features", "--port", port, scratch=tmp_path):
                skewed = caller.post("/predictions", json={"rows": ROWS})
                assert (skewed.status_code, "model_digest" in skewed.json()["error"]) == (409, True)
            with predictor_process(folder, "--ready-features", "--port", port, scratch=tmp_path):
                assert caller.post("/predictions", json={"rows": ROWS}).status_code == 200


def test_a_transformer_that_is_started_first_waits_for_its_predictor(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(model_folder(tmp_path / "m").model_folder)
    with bind("127.0.0.1", 0) as free:
        port = str(free.getsockname()[1])
    said = list[str]()

    def waits() -> bool:
        said.append(capfd.readouterr().err)
        return "waiting for the predictor" in "".join(said)

    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        starting = thread.submit(
            stack.enter_context, transformer_process(f"127.0.0.1:{port}", scratch=tmp_path)
        )
        assert wait_until(waits, 60), said
        stack.enter_context(predictor_process(folder, "--ready-features", "--port", port, scratch=tmp_path))
        answer = httpx.post(f"{starting.result(60).url}/predict", json={"rows": ROWS}, trust_env=False)
    assert answer.json()["scores"] == load(folder).scores(ROWS)


def test_another_model_than_the_expected_one_is_waited_for_then_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = model_folder(tmp_path / "m", version="2")
    expected = folder.identity.model_copy(update={"version": "3"}).canonical_json()
    with predictor_process(Path(folder.model_folder), "--ready-features", scratch=tmp_path) as predictor:
        host = predictor.url.removeprefix("http://")
        with (
            pytest.raises((OSError, ValueError)),
            transformer_process(
                host, "--predictor-seconds", "1", scratch=tmp_path, environment={IDENTITY_VARIABLE: expected}
            ) as running,
        ):
            raise AssertionError(f"it answers at {running.url}")
    told = capfd.readouterr().err
    assert "another model answers: version is 2, expected 3" in told
    assert "error:" in told
