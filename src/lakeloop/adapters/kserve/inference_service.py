"""The InferenceService of one model version: a pure function of what is to be served.

Standard mode: a Deployment and a Service by KServe, no Knative, no ingress. Each version has an InferenceService
of its own, so that it starts, is proved and ends apart from every other.
"""

from __future__ import annotations

from typing import Any

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.model_servers import LISTENING, Server, component
from lakeloop.adapters.kserve.pods import disruption_budget, empty_folders, spread
from lakeloop.adapters.kserve.prediction_shipper import FOLDER, log_mount, shipper, shipper_volumes
from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.model_files import IDENTITY_VARIABLE
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Identity

Object = dict[str, Any]

_STORAGE_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_REGION")
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ONLINE_STORE = "LAKELOOP_ONLINE_STORE_URI"
"""A credential, too: its URI holds the password."""


class ServedVersion(Frozen):
    """All that the manifest depends on; `shipper_image` empty: predictions are not logged.

    With `transformer` the version is two servers: one makes features and answers callers, the other scores and logs.
    """

    endpoint: str
    namespace: str
    image: str
    model_uri: str
    identity: Identity
    pods: ModelPods = ModelPods()
    online_features: bool = False
    shipper_image: str = ""
    transformer: bool = False


def inference_service(version: ServedVersion) -> Object:
    """`serving.kserve.io/v1beta1` InferenceService with a custom predictor container, and a transformer's if asked for.

    Its name and the label `lakeloop.dev/handle` of its pods are the digest of what it specifies: model, identity,
    image, size. So another image for the same version is another candidate, which is proved like any other, and
    what rolled out is told from what was there before by a label, never by a condition.
    """
    parts = {"predictor": _predictor(version)}
    specified, length = canonical_json(parts["predictor"]), names.HANDLE_LENGTH
    if version.transformer:
        parts["transformer"] = _transformer(version)
        specified, length = canonical_json(parts), names.HANDLE_LENGTH_WITH_TRANSFORMER
    handle = sha256_hex(f"{version.endpoint}\n{specified}")[:length]
    for part, spec in parts.items():
        spec["labels"] = names.labels(version.endpoint, part, handle)
        spec["topologySpreadConstraints"] = spread(_match(handle, part if version.transformer else ""))
    scaled = version.pods.most > version.pods.replicas
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": names.model_name(version.endpoint, handle),
            "namespace": version.namespace,
            "labels": parts["predictor"]["labels"],
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "hpa" if scaled else "none",
            },
        },
        "spec": parts,
    }


def budgets(applied: Object) -> list[Object]:
    """Of a version with several pods: evicted one at a time. They go with its InferenceService, which owns them.

    Args:
        applied: the InferenceService as the cluster has it, with its uid.
    """
    if int(applied["spec"]["predictor"].get("minReplicas", 1)) < 2:  # noqa: PLR2004 - one pod is not spared
        return []
    if not has_transformer(applied):
        return [_budget(applied, "predictor", applied["metadata"]["name"], alone=True)]
    handle, endpoint = handle_in(applied), applied["metadata"]["labels"][names.ENDPOINT_LABEL]
    return [
        _budget(applied, "predictor", names.predictor_name(endpoint, handle)),
        _budget(applied, "transformer", names.transformer_name(endpoint, handle)),
    ]


def _budget(applied: Object, part: str, name: str, *, alone: bool = False) -> Object:
    metadata, handle = applied["metadata"], handle_in(applied)
    labels = names.labels(metadata["labels"][names.ENDPOINT_LABEL], part, handle)
    budget = disruption_budget(name, metadata["namespace"], labels, _match(handle, "" if alone else part))
    budget["metadata"]["ownerReferences"] = [
        {key: applied[key] for key in ("apiVersion", "kind")} | {k: metadata[k] for k in ("name", "uid")}
    ]
    return budget


