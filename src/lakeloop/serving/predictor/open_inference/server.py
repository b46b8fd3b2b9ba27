"""A predictor's gRPC methods: each call goes through its application, as an HTTP request does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import orjson

from lakeloop.serving.api import Api
from lakeloop.serving.grpc_server import CODES, STATUS_KEY, the_message

_OK = 200


class Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Every method as bytes in, bytes out. As a stream of one message: the token is looked at before the message."""

    def __init__(self, service: Api) -> None:
        self._service = service

    def service(self, handler_call_details: Any) -> Any:
        """The method's handler; None, which gRPC answers UNIMPLEMENTED, where there is none."""
        path = handler_call_details.method
        if not self._service.knows(path):
            return None
        return grpc.stream_unary_rpc_method_handler(partial(self._answer, path))

    async def _answer(self, path: str, sent: AsyncIterator[bytes], context: Any) -> bytes:
        headers = [
            (k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in context.invocation_metadata()
        ]
        scope = {"method": "POST", "path": path, "query_string": b"", "headers": headers}
        answer = await self._service.answer(scope, partial(the_message, sent))
        if answer.status != _OK:
            code = CODES.get(answer.status, grpc.StatusCode.INTERNAL)
            told = ((STATUS_KEY, str(answer.status)),)
            await context.abort(code, orjson.loads(answer.content)["error"], told)
        return answer.content
