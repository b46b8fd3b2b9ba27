"""The manifests as data: what a cluster would be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.gateway_objects import GatewayPlace, gateway_objects
from lakeloop.adapters.kserve.inference_service import (
    budgets,
    handle_in,
    identity_in,
    inference_service,
)
from lakeloop.domain.model_pods import ModelPods, amount
from scripts.endpoint_examples import IDENTITY, example_version


def test_another_image_size_model_or_endpoint_is_another_candidate_and_the_same_is_the_same() -> None:
    other = IDENTITY.model_copy(update={"version": "8"})
    asked = [
        example_version(),
        example_version(image="lakeloop/serve:0.1.1"),
        example_version(pods=ModelPods(memory_limit="2Gi")),
        example_version(identity=other),
        example_version(endpoint="card-fraud-2"),
        example_version(transformer=True),
        example_version(transformer=True, image="lakeloop/serve:0.1.1"),
        example_version(transformer=True, online_features=True),
    ]
    handles = [handle_in(inference_service(one)) for one in asked]
    assert len(set(handles)) == len(asked)
    assert handle_in(inference_service(example_version())) == handles[0]
    assert identity_in(inference_service(example_version(identity=other))) == other


@given(st.from_regex(r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?", fullmatch=True))
def test_every_name_that_an_endpoint_may_have_fits_into_the_names_that_kserve_makes_of_it(
    endpoint: str,
) -> None:
    made = inference_service(example_version(endpoint=endpoint))["metadata"]["name"]
    predictor = names.predictor_name(
        endpoint, handle_in(inference_service(example_version(endpoint=endpoint)))
    )
    assert predictor.startswith(made)
    assert len(predictor) <= 63
    handle = handle_in(inference_service(example_version(endpoint=endpoint, transformer=True)))
    assert len(names.predictor_name(endpoint, handle)) < len(names.transformer_name(endpoint, handle)) <= 63
    assert "--" not in made.removeprefix(endpoint)


def test_the_pods_meet_pod_security_restricted_and_hold_no_secret() -> None:
    parts = inference_service(example_version(transformer=True, online_features=True))["spec"]
    service, transformer = parts["predictor"], parts["transformer"]
    gateway = gateway_objects(GatewayPlace(endpoint="a", namespace="b", image="c"))[1]["spec"]["template"][
        "spec"
    ]
    for pod in (service, transformer, gateway):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert set(container["resources"]) == {"requests", "limits"}
            secret = [v for v in container["env"] if "SECRET" in v["name"] or "KEY" in v["name"]]
            assert all("value" not in variable for variable in secret)
    assert service["automountServiceAccountToken"] is transformer["automountServiceAccountToken"] is False


def test_a_predictor_s_log_is_shipped_by_a_container_that_outlives_it_and_alone_has_the_credentials() -> None:
    pod = inference_service(example_version(shipper_image="lakeloop/train:0.1.0"))["spec"]["predictor"]
    (beside,), (predictor,) = pod["initContainers"], pod["containers"]
    assert beside["restartPolicy"] == "Always"
    assert beside["securityContext"] == predictor["securityContext"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = [{m["name"]: m["mountPath"] for m in c["volumeMounts"]} for c in (beside, predictor)]
    assert mounts[0]["prediction-log"] == mounts[1]["prediction-log"]
    assert all(set(one) <= set(volumes) for one in mounts)
    assert "emptyDir" in volumes["prediction-log"]
    secret = {name for name, volume in volumes.items() if "secret" in volume}
    assert secret <= set(mounts[0])
    assert not secret & set(mounts[1])
    folder = beside["args"][beside["args"].index("--folder") + 1]
    assert predictor["args"][predictor["args"].index("--prediction-log") + 1] == folder
    assert folder == mounts[0]["prediction-log"]


def test_only_the_transformer_reaches_the_online_store_and_only_the_predictor_model_and_log() -> None:
    with_both = example_version(transformer=True, online_features=True, shipper_image="lakeloop/train:0.1.0")
    parts = inference_service(with_both)["spec"]
    (predictor,), (transformer,) = (parts[part]["containers"] for part in ("predictor", "transformer"))
    known = [{v["name"] for v in server["env"] if "valueFrom" in v} for server in (predictor, transformer)]
    assert known[0] == {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert known[1] == {"LAKELOOP_ONLINE_STORE_URI"}
    assert "initContainers" not in parts["transformer"]
    assert [volume["name"] for volume in parts["transformer"]["volumes"]] == ["tmp"]
    flags = [
        {word for word in server["args"] if word.startswith("--")} for server in (predictor, transformer)
    ]
    assert {"--ready-features", "--prediction-log"} <= flags[0]
    assert "--online-features" in flags[1] - flags[0]
    alike = (
        "image",
        "ports",
        "readinessProbe",
        "startupProbe",
        "livenessProbe",
        "resources",
        "securityContext",
    )
    assert [predictor[key] for key in alike] == [transformer[key] for key in alike]
    labels = [parts[part]["labels"] for part in ("predictor", "transformer")]
    assert [label[names.PART_LABEL] for label in labels] == ["predictor", "transformer"]
    assert len({label[names.HANDLE_LABEL] for label in labels}) == 1


def test_kserve_names_the_predictor_and_everything_else_is_said_in_its_words() -> None:
    """It adds `--predictor_host` of its own; `--model_name` and `--http_port` where they are missing."""
    (server,) = inference_service(example_version(transformer=True))["spec"]["transformer"]["containers"]
    words = server["args"]
    assert "--predictor_host" not in words
    assert words[words.index("--model_name") + 1] == IDENTITY.model_name
    assert words[words.index("--http_port") + 1] == words[words.index("--port") + 1] == "8080"


def test_more_replicas_at_most_than_at_least_ask_for_an_autoscaler() -> None:
    fixed, scaled = (
        inference_service(example_version(pods=ModelPods(replicas=2, max_replicas=most)))
        for most in (None, 5)
    )
    kind = "serving.kserve.io/autoscalerClass"
    assert fixed["metadata"]["annotations"][kind] == "none"
    assert (fixed["spec"]["predictor"]["minReplicas"], fixed["spec"]["predictor"]["maxReplicas"]) == (2, 2)
    assert scaled["metadata"]["annotations"][kind] == "hpa"
    assert scaled["spec"]["predictor"]["maxReplicas"] == 5


def test_several_pods_are_evicted_one_at_a_time_and_one_alone_holds_up_no_drain() -> None:
    def budget(replicas: int) -> Any:
        applied = inference_service(example_version(pods=ModelPods(replicas=replicas)))
        return budgets({**applied, "metadata": {**applied["metadata"], "uid": "u-1"}}), applied

    assert budget(1)[0] == []
    (made,), service = budget(2)
    assert made["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {names.HANDLE_LABEL: handle_in(service)}},
    }
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("InferenceService", "u-1")


@pytest.mark.parametrize(
    ("less", "more"), [("100m", "1"), ("0.05", "100m"), ("256Mi", "1Gi"), ("1G", "1Gi"), ("999", "1k")]
)
def test_quantities_are_compared_by_what_they_mean(less: str, more: str) -> None:
    assert amount(less) < amount(more)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"cpu": "2", "cpu_limit": "1500m"}, "cpu 2 is more than cpu_limit 1500m"),
        ({"memory": "2Gi"}, "memory 2Gi is more than memory_limit 1Gi"),
        ({"replicas": 3, "max_replicas": 2}, "max_replicas 2 is less than replicas 3"),
        ({"memory": "1 GB"}, "pattern"),
    ],
)
def test_sizes_that_a_cluster_would_refuse_are_refused_before(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ModelPods(**wrong)


def test_predictors_and_transformers_are_evicted_apart() -> None:
    two = inference_service(example_version(pods=ModelPods(replicas=2), transformer=True))
    made = budgets({**two, "metadata": {**two["metadata"], "uid": "u-1"}})
    labels = [two["spec"][part]["labels"] for part in ("predictor", "transformer")]
    for budget, mine, other in zip(made, labels, reversed(labels), strict=True):
        match = budget["spec"]["selector"]["matchLabels"].items()
        assert match <= mine.items()
        assert not match <= other.items()
    assert len({budget["metadata"]["name"] for budget in made}) == 2
