"""The methods of `inference.GRPCInferenceService` as routes, and the health check that Kubernetes' probes call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from lakeloop.serving.api import Answer, Api, Call, Guards, Route
from lakeloop.serving.grpc_server import HEALTH, SERVICE
from lakeloop.serving.http import Refused
from lakeloop.serving.metrics import ServerMetrics
from lakeloop.serving.predictor.answering import Predictor
from lakeloop.serving.predictor.open_inference import open_inference_pb2 as messages
from lakeloop.serving.predictor.open_inference.tensors import v2_request, v2_response
from lakeloop.serving.predictor.protocols import check_model
from lakeloop.serving.rows import InvalidRequest

_NO_REPOSITORY = ("RepositoryModelLoad", "RepositoryModelUnload")
"""KServe's own additions to the service."""


def grpc_api(predictor: Predictor, metrics: ServerMetrics, guards: Guards) -> Api:
    """The service as an application: gRPC is POST to a path, with a serialized message each way."""
    routes = {f"/{SERVICE}/{name}": route for name, route in _inference(predictor).items()}
    routes |= {f"/{SERVICE}/{name}": Route(_no_repository) for name in _NO_REPOSITORY}
    routes[f"/{HEALTH}/Check"] = Route(_health, open=True)
    return Api({path: {"POST": route} for path, route in routes.items()}, metrics, guards)


def _inference(predictor: Predictor) -> Mapping[str, Route]:
    server, model = predictor.server_metadata, predictor.model_metadata
    told = {
        "ServerLive": messages.ServerLiveResponse(live=True),
        "ServerReady": messages.ServerReadyResponse(ready=True),
        "ServerMetadata": messages.ServerMetadataResponse(**server),
    }
    told_of_model = {
        "ModelReady": (messages.ModelReadyRequest, messages.ModelReadyResponse(ready=True)),
        "ModelMetadata": (messages.ModelMetadataRequest, messages.ModelMetadataResponse(**model)),
    }
    return {
        **{name: Route(_telling(answer), open=True) for name, answer in told.items()},
        **{
            name: Route(_telling_of_model(predictor, asked, answer), open=True)
            for name, (asked, answer) in told_of_model.items()
        },
        "ModelInfer": Route(_infer(predictor)),
    }


def _telling(answer: Any) -> Callable[[Call], Awaitable[Answer]]:
    content = answer.SerializeToString()

    async def tell(_: Call) -> Answer:
        return Answer(content)

    return tell


def _telling_of_model(predictor: Predictor, asked: Any, answer: Any) -> Callable[[Call], Awaitable[Answer]]:
    content = answer.SerializeToString()

    async def tell(call: Call) -> Answer:
        request = _parsed(asked, call.body)
        check_model(predictor.identity, request.name, request.version)
        return Answer(content)

    return tell


def _infer(predictor: Predictor) -> Callable[[Call], Awaitable[Answer]]:
    async def infer(call: Call) -> Answer:
        asked = _parsed(messages.ModelInferRequest, call.body)
        check_model(predictor.identity, asked.model_name, asked.model_version)
        request = v2_request(asked, predictor.columns)
        return Answer(v2_response(await predictor.infer(call, request, orjson.dumps(request))))

    return infer


async def _no_repository(_: Call) -> Answer:
    raise Refused(501, "this server has one model and loads no other: deploy a version instead")


async def _health(call: Call) -> Answer:
    """`SERVING` of the whole server ("") and of the service; another one is not known here."""
    if _parsed(health_pb2.HealthCheckRequest, call.body).service not in {"", SERVICE}:
        raise Refused(404, f"the services here are {SERVICE} and, for all of them, the empty name")
    return Answer(health_pb2.HealthCheckResponse(status="SERVING").SerializeToString())


def _parsed(message: Any, body: bytes) -> Any:
    try:
        return message.FromString(body)
    except DecodeError as error:
        raise InvalidRequest(f"the body is no {message.DESCRIPTOR.name}") from error
