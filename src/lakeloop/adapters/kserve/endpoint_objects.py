"""What an endpoint keeps on a cluster: routes, InferenceServices by content, and manifests of the kept ones."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.cluster import Cluster, poll
from lakeloop.adapters.kserve.gateway_objects import GatewayPlace, gateway_objects, routes_config_map
from lakeloop.adapters.kserve.inference_service import budgets, handle_in, has_transformer
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.routes import ROUTES_KEY, Routes

Object = dict[str, Any]

GONE_SECONDS = 120.0
_MANIFEST_KEY = "manifest.json"


class EndpointObjects:
    """One endpoint's objects in one namespace."""

    def __init__(self, cluster: Cluster, endpoint: str) -> None:
        self._cluster, self.endpoint = cluster, endpoint
        self._labels = {names.ENDPOINT_LABEL: endpoint}

    def routes(self) -> tuple[Routes, str | None]:
        """As last written, and their resourceVersion; empty and None before the first rollout.

        Raises:
            LakeloopError: they are damaged.
        """
        name = names.routes_name(self.endpoint)
        found = self._cluster.get("ConfigMap", name)
        if found is None:
            return Routes(), None
        try:
            routes = Routes.model_validate_json(found.get("data", {}).get(ROUTES_KEY, ""))
        except ValidationError as error:
            raise LakeloopError(
                f"damaged: {error}", where=f"ConfigMap {name}", fix="delete it and deploy again"
            ) from error
        return routes, str(found["metadata"]["resourceVersion"])

    def write_routes(self, routes: Routes, version: str | None) -> None:
        """Replace exactly the routes that were read.

        Raises:
            ConflictError: another rollout was faster.
        """
        self._cluster.write_once(
            routes_config_map(self.endpoint, self._cluster.namespace, routes, version=version)
        )

    def keep(self, manifest: Object) -> None:
        """Write down how the version is started, before it is: what a rollback needs."""
        labels = names.labels(self.endpoint, "kept", handle_in(manifest))
        metadata = {
            "name": manifest["metadata"]["name"],
            "namespace": self._cluster.namespace,
            "labels": labels,
        }
        data = {_MANIFEST_KEY: json.dumps(manifest)}
        self._cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def kept(self, handle: str) -> Object:
        """How the version is started.

        Raises:
            LakeloopError: it is not kept.
        """
        name = names.model_name(self.endpoint, handle)
        found = self._cluster.get("ConfigMap", name)
        if found is None:
            raise LakeloopError(
                "the version to go back to is not kept", where=f"ConfigMap {name}", fix="deploy it again"
            )
        manifest: Object = json.loads(found["data"][_MANIFEST_KEY])
        return manifest

    def forget(self, handle: str) -> None:
        """Remove what was kept of a version."""
        self._cluster.delete("ConfigMap", names.model_name(self.endpoint, handle))

    def forget_all_but(self, handles: Collection[str]) -> None:
        """Remove what was kept of other versions; they have ended."""
        kept = self._cluster.list("ConfigMap", self._labels | {names.PART_LABEL: "kept"})
        for handle in {handle_in(found) for found in kept} - set(handles):
            self.forget(handle)

    def model(self, handle: str) -> Object | None:
        """The version's InferenceService, unless it is on its way out."""
        found = self._cluster.get("InferenceService", names.model_name(self.endpoint, handle))
        return None if found is None or "deletionTimestamp" in found["metadata"] else found

    def handles(self) -> list[str]:
        """Of all InferenceServices, also of those on their way out."""
        return [handle_in(found) for found in self._cluster.list("InferenceService", self._labels)]

    def start_model(self, manifest: Object) -> None:
        """Apply the InferenceService, after one of the same name that is on its way out."""
        name = manifest["metadata"]["name"]
        found = self._cluster.get("InferenceService", name)
        if found is not None and "deletionTimestamp" in found["metadata"]:
            self._wait_gone("InferenceService", name)
        for budget in budgets(self._cluster.apply(manifest)):
            self._cluster.apply(budget)

    def stop_model(self, handle: str) -> bool:
        """Delete the InferenceService; its pods finish their requests. False where there was none."""
        return self._cluster.delete("InferenceService", names.model_name(self.endpoint, handle))

    def deployments(self, handle: str, model: Object | None) -> list[Object | None]:
        """Those that KServe makes for the version: predictor, and transformer; None where it has not yet."""
        wanted = [names.predictor_name(self.endpoint, handle)]
        if model is not None and has_transformer(model):
            wanted.append(names.transformer_name(self.endpoint, handle))
        return [self._cluster.get("Deployment", name) for name in wanted]

    def front_service(self, model: Object) -> Object | None:
        """The Service, made by KServe, of what answers callers of the version: its transformer, else its predictor."""
        name_of = names.transformer_name if has_transformer(model) else names.predictor_name
        return self._cluster.get("Service", name_of(self.endpoint, handle_in(model)))

    def pods(self, handle: str) -> list[Object]:
        """Pods of the version, predictors and transformers."""
        return self._cluster.list("Pod", {names.HANDLE_LABEL: handle})

    def start_gateway(self, place: GatewayPlace) -> None:
        """Apply the gateway's objects."""
        for manifest in gateway_objects(place):
            self._cluster.apply(manifest)

    def gateway_deployment(self) -> Object | None:
        """The gateway's Deployment."""
        return self._cluster.get("Deployment", names.gateway_name(self.endpoint))

    def gateway_pods(self) -> list[Object]:
        """Pods of the gateway."""
        return self._cluster.list("Pod", self._labels | {names.PART_LABEL: "gateway"})

    def service(self) -> Object | None:
        """The endpoint's stable Service."""
        return self._cluster.get("Service", self.endpoint)

    def stop(self) -> bool:
        """Delete gateway and InferenceServices and wait until they are gone; False where there was nothing."""
        parts = [
            ("Service", self.endpoint),
            ("Deployment", names.gateway_name(self.endpoint)),
            ("PodDisruptionBudget", names.gateway_name(self.endpoint)),
            *(("InferenceService", names.model_name(self.endpoint, handle)) for handle in self.handles()),
        ]
        found = [part for part in parts if self._cluster.delete(*part)]
        for kind, name in found:
            self._wait_gone(kind, name)
        return bool(found)

    def _wait_gone(self, kind: str, name: str) -> None:
        if not poll(lambda: self._cluster.get(kind, name) is None or None, GONE_SECONDS):
            raise LakeloopError(
                f"it was deleted {GONE_SECONDS:g} s ago and is still there",
                where=f"{kind} {name}",
                fix="see its finalizers and the controller of KServe",
            )
