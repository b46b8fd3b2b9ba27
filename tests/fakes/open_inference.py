"""A caller of `inference.GRPCInferenceService` by plain gRPC, and predictors that answer it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from lakeloop.adapters.local.process import wait_until
from lakeloop.serving.api import Api, Guards, Limits
from lakeloop.serving.grpc_server import HEALTH, SERVICE, WithGrpc
from lakeloop.serving.listener import AsgiApp, address_of, reserve
from lakeloop.serving.model import load
from lakeloop.serving.prediction_log.segments import SegmentWriter
from lakeloop.serving.predictor.app import build_predictor, http_api, metrics_of
from lakeloop.serving.predictor.open_inference import open_inference_pb2 as messages
from lakeloop.serving.predictor.open_inference.methods import grpc_api
from lakeloop.serving.predictor.open_inference.server import Methods

SECONDS = 20.0
TYPES = {"amount": "FP64", "age": "INT32", "kind": "BYTES"}
"""Of the columns of `tests.fakes.models`."""
CONTENTS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT32": "int_contents",
    "BYTES": "bytes_contents",
}
UNKNOWN = {"FP64": float("nan"), "FP32": float("nan"), "INT32": 0, "BYTES": b""}


class Stub:
    """The service's methods over one connection."""

    def __init__(self, address: str) -> None:
        options = {"max_send_message_length": -1, "max_receive_message_length": -1, "enable_retries": 0}
        options["use_local_subchannel_pool"] = 1  # a connection of its own
        self.channel = grpc.insecure_channel(address, options=[(f"grpc.{k}", v) for k, v in options.items()])

    def call(self, method: str, request: Any = b"", **how: Any) -> Any:
        """The answer as a message of method METHOD; the request is a message or bytes."""
        answer = messages.__dict__.get(f"{method}Response")
        service = SERVICE
        if method == "Check":
            service, answer = HEALTH, health_pb2.HealthCheckResponse
        function = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda r: r if isinstance(r, bytes) else r.SerializeToString(),
            response_deserializer=answer.FromString if answer else None,
        )
        return function(request, timeout=SECONDS, **how)

    def infer(self, request: Any, **how: Any) -> Any:
        return self.call("ModelInfer", request, **how)

    def refused(self, method: str, request: Any = b"", **how: Any) -> tuple[str, str]:
        """Code and text of a call that must fail."""
        try:
            self.call(method, request, **how)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise AssertionError(f"{method} was answered")


def inference(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str] = TYPES, **more: Any) -> Any:
    """A ModelInferRequest of rows with columns of `types`; nulls as NaN, or by parameter `nulls`."""
    asked = messages.ModelInferRequest(**{"model_name": "fraud", **more})
    for name, type_ in types.items():
        values = [row[name] for row in rows]
        nulls = [index for index, value in enumerate(values) if value is None]
        values = [UNKNOWN[type_] if v is None else v.encode() if type_ == "BYTES" else v for v in values]
        tensor = asked.inputs.add(name=name, datatype=type_, shape=[len(rows)])
        getattr(tensor.contents, CONTENTS[type_]).extend(values)
        if nulls and not type_.startswith("FP"):
            tensor.parameters["nulls"].string_param = str(nulls)
    return asked


def scores(answer: Any) -> list[float]:
    return list(next(o for o in answer.outputs if o.name == "score").contents.fp64_contents)


def prediction_ids(answer: Any) -> list[str]:
    (output,) = [o for o in answer.outputs if o.name == "prediction_id"]
    return [told.decode() for told in output.contents.bytes_contents]


@dataclass(frozen=True)
class Running:
    """A predictor's process."""

    process: subprocess.Popen[bytes]
    url: str
    address: str
    """Of gRPC; empty: it has none."""


@contextmanager
def predictor_process(folder: Path, *options: str, scratch: Path) -> Iterator[Running]:
    """A predictor of a model folder as users start it."""
    words = ("lakeloop.serving.predictor", "--model-folder", str(folder), *options)
    with server_process(*words, port_file=scratch / "port.json") as running:
        yield running


@contextmanager
def transformer_process(
    predictor: str, *options: str, scratch: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A transformer for the predictor at `host:port`, with the arguments that KServe gives."""
    words = ("lakeloop.serving.transformer", "--predictor_host", predictor, *options)
    with server_process(*words, port_file=scratch / "transformer.json", environment=environment) as running:
        yield running


@contextmanager
def server_process(
    *words: str, port_file: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A server of ours, once it says where it listens."""
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", *words, "--port-file", str(port_file)]
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})})
    try:
        assert wait_until(lambda: port_file.exists() or process.poll() is not None, 60)
        told = json.loads(port_file.read_bytes())
        grpc_port = told.get("grpc_port")
        address = f"127.0.0.1:{grpc_port}" if grpc_port else ""
        yield Running(process, f"http://127.0.0.1:{told['port']}", address)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def grpc_serving(
    folder: Path,
    guards: Guards | None = None,
    log: SegmentWriter | None = None,
    at: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[tuple[Stub, Api]]:
    """The gRPC server of a model folder, in a thread; and the HTTP application beside it."""
    guards = guards or Guards()
    predictor = build_predictor(load(folder), log)
    metrics = metrics_of(predictor)
    http = http_api(predictor, metrics, guards)
    with methods_serving(http, Methods(grpc_api(predictor, metrics, guards)), guards.limits, at) as stub:
        yield stub, http


@contextmanager
def methods_serving(
    http: AsgiApp, methods: Any, limits: Limits, at: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[Stub]:
    """A gRPC server in a thread."""
    held, started, ended = reserve(*at), threading.Event(), asyncio.Event()
    both = WithGrpc(http, methods, address_of(held), limits, started.set)
    loop = asyncio.new_event_loop()

    async def live() -> None:
        told: list[str] = []

        async def receive() -> dict[str, str]:
            if told:
                await ended.wait()
                return {"type": "lifespan.shutdown"}
            return {"type": "lifespan.startup"}

        async def send(message: dict[str, str]) -> None:
            told.append(message["type"])

        await both({"type": "lifespan"}, receive, send)
        assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    try:
        assert started.wait(SECONDS)
        stub = Stub(address_of(held))
        yield stub
        stub.channel.close()
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(SECONDS)
        loop.close()
        held.close()
