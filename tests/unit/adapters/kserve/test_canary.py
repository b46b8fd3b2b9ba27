"""Which way of splitting traffic a cluster has, by what it serves; and the manifest for it."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.adapters.kserve.canary import canary_service, inference_service_schema, split_of
from lakeloop.adapters.kserve.inference_service import inference_service
from lakeloop.domain.errors import UserError
from scripts.endpoint_examples import IDENTITY, example_version

NEW = example_version(identity=IDENTITY.model_copy(update={"version": "8"}))
OLD_SCHEMA = {"properties": {"spec": {"properties": {"predictor": {}, "transformer": {}}}}}
NEW_SCHEMA = {"properties": {"spec": {"properties": {"predictor": {}, "canary": {"type": "array"}}}}}


@pytest.mark.parametrize(
    ("schema", "groups", "split"),
    [
        (NEW_SCHEMA, {"gateway.networking.k8s.io"}, "spec.canary"),
        (NEW_SCHEMA, set(), "gateway"),
        (OLD_SCHEMA, {"gateway.networking.k8s.io"}, "gateway"),
        (OLD_SCHEMA, {"serving.knative.dev"}, "canaryTrafficPercent"),
        (NEW_SCHEMA, {"serving.knative.dev"}, "canaryTrafficPercent"),
        ({}, set(), "gateway"),
    ],
)
def test_what_a_cluster_can_do_is_read_from_what_it_serves(schema: Any, groups: set[str], split: str) -> None:
    assert split_of(schema, groups) == split


def test_the_schema_is_found_by_its_kind() -> None:
    kind = {"x-kubernetes-group-version-kind": [{"kind": "InferenceService"}]}
    openapi = {"components": {"schemas": {"a": {}, "b": {**kind, **NEW_SCHEMA}}}}
    assert split_of(inference_service_schema(openapi), {"gateway.networking.k8s.io"}) == "spec.canary"
    assert inference_service_schema({}) == {}


def test_both_versions_stand_in_the_standard_form_and_only_the_new_one_in_knatives() -> None:
    standard = canary_service(example_version(), NEW, 10, "spec.canary")
    (canary,) = standard["spec"]["canary"]
    assert standard["spec"]["predictor"] == inference_service(example_version())["spec"]["predictor"]
    assert canary["trafficPercent"] == 10
    assert canary["predictor"]["name"] == inference_service(NEW)["metadata"]["name"]
    knative = canary_service(example_version(), NEW, 10, "canaryTrafficPercent")
    assert knative["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert knative["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Knative"}
    assert "deploymentStrategy" not in knative["spec"]["predictor"]
    assert standard["metadata"]["name"] == knative["metadata"]["name"] == "card-fraud"


def test_a_cluster_without_a_split_and_a_share_that_is_none_are_refused() -> None:
    with pytest.raises(UserError, match="splits no traffic"):
        canary_service(example_version(), NEW, 10, "gateway")
    with pytest.raises(UserError, match="101 is no share"):
        canary_service(example_version(), NEW, 101, "spec.canary")
    with_transformer = example_version(transformer=True)
    with pytest.raises(UserError, match="not the transformers before them"):
        canary_service(with_transformer, NEW, 10, "spec.canary")
