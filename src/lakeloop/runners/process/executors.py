"""Executors of a compiled pipeline, with what the platform document says about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeloop.runners.process import ir
from lakeloop.runners.process.placeholders import PlaceholderError, parse_argument, parse_text
from lakeloop.runners.process.reading import ReadingError, read_binding


def read_executor(
    label: str, spec: Mapping[str, Any], platform: Mapping[str, Any]
) -> ir.Container | ir.Importer:
    """A container or importer, with what the platform document says about it.

    Raises:
        ReadingError: names the field that cannot be read.
    """
    place = f"deploymentSpec.executors.{label}"
    try:
        if "importer" in spec:
            return _importer(spec["importer"])
        return _container(spec.get("container") or {}, platform, place)
    except PlaceholderError as error:
        raise ReadingError(place, str(error)) from None


def _importer(spec: Mapping[str, Any]) -> ir.Importer:
    uri = spec.get("artifactUri") or {}
    return ir.Importer(
        uri=parse_text(str(uri["constant"])) if "constant" in uri else None,
        uri_input=uri.get("runtimeParameter") or "",
        schema=dict(spec.get("typeSchema") or {}),
        metadata=dict(spec.get("metadata") or {}),
    )


def _container(spec: Mapping[str, Any], platform: Mapping[str, Any], place: str) -> ir.Container:
    if not spec.get("command"):
        raise ReadingError(
            f"{place}.container.command", "the command is missing; no image's entry point is used"
        )
    deadline = platform.get("activeDeadlineSeconds")
    return ir.Container(
        image=spec.get("image") or "",
        command=tuple(parse_argument(str(a)) for a in [*spec["command"], *(spec.get("args") or [])]),
        env={variable["name"]: str(variable.get("value") or "") for variable in spec.get("env") or []},
        timeout_seconds=float(deadline) if deadline and int(deadline) > 0 else None,
        environment_from=_environment_from(platform, place),
        spec=dict(spec),
    )


def _environment_from(platform: Mapping[str, Any], place: str) -> tuple[ir.EnvironmentFrom, ...]:
    found: list[ir.EnvironmentFrom] = []
    for one in platform.get("secretAsEnv") or []:
        variables = {pair["envVar"]: pair["secretKey"] for pair in one.get("keyToEnv") or []}
        name = _object_name(one, "secretName", place)
        found.append(ir.EnvironmentFrom("secret", name, variables, bool(one.get("optional"))))
    for one in platform.get("configMapAsEnv") or []:
        variables = {pair["envVar"]: pair["configMapKey"] for pair in one.get("keyToEnv") or []}
        name = _object_name(one, "configMapName", place)
        found.append(ir.EnvironmentFrom("config map", name, variables, bool(one.get("optional"))))
    return tuple(found)


def _object_name(spec: Mapping[str, Any], key: str, place: str) -> ir.ParameterBinding:
    if spec.get(f"{key}Parameter"):
        return read_binding(spec[f"{key}Parameter"], f"{place}.{key}Parameter")
    return ir.ParameterBinding(ir.Constant(spec.get(key) or ""))
