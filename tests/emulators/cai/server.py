"""The emulator's HTTP side: routes by the description, checks, faults, and the model service."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.emulators.cai import client_package
from tests.emulators.cai.answers import as_message, oddly
from tests.emulators.cai.calls import Calls
from tests.emulators.cai.description import OPERATIONS, Operation, swagger
from tests.emulators.cai.errors import ApiError
from tests.emulators.cai.faults import Fault, Faults
from tests.emulators.cai.jobs import Jobs
from tests.emulators.cai.requests import check_body, check_query
from tests.emulators.cai.workbench import Workbench

MALFORMED = b'{"models": [{"id": "abc", "na'
HANG_SECONDS = 2.0
ODD_SECONDS = 0.01
MODEL_BYTES = 5 * 2**20


class Emulator:
    """A workbench on the loopback interface, in threads of this process.

    Attributes:
        calls: (operation, path parameters, query, body) of every call that the description knows, in order.
        refused: every request that carried something which the description lacks.
    """

    def __init__(
        self, workbench: Workbench, *, port: int = 0, environment_as_map: bool = False, odd: bool = False
    ) -> None:
        """A server of this workbench.

        Args:
            workbench: its state.
            port: 0 takes a free one.
            environment_as_map: answers have an object where the description says text.
            odd: slow answers, pages of two, fields that nobody has told of, null for an empty list.
        """
        self.workbench, self.faults = workbench, Faults()
        self.environment_as_map, self.odd = environment_as_map, odd
        self.hang_seconds = HANG_SECONDS
        self.calls: list[tuple[str, dict[str, str], dict[str, str], Any]] = []
        self.refused: list[str] = []
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.emulator = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.model_service_url = f"{self.url}/model"
        self.jobs = Jobs(workbench.project_folder, workbench.clock, workbench.durations, self.session())
        self._operations = Calls(workbench, self.jobs)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def session(self) -> dict[str, str]:
        """Variables that the platform sets in a session or job of the project."""
        return {
            "CDSW_API_URL": f"{self.url}/api/v1",
            "CDSW_APIV2_KEY": self.workbench.api_key,
            "CDSW_PROJECT_ID": self.workbench.project_id,
            "CDSW_PROJECT": "lakeloop",
            "CDSW_DOMAIN": self.url.removeprefix("http://"),
            "PROJECT_OWNER": "paul",
            "HADOOP_USER_NAME": "paul",
            "LAKELOOP_CAI_MODEL_SERVICE_URL": self.model_service_url,
            "LAKELOOP_CAI_MODEL_API_KEY": self.workbench.application_key,
        }

    def __enter__(self) -> Self:
        """Serve until the block ends."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server and all that runs in it."""
        self.jobs.close()
        self.workbench.close()
        self._server.shutdown()
        self._server.server_close()

    def count(self, operation: str) -> int:
        """How many calls of an operation came."""
        return sum(1 for call in self.calls if call[0] == operation)

    def route(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """The operation behind a path.

        Raises:
            ApiError: 404.
        """
        for operation in OPERATIONS:
            match = operation.pattern.match(path)
            if operation.method == method and match:
                return operation, match.groupdict()
        raise ApiError(404, f"{method} {path} is not in the API")

    def call(self, operation: Operation, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        """Check the request against the description, then do it."""
        self.calls.append((operation.id, path, query, body))
        try:
            check_query(operation, query)
            check_body(operation, body)
        except ApiError as error:
            self.refused.append(f"{operation.id}: {error.message}")
            raise
        return self.perform(operation, path, query, body)

    def perform(self, operation: Operation, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        """The effect, and the answer as the API writes it."""
        if self.odd:
            time.sleep(ODD_SECONDS)
            query = {**query, "page_size": "2"}
        with self.workbench.lock:
            found = self._operations.perform(operation, path, query, body or {})
            answer = as_message(operation.answers, found, environment_as_map=self.environment_as_map)
        return oddly(answer) if self.odd else answer

    def predict(self, body: dict[str, Any], key: str) -> Any:
        """One request to the model service."""
        with self.workbench.lock:
            found = self.workbench.serving(str(body.get("accessKey", "")))
            if found is None:
                raise ApiError(404, "model not found or not deployed")
            model, deployment = found
            if model["auth_enabled"] and key != f"Bearer {self.workbench.application_key}":
                raise ApiError(403, "User APikey not authorized to access model")
            replicas = self.workbench.replicas[deployment["id"]]
        return {
            "success": True,
            "response": replicas.ask(body.get("request", {})),
            "ReplicaID": deployment["id"],
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    emulator: Emulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """A read."""
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names of http.server

    def _answer(self) -> None:
        emulator = self.server.emulator
        url = urllib.parse.urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        if url.path in {"/api/v2/swagger.json", "/api/v2/python.tar.gz"}:
            document = url.path.endswith(".json")
            self._send(
                200, json.dumps(swagger()).encode() if document else client_package.archive().read_bytes()
            )
            return
        name = "Predict" if url.path == "/model" else ""
        try:
            operation = None
            path: dict[str, str] = {}
            if not name:
                operation, path = emulator.route(self.command, urllib.parse.unquote(url.path))
                name = operation.id
            fault = emulator.faults.of(name)
            if fault is not None:
                self._struck(fault, operation, path, url.query, content)
                return
            self._send(200, json.dumps(self._perform(operation, path, url.query, content)).encode())
        except ApiError as error:
            self._send(error.status, json.dumps(error.body()).encode())

    def _perform(
        self, operation: Operation | None, path: dict[str, str], query_text: str, content: bytes
    ) -> Any:
        emulator = self.server.emulator
        try:
            body = json.loads(content) if content else None
        except ValueError as error:
            raise ApiError(400, f"the body is no JSON: {error}") from error
        if operation is None:
            return self._predict(body or {}, query_text, len(content))
        if self.headers.get("authorization") != f"Bearer {emulator.workbench.api_key}":
            raise ApiError(401, "invalid API key")
        query = dict(urllib.parse.parse_qsl(query_text, keep_blank_values=True))
        return emulator.call(operation, path, query, body)

    def _predict(self, body: dict[str, Any], query_text: str, size: int) -> Any:
        if size > MODEL_BYTES:
            raise ApiError(413, "request entity too large")
        query = dict(urllib.parse.parse_qsl(query_text))
        try:
            return self.server.emulator.predict({**query, **body}, self.headers.get("authorization", ""))
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - a model's own failure is answered as such
            return {"success": False, "errors": [f"{type(error).__name__}: {error}"]}

    def _struck(
        self, fault: Fault, operation: Operation | None, path: dict[str, str], query: str, content: bytes
    ) -> None:
        if fault.effect:
            try:
                answer = json.dumps(self._perform(operation, path, query, content)).encode()
            except ApiError as error:
                self._send(error.status, json.dumps(error.body()).encode())
                return
        else:
            answer = b"{}"
        if fault.kind == "status":
            self._send(fault.status, json.dumps(ApiError(fault.status, fault.message).body()).encode())
        elif fault.kind == "malformed":
            self._send(200, MALFORMED if len(answer) < len(MALFORMED) else answer[: len(answer) // 2])
        else:
            if fault.kind == "timeout":
                time.sleep(self.server.emulator.hang_seconds)
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
