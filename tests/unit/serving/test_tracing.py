"""Spans of calls, REST and gRPC: within the caller's trace, by route, without a value that a caller sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from lakeloop.serving.api import Guards
from lakeloop.serving.prediction_log.segments import SegmentWriter
from lakeloop.serving.tracing import Tracing, tracing_of
from tests.fakes.models import ROWS, model_folder
from tests.fakes.open_inference import grpc_serving, inference
from tests.unit.serving.test_predictor_api import call

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def guards(spans: InMemorySpanExporter) -> Guards:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Guards(tracing=Tracing(provider.get_tracer("test")))


def test_calls_by_rest_and_grpc_are_spans_of_the_caller_s_trace(
    tmp_path: Path, spans: InMemorySpanExporter, guards: Guards
) -> None:
    folder = Path(model_folder(tmp_path / "m").model_folder)
    with grpc_serving(folder, guards) as (stub, http):
        call(http, "POST", "/predict", json={"rows": ROWS}, headers={"traceparent": PARENT})
        stub.infer(inference(ROWS), metadata=(("traceparent", PARENT),))
        call(http, "GET", "/secret-name")
    by_rest, by_grpc, lost = spans.get_finished_spans()
    for span, path in ((by_rest, "/predict"), (by_grpc, INFER)):
        assert (span.name, f"{span.context.trace_id:032x}") == (f"POST {path}", TRACE)
        assert span.parent is not None
        assert dict(span.attributes or {}) == {
            "http.request.method": "POST",
            "http.route": path,
            "http.response.status_code": 200,
            "lakeloop.rows": len(ROWS),
        }
    assert lost.name == "GET other"
    assert "secret" not in lost.to_json()


def test_a_call_that_the_server_fails_is_an_error_of_its_span(
    tmp_path: Path, spans: InMemorySpanExporter, guards: Guards
) -> None:
    folder = Path(model_folder(tmp_path / "m").model_folder)
    writer = SegmentWriter(tmp_path / "log", {})
    (tmp_path / "log").rmdir()
    with grpc_serving(folder, guards, writer) as (stub, _):
        stub.refused("ModelInfer", inference(ROWS))
        stub.refused("ModelInfer", inference(ROWS, model_name="x"))
    failed, refused = spans.get_finished_spans()
    assert (failed.status.status_code, refused.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)


def test_without_a_collector_nothing_is_traced() -> None:
    assert tracing_of({}, "predictor", "1") is None
