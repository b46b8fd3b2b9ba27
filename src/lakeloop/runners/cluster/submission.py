"""What is submitted: the committed pipeline's arguments, checked against what it declares, and the run's name."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lakeloop.domain.base import canonical_json, sha256_hex
from lakeloop.domain.batch import BatchOptions
from lakeloop.domain.errors import UserError
from lakeloop.domain.remote_run import Submission
from lakeloop.domain.use_case import UseCase

KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
USE_CASE, BATCH_OPTIONS = "use_case", "batch_options"


def pipeline_inputs(path: Path) -> dict[str, bool]:
    """The parameters that a compiled pipeline declares -> whether one may leave them out.

    Args:
        path: a `pipeline.yaml`.
    """
    spec = next(iter(yaml.safe_load_all(path.read_text(encoding="utf-8"))))
    given = ((spec.get("root") or {}).get("inputDefinitions") or {}).get("parameters") or {}
    return {name: bool(one.get("isOptional") or "defaultValue" in one) for name, one in given.items()}


def content_digest(path: Path) -> str:
    """12 hex digits of what a compiled pipeline says, whichever SDK version wrote it.

    Args:
        path: a `pipeline.yaml`.
    """
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    documents[0].pop("sdkVersion", None)
    return sha256_hex(canonical_json(documents))[:12]


def given_parameters(texts: Iterable[str]) -> dict[str, str]:
    """`--set NAME=VALUE`, as a mapping.

    Raises:
        UserError: no `=`, or a name that comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError(f"{text!r} is not NAME=VALUE", where="--set", fix="write --set older_than=6h")
        if name.strip() in found:
            raise UserError(f"{name.strip()!r} comes twice", where="--set", fix="leave one out")
        found[name.strip()] = value
    return found


def pipeline_arguments(
    pipeline: str,
    inputs: Mapping[str, bool],
    use_case: UseCase,
    options: BatchOptions,
    given: Mapping[str, str],
) -> dict[str, str]:
    """The run's arguments: the use case as one JSON string, the batch's options, and what else the caller gives.

    Args:
        pipeline: its name, for messages.
        inputs: what it declares (`pipeline_inputs`).
        use_case: what to train.
        options: what the caller says of the batch.
        given: further parameters by name.

    Raises:
        UserError: the pipeline does not know a parameter, or lacks one.
    """
    where = f"pipeline {pipeline}"
    own = {USE_CASE: use_case.model_dump_json(), BATCH_OPTIONS: options.canonical_json()}
    if BATCH_OPTIONS not in inputs and options != BatchOptions():
        raise UserError(
            "it lands no batch", where=where, fix="leave --rows, --number, --plant and --no-batch out"
        )
    taken = sorted(set(given) & set(own))
    unknown = sorted(set(given) - set(inputs) - set(taken))
    if taken or unknown:
        settable = ", ".join(name for name in inputs if name not in own) or "none"
        raise UserError(
            f"no parameter to set: {', '.join(taken + unknown)}", where=where, fix=f"set: {settable}"
        )
    arguments = {name: value for name, value in (own | dict(given)).items() if name in inputs}
    missing = [name for name, optional in inputs.items() if not optional and name not in arguments]
    if missing:
        raise UserError(f"it needs {', '.join(missing)}", where=where, fix=f"add --set {missing[0]}=VALUE")
    return arguments


def submission(  # noqa: PLR0913 - one field each
    use_case: UseCase,
    pipeline: str,
    arguments: Mapping[str, str],
    *,
    key: str,
    keyed: bool,
    by: str,
    experiment: str = "",
) -> Submission:
    """The run to be started; of one use case, pipeline and key there is one run.

    Args:
        use_case: what to train.
        pipeline: folder of pipelines/.
        arguments: of the pipeline.
        key: tells this submission from others; the caller's own, or a fresh one.
        keyed: whether the key is the caller's own.
        by: who submits.
        experiment: default one for each use case.

    Raises:
        UserError: the key is no name.
    """
    if not KEY.match(key):
        raise UserError(
            f"{key!r} cannot be a key",
            where="--key",
            fix="use up to 100 letters, digits, dots, dashes, underscores",
        )
    return Submission(
        name=run_name(use_case.name, pipeline, key),
        experiment=experiment or f"lakeloop-{use_case.name}",
        pipeline=pipeline,
        arguments=dict(arguments),
        description=f"lakeloop submit by {by}",
        keyed=keyed,
    )


def fresh_key() -> str:
    """A key that nobody else has: the time, to the second and UTC, and six random hex digits."""
    return f"{datetime.now(tz=UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def run_name(use_case: str, pipeline: str, key: str) -> str:
    """The name under which the run is found again."""
    return f"{use_case}-{pipeline}-{key}"


def notes_for_a_cluster(use_case: UseCase, arguments: Mapping[str, Any]) -> list[str]:
    """What works on one machine, and hardly in a pod."""
    notes = []
    if use_case.deployment.target == "local" and BATCH_OPTIONS in arguments:
        notes.append(
            "deployment.target is local: on the cluster, LAKELOOP_DEPLOYMENT_TARGET has to say kserve or cai"
        )
    if use_case.source.kind == "files" and "://" not in use_case.source.path:
        notes.append(
            f"source.path {use_case.source.path} is a local path: pods see it only where it is mounted"
        )
    return notes
