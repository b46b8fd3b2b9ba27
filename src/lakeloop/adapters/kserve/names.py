"""Names, labels and ports of an endpoint's objects on a cluster."""

from __future__ import annotations

PORT = 8080
SERVICE_PORT = 80
GRPC_PORT = 8081
GRPC_PORT_NAME = "grpc-port"
"""By the word grpc in it, KServe gives the Service's port its protocol."""
SETTINGS_CONFIG_MAP = "lakeloop-settings"
CREDENTIALS_SECRET = "lakeloop-credentials"  # noqa: S105 - a Secret's name
ENDPOINT_SERVICE_ACCOUNT = "lakeloop-endpoint"
FIELD_MANAGER = "lakeloop"
SERVING_CONTAINER = "kserve-container"
"""Of predictor and transformer alike: KServe gives both this name."""
SHIPPER_CONTAINER = "prediction-log"

ENDPOINT_LABEL = "lakeloop.dev/endpoint"
HANDLE_LABEL = "lakeloop.dev/handle"
PART_LABEL = "app.kubernetes.io/component"

HANDLE_LENGTH = 20
HANDLE_LENGTH_WITH_TRANSFORMER = 18
_LONGEST_ENDPOINT = 32  # NAME-HANDLE-predictor and -transformer are Services of KServe: 63 characters at most


def model_name(endpoint: str, handle: str) -> str:
    """InferenceService of one version."""
    return f"{endpoint[:_LONGEST_ENDPOINT].rstrip('-')}-{handle}"


def predictor_name(endpoint: str, handle: str) -> str:
    """Deployment and Service that KServe makes for it in Standard mode."""
    return f"{model_name(endpoint, handle)}-predictor"


def transformer_name(endpoint: str, handle: str) -> str:
    """Deployment and Service that KServe makes for its transformer, where it has one."""
    return f"{model_name(endpoint, handle)}-transformer"


def gateway_name(endpoint: str) -> str:
    """Deployment and PodDisruptionBudget of the gateway; its Service has the endpoint's own name."""
    return f"{endpoint}-gateway"


def routes_name(endpoint: str) -> str:
    """ConfigMap with the endpoint's routes."""
    return f"{endpoint}-routes"


def labels(endpoint: str, part: str, handle: str = "") -> dict[str, str]:
    """What lakeloop's objects of an endpoint are found by; NetworkPolicies select by `part`, too."""
    own = {
        "app.kubernetes.io/name": "lakeloop",
        "app.kubernetes.io/part-of": "lakeloop",
        "app.kubernetes.io/managed-by": "lakeloop",
        ENDPOINT_LABEL: endpoint,
        PART_LABEL: part,
    }
    return own | ({HANDLE_LABEL: handle} if handle else {})
