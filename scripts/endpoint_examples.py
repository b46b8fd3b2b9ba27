"""Manifests of an example endpoint, as committed in tests/golden/endpoint_manifests and checked by its test."""

from __future__ import annotations

from typing import Any

from lakeloop.adapters.kserve.canary import canary_service
from lakeloop.adapters.kserve.gateway_objects import GatewayPlace, gateway_objects, routes_config_map
from lakeloop.adapters.kserve.inference_service import ServedVersion, inference_service
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Identity
from lakeloop.domain.routes import Backend, Routes

IDENTITY = Identity(
    model_name="card_fraud",
    version="7",
    model_digest="ab" * 32,
    run_key="0123456789abcdef0123",
    mlflow_run_id="4ad5de7e6ad04e1c8e3f2d1b0a9c8d7e",
    table="bank.transactions",
    from_snapshot_id=None,
    to_snapshot_id="3051729675574597004",
    feature_snapshot_id="4410985533172097713",
    feature_hash="0123456789abcdef",
    xgboost_version="3.2.0",
)


def example_version(**changed: Any) -> ServedVersion:
    """Version 7 of `card_fraud`, with what a test changes about it."""
    facts = {
        "endpoint": "card-fraud",
        "namespace": "lakeloop",
        "image": "lakeloop/serve:0.1.0",
        "model_uri": f"s3://lakeloop/models/{IDENTITY.model_digest}",
        "identity": IDENTITY,
    }
    return ServedVersion(**facts | changed)


def manifests() -> dict[str, Any]:
    """By file name."""
    gateway = GatewayPlace(endpoint="card-fraud", namespace="lakeloop", image="lakeloop/serve:0.1.0")
    newer = example_version(identity=IDENTITY.model_copy(update={"version": "8"}))
    live = Backend(handle="0" * 20, url="http://card-fraud-1-predictor.lakeloop.svc", version="7", weight=100)
    routes = Routes(generation=3, backends=(live,), live=live.handle)
    return {
        "inference_service": inference_service(example_version()),
        "inference_service_scaled": inference_service(
            example_version(pods=ModelPods(replicas=2, max_replicas=6, cpu="500m"))
        ),
        "inference_service_online": inference_service(example_version(online_features=True)),
        "inference_service_logged": inference_service(example_version(shipper_image="lakeloop/train:0.1.0")),
        "inference_service_transformer": inference_service(
            example_version(transformer=True, online_features=True, shipper_image="lakeloop/train:0.1.0")
        ),
        "gateway": gateway_objects(gateway),
        "canary_standard": canary_service(example_version(), newer, 10, "spec.canary"),
        "canary_knative": canary_service(example_version(), newer, 10, "canaryTrafficPercent"),
        "routes": routes_config_map("card-fraud", "lakeloop", routes, version="12345"),
    }
