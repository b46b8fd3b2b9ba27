"""Ready features on their way, and what a transformer makes of its predictor's refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lakeloop.serving.api import Guards
from lakeloop.serving.feature_function import FeatureFunction
from lakeloop.serving.http import Refused, Tokens
from lakeloop.serving.listener import bind
from lakeloop.serving.model import ServedModel, load
from lakeloop.serving.prediction_log.segments import SegmentWriter
from lakeloop.serving.predictor import ready_features
from lakeloop.serving.predictor.answering import Predictor
from lakeloop.serving.predictor.app import build_app, http_api, metrics_of
from lakeloop.serving.predictor.batching import Scored, Sent
from lakeloop.serving.predictor.binary_tensors import split_body
from lakeloop.serving.predictor.protocols import Explanation
from lakeloop.serving.tracing import Tracing
from lakeloop.serving.transformer.meeting import _urls
from lakeloop.serving.transformer.predictor_behind import PredictorBehind
from tests.fakes.models import ROWS, candidate, encoding_of, model_folder
from tests.unit.serving.test_predictor_api import call

SECONDS = 20.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return load(Path(model_folder(tmp_path_factory.mktemp("model") / "m").model_folder))


@given(
    matrix=arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(3))),
    inputs=st.lists(
        st.dictionaries(st.text(), st.integers(-(2**63), 2**63 - 1) | st.none() | st.text()),
        min_size=5,
        max_size=5,
    ),
    proof=st.booleans(),
    explained=st.booleans(),
)
def test_what_the_transformer_sends_is_what_the_predictor_reads(
    model: ServedModel, matrix: Any, inputs: list[Any], proof: bool, explained: bool
) -> None:
    sent = Sent("ids", b"", "proof" if proof else "", inputs[: len(matrix)])
    body, length = ready_features.request_of(model.identity, matrix, sent, explained=explained)
    request, raw = split_body(body, b"%d" % length)
    assert ready_features.is_ready(request)
    read = ready_features.read(request, raw, model)
    assert np.array_equal(read.matrix, matrix, equal_nan=True)
    assert (read.sent, read.explained) == (sent, explained)


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=4), explained=st.booleans())
def test_what_the_predictor_answers_is_what_the_transformer_reads(
    model: ServedModel, scores: list[float], explained: bool
) -> None:
    names = model.encoding.names
    scored = Scored(scores, [f"{n}" for n in range(len(scores))])
    contributions = [{name: score + n for n, name in enumerate(names)} for score in scores]
    explanation = Explanation(scores, contributions) if explained else None
    answer = ready_features.answer({}, model.identity, scored, explanation)
    content = call_content(answer)
    assert ready_features.answered(content, names) == (scored, explanation)


def call_content(answer: dict[str, Any]) -> bytes:
    from lakeloop.serving.api import json_answer

    return json_answer(answer).content


def test_a_request_that_is_too_large_with_its_features_is_refused_before_it_is_sent(
    model: ServedModel,
) -> None:
    wide = np.zeros((10_000, 850), np.float32)
    with pytest.raises(Refused, match="send fewer rows") as refused:
        ready_features.request_of(model.identity, wide, Sent("rows", b"{}"), explained=False)
    assert refused.value.status == 413


def test_a_host_without_a_port_is_looked_for_where_kserve_s_services_have_it() -> None:
    assert _urls("m-predictor.ns") == ["http://m-predictor.ns:80", "http://m-predictor.ns:8080"]
    assert _urls("m-predictor.ns:8443") == ["http://m-predictor.ns:8443"]


@contextmanager
def served(app: Any, **options: Any) -> Iterator[str]:
    """The application behind a port, in a thread; its URL."""
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, **{"log_level": "warning", "lifespan": "off"} | options))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(SECONDS)


def transformer(url: str, model: ServedModel, guards: Guards | None = None, **changed: Any) -> Any:
    """The application of a transformer for the predictor at `url`."""
    identity = model.identity.model_copy(update=changed)
    tracing = guards.tracing if guards else None
    behind = PredictorBehind(url, identity, model.encoding.names, [], tracing)
    function = Predictor(FeatureFunction(model.encoding, identity), behind)
    return http_api(function, metrics_of(function, "transformer"), guards or Guards())


def test_a_predictor_of_other_definitions_is_a_conflict_not_a_score(model: ServedModel) -> None:
    with served(build_app(model, takes_ready=True)) as url:
        assert call(transformer(url, model), "POST", "/predict", json={"rows": ROWS}).status_code == 200
        for name in ("feature_hash", "model_digest"):
            skewed = call(transformer(url, model, **{name: "ffff"}), "POST", "/predict", json={"rows": ROWS})
            assert (skewed.status_code, f"{name} ffff" in skewed.json()["error"]) == (409, True)
        older = call(transformer(url, model, version="0"), "POST", "/predict", json={"rows": ROWS})
        assert (older.status_code, "refuses it (404)" in older.json()["error"]) == (503, True)


def test_a_refusal_that_is_about_the_transformer_is_not_the_caller_s_fault(model: ServedModel) -> None:
    guarded = build_app(model, takes_ready=True, guards=Guards(Tokens(["another"])))
    with served(guarded) as url:
        refused = call(transformer(url, model), "POST", "/predict", json={"rows": ROWS})
    assert (refused.status_code, "refuses it (401)" in refused.json()["error"]) == (503, True)


def test_what_cannot_be_logged_is_not_answered(model: ServedModel, tmp_path: Path) -> None:
    who = {"identity": model.identity.model_dump(mode="json"), "columns": model.encoding.source_columns}
    log = SegmentWriter(tmp_path / "log", who)
    (tmp_path / "log").rmdir()
    with served(build_app(model, log, takes_ready=True)) as url:
        refused = call(transformer(url, model), "POST", "/predict", json={"rows": ROWS})
    assert (refused.status_code, "log cannot be written" in refused.json()["error"]) == (503, True)


def test_an_answer_that_is_lost_on_its_way_is_asked_for_again(model: ServedModel) -> None:
    app, asked = build_app(model, takes_ready=True), list[str]()

    async def loses_the_first(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        if len(asked) == 1:
            raise ConnectionError
        await app(scope, receive, send)

    async def closes(scope: Any, receive: Any, send: Any) -> None:
        try:
            await loses_the_first(scope, receive, send)
        except ConnectionError:
            scope["extensions"]["test.close"]()

    with closing_server(closes) as url:
        answer = call(transformer(url, model), "POST", "/predict", json={"rows": ROWS})
    assert answer.json()["scores"] == model.scores(ROWS)
    assert len(asked) == 2


@contextmanager
def closing_server(app: Any) -> Iterator[str]:
    """As `served`, where a request may close its connection without an answer."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):
        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["extensions"] = {"test.close": self.transport.abort}

    with served(app, http=Protocol, log_level="critical") as url:
        yield url


def test_the_predictor_s_span_belongs_to_the_transformer_s(model: ServedModel) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    guards = Guards(tracing=Tracing(provider.get_tracer("test")))
    with served(build_app(model, takes_ready=True, guards=guards)) as url:
        call(transformer(url, model, guards), "POST", "/predict", json={"rows": ROWS})
    behind, front = spans.get_finished_spans()
    assert front.name == "POST /predict"
    assert behind.parent is not None
    assert behind.parent.span_id == front.context.span_id


def test_features_that_cannot_be_made_are_found_before_a_port_opens(tmp_path: Path) -> None:
    model_folder(tmp_path / "m")
    broken = FeatureFunction(encoding_of("nope + 1"), candidate(tmp_path / "m").identity)
    with pytest.raises(Exception, match="nope"):
        broken.matrices_of_nothing()
