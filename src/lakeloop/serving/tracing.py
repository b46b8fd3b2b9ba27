"""OpenTelemetry spans of calls, sent by OTLP over HTTP; off unless OTEL_EXPORTER_OTLP_ENDPOINT names a collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lakeloop.domain.errors import UserError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class CallSpan:
    """A call's span."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def ended(self, status: int, rows: int) -> None:
        """What became of it (OpenTelemetry's semantic conventions for HTTP)."""
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("lakeloop.rows", rows)
        if status >= 500:  # noqa: PLR2004 - HTTP's own boundary
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)


class Tracing:
    """Spans with the caller's trace as parent (W3C traceparent)."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, scope: Mapping[str, Any], path: str) -> Iterator[CallSpan]:
        """One call's span: method and route, no value that a caller sent."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        carrier = {
            k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"] if k.startswith(b"trace")
        }
        name = f"{scope['method']} {path or 'other'}"
        attributes = {"http.request.method": scope["method"], "http.route": path}
        with self._tracer.start_as_current_span(
            name, context=extract(carrier), kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            yield CallSpan(span)

    @staticmethod
    def onward() -> list[tuple[bytes, bytes]]:
        """Headers for a call that belongs to the span under way."""
        from opentelemetry.propagate import inject

        carrier: dict[str, str] = {}
        inject(carrier)
        return [(k.encode(), v.encode()) for k, v in carrier.items()]


def tracing_of(environment: Mapping[str, str], server: str, version: str) -> Tracing | None:
    """Spans where the environment names a collector, else None.

    Raises:
        UserError: a collector is named, but OpenTelemetry's libraries are not installed.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UserError(
            f"traces are asked for, but {error.name} is not installed",
            where=ENDPOINTS[0],
            fix="install lakeloop[trace], or unset the variable",
        ) from error
    resource = Resource.create({"service.name": f"lakeloop-{server}", "service.version": version})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider.get_tracer("lakeloop.serving"))
