"""What callers of a model are answered: three protocols, by rows and by id.

A predictor and a transformer are the same but for who scores (`lakeloop.serving.predictor.scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson

from lakeloop.serving.api import Answer, Call, in_thread, json_answer
from lakeloop.serving.feature_function import FeatureFunction
from lakeloop.serving.http import Refused
from lakeloop.serving.predictor import binary_tensors, protocols, ready_features
from lakeloop.serving.predictor.batching import ROWS_IN_LOOP, Form, Scored, Sent
from lakeloop.serving.predictor.explaining import MAX_EXPLAINED_ROWS
from lakeloop.serving.predictor.lookup import MAX_IDS, FeatureLookup
from lakeloop.serving.predictor.protocols import Explanation
from lakeloop.serving.predictor.scoring import Scorer
from lakeloop.serving.rows import MAX_ROWS, InvalidRequest, counted, parse_json

_BYTES_IN_LOOP = 2**20


class Predictor:
    """Answers for one model; the model never changes while it runs."""

    def __init__(
        self,
        function: FeatureFunction,
        scorer: Scorer,
        *,
        lookup: FeatureLookup | None = None,
        takes_ready: bool = False,
    ) -> None:
        """For callers of a model.

        Args:
            function: rows -> features; its identity is what is answered at `/version`.
            scorer: features -> scores.
            lookup: ids -> features, where callers may send ids.
            takes_ready: whether a transformer may send features that are ready.
        """
        self._function, self._scorer, self._lookup = function, scorer, lookup
        self.columns: Mapping[str, str] = function.encoding.source_columns
        self.identity = function.identity
        self.by_id, self.takes_ready = lookup is not None, takes_ready

    @property
    def not_compiled(self) -> str:
        """Why DuckDB makes the features, which is slower; empty where it need not."""
        return self._function.not_compiled

    @property
    def encoding(self) -> dict[str, Any]:
        """What a transformer has to know."""
        return {
            "identity": self.identity.model_dump(mode="json"),
            "encoding": self._function.encoding.model_dump(mode="json"),
        }

    @property
    def server_metadata(self) -> dict[str, Any]:
        """Name, version and extensions, as the Open Inference Protocol has them."""
        return {"name": "lakeloop", "version": _version(), "extensions": [binary_tensors.EXTENSION]}

    @property
    def model_metadata(self) -> dict[str, Any]:
        """Inputs and outputs, as the Open Inference Protocol has them."""
        return protocols.v2_metadata(self.identity, self.columns)

    async def predict(self, call: Call) -> Answer:
        """Rows or ids -> scores, decisions, version, snapshot, prediction ids; `?explain=true`: TreeSHAP too."""
        request = parse_json(call.body)
        explained = bool(call.query) and _flag(call.query, "explain")
        if "ids" in request:
            ids = counted(request, "ids", MAX_IDS)
            scored, explanation = await self._scored_by_id(call, ids, explained=explained)
        else:
            rows = counted(request, "rows", MAX_EXPLAINED_ROWS if explained else MAX_ROWS)
            scored, explanation = await self._scored(call, "rows", rows, call.body, explained=explained)
        return Answer(orjson.dumps(protocols.own_answer(self.identity, scored, explanation)))

    async def predict_v1(self, call: Call) -> Answer:
        """KServe's v1 form."""
        _check_unexplained(call)
        rows = protocols.v1_rows(parse_json(call.body))
        scored, _ = await self._scored(call, "v1", rows, call.body)
        return json_answer(protocols.v1_answer(self.identity, scored))

    async def predict_v2(self, call: Call) -> Answer:
        """The Open Inference Protocol over REST; tensors may stand as bytes behind the JSON."""
        _check_unexplained(call)
        json_bytes = _header(call, binary_tensors.HEADER)
        if json_bytes is None:
            return json_answer(await self.infer(call, parse_json(call.body), call.body))
        request, raw = binary_tensors.split_body(call.body, json_bytes)
        if ready_features.is_ready(request):
            return json_answer(await self._infer_ready(call, request, raw))
        request = binary_tensors.with_tensors(request, raw)
        return json_answer(await self.infer(call, request, orjson.dumps(request)))

    async def infer(self, call: Call, request: dict[str, Any], body: bytes) -> dict[str, Any]:
        """The Open Inference Protocol, however it came.

        Args:
            call: it.
            request: in the REST form's JSON values, as is the answer.
            body: the same in bytes, for the log.

        Raises:
            InvalidRequest: the request cannot be answered.
            Refused: it is for another model, or the prediction cannot be logged.
        """
        if "model_name" in request:
            protocols.check_model(self.identity, request["model_name"])
        rows, outputs = protocols.v2_rows(request, self.columns), protocols.v2_outputs(request)
        protocols.check_datatypes(request)
        scored, _ = await self._scored(call, "v2", rows, body)
        return protocols.v2_answer(request, self.identity, scored, outputs)

    async def _infer_ready(self, call: Call, request: dict[str, Any], raw: bytes) -> dict[str, Any]:
        if not self.takes_ready:
            raise Refused(422, "no transformer stands before this server: send rows")
        if len(raw) > _BYTES_IN_LOOP:
            ready = await in_thread(ready_features.read, request, raw, self._function)
        else:
            ready = ready_features.read(request, raw, self._function)
        call.rows = len(ready.matrix)
        scored, explanation = await self._scorer.score(ready.matrix, ready.sent, explained=ready.explained)
        return ready_features.answer(request, self.identity, scored, explanation)

    async def _scored_by_id(
        self, call: Call, ids: list[Any], *, explained: bool
    ) -> tuple[Scored, Explanation | None]:
        if self._lookup is None:
            raise Refused(422, "this endpoint has no features to look up: send rows")
        call.rows = len(ids)
        matrix, inputs = await in_thread(self._lookup.matrix, ids)
        sent = Sent("ids", b"", _purpose(call), inputs)
        return await self._scorer.score(matrix, sent, explained=explained)

    async def _scored(
        self, call: Call, form: Form, rows: list[Any], body: bytes, *, explained: bool = False
    ) -> tuple[Scored, Explanation | None]:
        call.rows = len(rows)
        listed = form == "v1"
        if len(rows) > ROWS_IN_LOOP or self._function.compiled is None:
            matrix = await in_thread(partial(self._function.matrix, listed=listed), rows)
        else:
            matrix = self._function.matrix(rows, listed=listed)
        return await self._scorer.score(matrix, Sent(form, body, _purpose(call)), explained=explained)


def _purpose(call: Call) -> str:
    """`proof` where the caller says that nobody acts on the answer; the log keeps it."""
    return "proof" if _header(call, b"lakeloop-purpose") == b"proof" else ""


def _header(call: Call, name: bytes) -> bytes | None:
    return next((value for known, value in call.headers if known == name), None)


def _check_unexplained(call: Call) -> None:
    """KServe's forms have no place for an explanation; who asks for one is told, not passed over."""
    if call.query and b"explain" in call.query:
        raise InvalidRequest("this form has no explanations: POST /predictions?explain=true has")


def _flag(query: bytes, name: str) -> bool:
    """The one parameter that there is; a misspelt one is refused, not passed over."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if any(known != name or value not in {"true", "false"} for known, value in given) or len(given) > 1:
        raise InvalidRequest(f"the only parameter is {name}, which is true or false")
    return given == [(name, "true")]


def _version() -> str:
    from importlib.metadata import version

    return version("lakeloop")