def has_transformer(manifest: Object) -> bool:
    """Whether a transformer answers for the InferenceService's predictor."""
    return "transformer" in manifest["spec"]


def _match(handle: str, part: str) -> dict[str, str]:
    """Labels of a version's pods; of one part of it, where it has two."""
    return {names.HANDLE_LABEL: handle} | ({names.PART_LABEL: part} if part else {})


def handle_in(manifest: Object) -> str:
    """The handle of one of our InferenceServices; empty of another."""
    return str(manifest["metadata"].get("labels", {}).get(names.HANDLE_LABEL, ""))


def identity_in(manifest: Object) -> Identity:
    """Who the InferenceService's model is.

    Raises:
        ValueError: it is not one of ours.
    """
    for container in manifest["spec"]["predictor"]["containers"]:
        for variable in container.get("env", []):
            if variable["name"] == IDENTITY_VARIABLE:
                return Identity.model_validate_json(variable["value"])
    raise ValueError(f"InferenceService {manifest['metadata']['name']} tells no {IDENTITY_VARIABLE}")


def _predictor(version: ServedVersion) -> Object:
    folders = empty_folders(models="1Gi", tmp="256Mi")
    mounts, volumes, beside = folders["mounts"], folders["volumes"], dict[str, Any]()
    if version.shipper_image:
        mounts, volumes = [*mounts, log_mount()], [*volumes, *shipper_volumes()]
        beside = {"initContainers": [shipper(version.shipper_image)]}
    # Behind a transformer ids are looked up there; here come features that are ready.
    by_id = version.online_features and not version.transformer
    arguments = [
        *("--model-uri", version.model_uri),
        *("--model-folder", "/models/current"),
        *LISTENING,
        *(["--online-features"] if by_id else []),
        *(["--ready-features"] if version.transformer else []),
        *(["--prediction-log", FOLDER] if version.shipper_image else []),
    ]
    server = Server(
        "lakeloop.serving.predictor", arguments, _environment(version, by_id=by_id), mounts, version.image
    )
    return component(version.pods, server, volumes, beside)


def _transformer(version: ServedVersion) -> Object:
    """KServe adds the predictor's name, which has this manifest's digest in it, as `--predictor_host`.

    It asks the predictor how features are made, so it needs no model, and no credentials but the online store's.
    """
    folders = empty_folders(tmp="256Mi")
    arguments = [
        *("--model_name", version.identity.model_name),
        *LISTENING,
        # Twice the same: where KServe finds its own words, it adds no port of its own.
        *("--http_port", str(names.PORT)),
        *(["--online-features"] if version.online_features else []),
    ]
    store = (
        [_from("secretKeyRef", names.CREDENTIALS_SECRET, _ONLINE_STORE)] if version.online_features else []
    )
    server = Server(
        "lakeloop.serving.transformer",
        arguments,
        [*_told(version), *store],
        folders["mounts"],
        version.image,
    )
    return component(version.pods, server, folders["volumes"], {})


def _environment(version: ServedVersion, *, by_id: bool) -> list[Object]:
    storage = [
        _from("configMapKeyRef", names.SETTINGS_CONFIG_MAP, name, optional=True)
        for name in _STORAGE_VARIABLES
    ]
    wanted = (*_CREDENTIALS, _ONLINE_STORE) if by_id else _CREDENTIALS
    credentials = [_from("secretKeyRef", names.CREDENTIALS_SECRET, name) for name in wanted]
    return [*_told(version), *storage, *credentials]


def _told(version: ServedVersion) -> list[Object]:
    threads = [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "HOME", "value": "/tmp"}]  # noqa: S108
    return [{"name": IDENTITY_VARIABLE, "value": version.identity.canonical_json()}, *threads]


def _from(kind: str, source: str, key: str, *, optional: bool = False) -> Object:
    reference: Object = {"name": source, "key": key} | ({"optional": True} if optional else {})
    return {"name": key, "valueFrom": {kind: reference}}
