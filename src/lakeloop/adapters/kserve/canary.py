"""KServe's own ways to split traffic, where a cluster has one: which, and the manifest for it.

Standard mode without the Gateway API has none: `canaryTrafficPercent` is accepted and ignored there, and a KServe
before 0.20 drops `spec.canary` without a word. So what a cluster can do is read from the schema that it serves, never
from what it accepts; and lakeloop's own rollouts shift traffic in its gateway, which every cluster can run. These
manifests are for clusters whose callers come through KServe's ingress instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.inference_service import ServedVersion, handle_in, inference_service
from lakeloop.domain.errors import UserError

Object = dict[str, Any]
Split = Literal["spec.canary", "canaryTrafficPercent", "gateway"]

_KNATIVE_GROUP = "serving.knative.dev"
_INGRESS_GROUP = "gateway.networking.k8s.io"
_NOT_IN_KNATIVE = (
    "deploymentStrategy",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
    "securityContext",
)
"""Fields of a pod that a Knative Service refuses, unless its feature flags say otherwise."""


def split_of(schema: Mapping[str, Any], api_groups: Collection[str]) -> Split:
    """How this cluster splits traffic between versions.

    Args:
        schema: OpenAPI schema of InferenceService, as the cluster serves it.
        api_groups: names of the API groups that the cluster serves.
    """
    fields = schema.get("properties", {}).get("spec", {}).get("properties", {})
    if "canary" in fields and _INGRESS_GROUP in api_groups:
        return "spec.canary"
    if _KNATIVE_GROUP in api_groups:
        return "canaryTrafficPercent"
    return "gateway"


def inference_service_schema(openapi: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of InferenceService in the OpenAPI v3 document of `serving.kserve.io/v1beta1`."""
    for schema in openapi.get("components", {}).get("schemas", {}).values():
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        if any(kind.get("kind") == "InferenceService" for kind in kinds):
            found: Mapping[str, Any] = schema
            return found
    return {}


def canary_service(stable: ServedVersion, new: ServedVersion, percent: int, split: Split) -> Object:
    """One InferenceService, named by the endpoint, that gives `percent` of its traffic to the new version.

    With `spec.canary` both versions are in it; with Knative the new one, and KServe goes on with the revision that had
    all traffic last.

    Raises:
        UserError: this cluster has no such split, the share is not one, or a version has a transformer.
    """
    if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent
        raise UserError(f"{percent} is no share of 100", where="canary", fix="give 0 to 100")
    if stable.transformer or new.transformer:
        raise UserError(
            "KServe's own split shares out predictors, not the transformers before them",
            where="canary",
            fix="leave deployment.transformer out, or let the endpoint's gateway split the traffic",
        )
    if split == "spec.canary":
        canary = {"trafficPercent": percent, "predictor": _named_predictor(new)}
        return _service(stable, {"predictor": _predictor(stable), "canary": [canary]}, "Standard")
    if split == "canaryTrafficPercent":
        kept = {key: value for key, value in _predictor(new).items() if key not in _NOT_IN_KNATIVE}
        kept["containers"] = [_with_one_port(container) for container in kept["containers"]]
        return _service(new, {"predictor": {**kept, "canaryTrafficPercent": percent}}, "Knative")
    raise UserError(
        "this cluster's KServe splits no traffic",
        where="canary",
        fix="let the endpoint's gateway do it: lakeloop redeploys so by itself",
    )


def _with_one_port(container: Object) -> Object:
    """Knative's webhook refuses a second one, and this name: HTTP stays, gRPC is not reached there."""
    first = {key: value for key, value in container["ports"][0].items() if key != "name"}
    return {**container, "ports": [first]}


def _named_predictor(version: ServedVersion) -> Object:
    handle = handle_in(inference_service(version))
    return {**_predictor(version), "name": names.model_name(version.endpoint, handle)}


def _predictor(version: ServedVersion) -> Object:
    predictor: Object = inference_service(version)["spec"]["predictor"]
    return predictor


def _service(version: ServedVersion, spec: Object, mode: str) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": version.endpoint,
            "namespace": version.namespace,
            "labels": names.labels(version.endpoint, "predictor"),
            "annotations": {"serving.kserve.io/deploymentMode": mode},
        },
        "spec": spec,
    }
