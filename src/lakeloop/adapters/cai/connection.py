"""Which workbench, which project, with which keys: from the variables of its sessions, or LAKELOOP_CAI_*."""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakeloop.domain.errors import UserError

PROJECT_FOLDER = Path("/home/cdsw")
_OUTSIDE = "run it in a session or job of the workbench, or set LAKELOOP_CAI_URL, LAKELOOP_CAI_PROJECT_ID"


@dataclass(frozen=True)
class Connection:
    """A workbench as this process reaches it. Keys never show in its text.

    Attributes:
        url: of the workbench, without a path.
        project_id: as API v2 names the project.
        model_service_url: where all models answer.
        project_folder: the project's files, where this process sees them; None outside.
        api_key: of API v2.
        model_key: with the audience Application, for models with authentication.
    """

    url: str
    project_id: str
    model_service_url: str
    project_folder: Path | None
    api_key: str = field(repr=False)
    model_key: str = field(repr=False)

    def redacted(self, text: str, *more: str) -> str:
        """The text without the keys, and without `more` of them."""
        for secret in (self.api_key, self.model_key, *more):
            text = text.replace(secret, "***") if secret else text
        return text


def connection() -> Connection:
    """The workbench that the environment names.

    Raises:
        UserError: it names none, or no key.
    """
    url = _first("LAKELOOP_CAI_URL") or _url_of_session()
    project = _first("LAKELOOP_CAI_PROJECT_ID", "CDSW_PROJECT_ID")
    key = _first("LAKELOOP_CAI_API_KEY", "CDSW_APIV2_KEY")
    missing = [
        name
        for name, value in (
            ("the workbench's URL", url),
            ("the project", project),
            ("an API v2 key (CDSW_APIV2_KEY)", key),
        )
        if not value
    ]
    if missing:
        raise UserError(f"not known: {', '.join(missing)}", where="Cloudera AI", fix=_OUTSIDE)
    folder = Path(_first("LAKELOOP_CAI_PROJECT_FOLDER") or PROJECT_FOLDER)
    inside = "CDSW_PROJECT_ID" in os.environ or "LAKELOOP_CAI_PROJECT_FOLDER" in os.environ
    return Connection(
        url=url.rstrip("/"),
        project_id=project,
        model_service_url=_first("LAKELOOP_CAI_MODEL_SERVICE_URL") or _model_service(url),
        project_folder=folder if inside and folder.is_dir() else None,
        api_key=key,
        model_key=_first("LAKELOOP_CAI_MODEL_API_KEY") or key,
    )


def open_client(where: Connection) -> Any:
    """`cmlapi.CMLServiceApi` of the workbench.

    Raises:
        UserError: `cmlapi` is not installed; shows the line that installs it.
    """
    try:
        import cmlapi
    except ImportError as error:
        raise UserError(
            "the workbench's client `cmlapi` is not installed",
            where="deployment.target: cai",
            fix=f"pip install {where.url}/api/v2/python.tar.gz",
        ) from error
    import logging

    # Its debug lines hold whole answers, access keys included.
    logging.getLogger("cmlapi").setLevel(logging.WARNING)
    logging.getLogger("cmlapi.rest").setLevel(logging.WARNING)
    client = cmlapi.default_client(url=where.url, cml_api_key=where.api_key)
    # Answers are read as JSON (see calls.py). Each object that the client would make of them sets its logging up
    # anew, with one more handler, so that a process which polls gets slower and slower.
    client.api_client.deserialize = lambda *_: None
    return client


def _first(*names: str) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _url_of_session() -> str:
    api = os.environ.get("CDSW_API_URL", "")
    if api:
        parts = urllib.parse.urlsplit(api)
        return f"{parts.scheme}://{parts.netloc}"
    domain = os.environ.get("CDSW_DOMAIN", "")
    return f"https://{domain}" if domain else ""


def _model_service(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://modelservice.{parts.netloc}/model"
