"""Requests to a deployed model: the workbench's model service, with the model's access key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from lakeloop.adapters.cai.connection import Connection
from lakeloop.adapters.cai.patience import Patience
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Identity

ROW, PROOF_ROW, VERSION = "lakeloop_row", "lakeloop_proof_row", "version"
"""As in lakeloop.serving.workbench."""
ROWS_PER_REQUEST = 500
LOCAL_SECONDS = 120.0
ATTEMPTS = 4


@dataclass(frozen=True)
class Answers:
    """Who answers: its identity, with the XGBoost that it found, and the handle by which it was deployed."""

    identity: Identity
    handle: str


class NotAnsweredError(LakeloopError):
    """The model did not answer, for now at least."""


class ModelService:
    """What deployers ask of models: all answer on one URL, the access key says which is meant."""

    def __init__(self, where: Connection, patience: Patience) -> None:
        self._where, self._patience = where, patience

    @cached_property
    def _client(self) -> httpx.Client:
        # A connection a call: a replica that was replaced meanwhile is never asked through a dead one.
        loopback = httpx.URL(self.url).host in {"127.0.0.1", "localhost"}
        return httpx.Client(
            trust_env=not loopback,
            timeout=self._patience.call,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    @property
    def url(self) -> str:
        """Where models answer."""
        return self._where.model_service_url

    def who(self, access_key: str) -> Answers:
        """Who answers behind an access key.

        Raises:
            NotAnsweredError: nobody does.
        """
        records = self._once(access_key, [[VERSION]])
        try:
            (record,) = records
            return Answers(Identity.model_validate(record["identity"]), str(record["handle"]))
        except (ValueError, KeyError) as error:
            raise NotAnsweredError("the model does not say who it is", where=self.url) from error

    def records(self, access_key: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """A record a row; a busy or absent replica is asked again.

        Raises:
            NotAnsweredError: no answer after several attempts.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, len(rows), ROWS_PER_REQUEST):
            found += self._patiently(access_key, rows_data(rows[start : start + ROWS_PER_REQUEST]))
        return found

    def _patiently(self, access_key: str, data: list[list[str]]) -> list[dict[str, Any]]:
        for attempt in range(ATTEMPTS):
            self._patience.pause(attempt)
            try:
                return self._once(access_key, data)
            except NotAnsweredError:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _once(self, access_key: str, data: list[list[str]]) -> list[dict[str, Any]]:
        body = {"accessKey": access_key, "request": request_of(data, proof=True)}
        headers = {"authorization": f"Bearer {self._where.model_key}"}
        try:
            answer = self._client.post(self.url, json=body, headers=headers)
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NotAnsweredError(
                f"no answer of the model service: {type(error).__name__}", where=self.url
            ) from error
        if not answer.is_success:
            said = content.get("message") or content.get("error") if isinstance(content, dict) else ""
            told = self._where.redacted(str(said), access_key)
            raise NotAnsweredError(f"the model service answered {answer.status_code}: {told}", where=self.url)
        try:
            return records_of(content, self.url)
        except NotAnsweredError as error:
            raise NotAnsweredError(self._where.redacted(error.problem, access_key), where=self.url) from None


def rows_data(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Rows as cells of JSON text."""
    return [[json.dumps(row)] for row in rows]


def request_of(data: list[list[str]], *, proof: bool = False) -> dict[str, Any]:
    """A model's request; `proof` where no caller wants the answer."""
    return {"dataframe_split": {"columns": [PROOF_ROW if proof else ROW], "data": data}}


def records_of(content: Any, where: str) -> list[dict[str, Any]]:
    """Records in an answer, whichever way the platform wraps them.

    Raises:
        NotAnsweredError: the model failed, or there are none.
    """
    if isinstance(content, dict) and content.get("success") is False:
        raise NotAnsweredError(
            f"the model failed: {content.get('errors') or content.get('response')}", where=where
        )
    value = content.get("response") if isinstance(content, dict) else None
    for _ in range(4):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                break
        elif isinstance(value, dict):
            value = next((value[k] for k in ("prediction", "predictions", "response") if k in value), None)
        else:
            break
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise NotAnsweredError("the model's answer is none of lakeloop's", where=where)
    return value


def answer_of(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Records as the predictor of lakeloop answers.

    Raises:
        NotAnsweredError: a record is incomplete, or records are of several models.
    """
    try:
        versions = {(str(r["model_version"]), str(r["snapshot_id"])) for r in records}
        (said,) = versions
        scores = [float(r["score"]) for r in records]
        ids = [str(r["prediction_id"]) for r in records]
    except (KeyError, TypeError, ValueError) as error:
        raise NotAnsweredError(f"the model's answer is incomplete: {error}", where="model service") from error
    return {"scores": scores, "model_version": said[0], "snapshot_id": said[1], "prediction_ids": ids}


def answered_here(folder: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records of a serving folder in a process of this machine: what a build of it will answer.

    Raises:
        LakeloopError: it does not answer; in its own words.
    """
    command = [sys.executable, "-m", "lakeloop.serving.workbench", str(folder)]
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "PYTHONPATH", "HOME", "LD_LIBRARY_PATH"}}
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request_of(rows_data(rows))),
            capture_output=True,
            text=True,
            timeout=LOCAL_SECONDS,
            env=kept,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LakeloopError(f"no answer in {LOCAL_SECONDS:g} s", where=str(folder)) from error
    if done.returncode:
        raise LakeloopError(
            f"the model does not answer: {done.stderr.strip()[-500:]}", where=str(folder), fix="train again"
        )
    return records_of(json.loads(done.stdout.splitlines()[-1]), str(folder))
