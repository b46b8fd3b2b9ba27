"""One call to API v2 through cmlapi: its answer as JSON values, or what went wrong, named.

The answer is read from the bytes that came, not from cmlapi's objects: an answer cut short gives an object full of
None there, which is not to be told from an empty list, and a status that the client's enum lacks gives no object
at all.
"""

from __future__ import annotations

import json
from typing import Any

from lakeloop.adapters.cai.connection import Connection, open_client
from lakeloop.domain.errors import LakeloopError

CONNECT_SECONDS = 10.0
BUSY, CONFLICT, NOT_FOUND, SERVER_ERROR = 429, 409, 404, 500
_FIXES = {
    400: "the workbench refuses the request: its words say what is wrong in it",
    401: "the API key is unknown or has expired: set a new one as CDSW_APIV2_KEY",
    403: "ask for the rights of a contributor to this project, or for a key with the audience that is needed",
    404: "see whether the project, model or job is still there: CDSW_PROJECT_ID names the project",
    409: "somebody else changes the same thing: run again",
    429: "the workbench is busy: run again later",
}


class CallError(LakeloopError):
    """A call that did not give its answer.

    Attributes:
        status: of HTTP; 0 where no whole answer came.
        unsure: whether the call may have had its effect all the same.
        gave_up: the platform itself stopped waiting for its own work, which goes on.
    """

    def __init__(self, call: str, cause: str, status: int = 0) -> None:
        fix = _FIXES.get(status, "see whether the workbench is up, then run again: what exists is found")
        told = f"HTTP {status}: {cause}" if status else cause
        super().__init__(f"{call} failed: {told}", where="Cloudera AI API v2", fix=fix)
        self.call, self.status = call, status
        self.unsure = status == 0 or status >= SERVER_ERROR or status == CONFLICT
        self.gave_up = status in {0, 504} or "deadline exceeded" in cause

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return self.status in {0, BUSY} or self.status >= SERVER_ERROR


class Calls:
    """Calls cmlapi's methods by name."""

    def __init__(self, where: Connection, call_seconds: float) -> None:
        self._where, self._seconds = where, call_seconds
        self._client: Any = None

    def once(self, method: str, *arguments: Any, **query: Any) -> dict[str, Any]:
        """The answer of one call.

        Args:
            method: of `CMLServiceApi`.
            arguments: positional, body first.
            query: query parameters.

        Raises:
            CallError: there is none.
            UserError: cmlapi is missing, or lacks the method or a field.
        """
        import urllib3

        client = self._open()
        client.api_client.last_response = None
        timeout = (min(CONNECT_SECONDS, self._seconds), self._seconds)
        try:
            getattr(client, method)(*arguments, **query, _request_timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            raise CallError(method, self._where.redacted(f"no answer: {_short(error)}")) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # cmlapi could not make its own object of the answer; the answer itself is what counts.
            if getattr(client.api_client, "last_response", None) is None:
                raise self._unusable(method, error) from error
        except Exception as error:
            if not hasattr(error, "status"):
                raise
            raise self._refused(method, error) from error
        return self._content(method, client.api_client.last_response)

    def message(self, name: str, fields: dict[str, Any]) -> Any:
        """A request's body, made by cmlapi's own class, which takes no field that the API lacks.

        Raises:
            LakeloopError: this workbench's client lacks a field.
        """
        self._open()
        import cmlapi

        try:
            return getattr(cmlapi, name)(**{k: v for k, v in fields.items() if v is not None})
        except (TypeError, AttributeError) as error:
            raise LakeloopError(
                f"this workbench's cmlapi cannot say {name}: {error}",
                where="Cloudera AI API v2",
                fix="install the client of this workbench, or leave out the key of deployment.cai that it lacks",
            ) from error

    def _open(self) -> Any:
        if self._client is None:
            self._client = open_client(self._where)
        return self._client

    def _content(self, method: str, response: Any) -> dict[str, Any]:
        data = getattr(response, "data", None)
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data or "")
        try:
            value = json.loads(text)
        except ValueError as error:
            raise CallError(method, f"the answer is no JSON ({len(text)} characters)") from error
        if not isinstance(value, dict):
            raise CallError(method, "the answer is no JSON object")
        return value

    def _refused(self, method: str, error: Any) -> CallError:
        text = (
            error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
        )
        try:
            said = json.loads(text)
            cause = str(said.get("message") or said.get("error") or text)
        except (ValueError, AttributeError):
            cause = text[:200] or str(error.reason)
        return CallError(method, self._where.redacted(cause), int(error.status or 0))

    def _unusable(self, method: str, error: Exception) -> LakeloopError:
        return LakeloopError(
            f"cmlapi cannot make the call {method}: {type(error).__name__}: {error}",
            where="Cloudera AI API v2",
            fix="install the client of this workbench: its /api/v2/python.tar.gz",
        )


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {str(reason).rsplit(': ', maxsplit=1)[-1]}"
