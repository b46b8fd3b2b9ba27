"""The platform's description of its API (Swagger 2.0), written from its public facts: what a request may carry.

Messages and operations are tables; `swagger()` makes the document that the emulator serves, that `cmlapi` is
generated from, and that every request is checked against.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

VERSION = "26.06.13"

_MESSAGES = """
ShortUser: username name email
ShortProject: id name default_project_engine_type
DefaultResources: cpu:double memory:double nvidia_gpu:int32
DefaultReplicationPolicy: type num_replicas:int64
Tag: key value
ModelVersionMetadata: mlflow_metadata:MlflowMetadata
MlflowMetadata: experiment_id run_id artifact_uri
JobRecipient: email notify_on_success:bool notify_on_failure:bool notify_on_timeout:bool notify_on_stop:bool
protobufAny: type_url value
runtimeError: error code:int32 message details:[protobufAny]

Model: id name description creator:ShortUser access_key deletion_status created_at:time updated_at:time crn
  auth_enabled:bool project:ShortProject registered_model_id visibility default_resources:DefaultResources
  default_replication_policy:DefaultReplicationPolicy run_as:int32 accelerator_label_id:int64
  resource_group_id:int32 resource_profile_id:int32
CreateModelRequest: project_id name description disable_authentication:bool registered_model_id run_as:int32
  visibility auto_build_config:ShortCreateModelBuild auto_deployment_config:ShortCreateModelDeployment
  auto_build_model:bool auto_deploy_model:bool accelerator_label_id:int64 resource_group_id:int32
  resource_profile_id:int32
ShortCreateModelBuild: comment file_path function_name kernel runtime_identifier
  runtime_addon_identifiers:[string] registered_model_version_id
ShortCreateModelDeployment: cpu:double memory:double nvidia_gpus:int32 environment:map replicas:int32
ListModelsResponse: models:[Model] next_page_token
DeleteModelResponse:

ModelBuild: id model_id creator:ShortUser comment file_path function_name engine_image kernel created_at:time
  updated_at:time status deletion_status crn built_at:time runtime_identifier
  runtime_addon_identifiers:[string] registered_model_version_id model_root_dir build_script_path
CreateModelBuildRequest: project_id model_id comment file_path function_name kernel runtime_identifier
  runtime_addon_identifiers:[string] registered_model_version_id
  auto_deployment_config:ShortCreateModelDeployment auto_deploy_model:bool model_root_dir build_script_path
  accelerator_label_id:int64 resource_group_id:int32 resource_profile_id:int32
ListModelBuildsResponse: model_builds:[ModelBuild] next_page_token
DeleteModelBuildResponse:

ModelDeployment: project_id model_id build_id id cpu:double memory:double nvidia_gpu:int32 environment
  created_at:time updated_at:time stopped_at:time crn deployer:ShortUser status replicas:int32
  accelerator_label_id:int64 resource_group_id:int32 resource_profile_id:int32
CreateModelDeploymentRequest: project_id model_id build_id cpu:double memory:double nvidia_gpus:int32
  environment:map replicas:int32 accelerator_label_id:int64 resource_group_id:int32
  resource_profile_id:int32 deployment_secrets:map
ListModelDeploymentsResponse: model_deployments:[ModelDeployment] next_page_token

RegisteredModel: model_id name description owner:ShortUser permission visibility:Visibility created_at:time
  updated_at:time count:int32 model_versions:[RegisteredModelVersion] next_page_token
RegisteredModelDetails: model_id name description owner:ShortUser visibility:Visibility created_at:time
  updated_at:time count:int32
RegisteredModelVersion: model_id model_version_id version_name number:int32 notes user:ShortUser
  created_at:time updated_at:time status model_version_metadata:ModelVersionMetadata tags:[Tag] error_message
CreateRegisteredModelRequest: project_id experiment_id run_id model_path model_name tags:[Tag] description
  notes visibility:Visibility
ListRegisteredModelsResponse: models:[RegisteredModelDetails] next_page_token
DeleteRegisteredModelResponse:
DeleteRegisteredModelVersionResponse:

Job: id cpu:double created_at:time creator:ShortUser engine_image_id:int64 english_schedule arguments type
  kernel memory:double name parent_id paused:bool schedule script timeout:int64 timezone updated_at:time
  environment nvidia_gpu:int32 runtime_identifier runtime_addon_identifiers:[string] kill_on_timeout:bool
  project:ShortProject owner:ShortUser run_as:int32 accelerator_label_id:int64 retry_enabled:bool
  max_retry:int32 retry_delay:int32 retry_for_script_failure:bool retry_for_system_failure:bool
  retry_for_timedout_runs:bool retry_for_skipped_runs:bool recipients:[JobRecipient] attachments:[string]
  success_recipients failure_recipients timeout_recipients stopped_recipients resource_group_id:int32
  resource_profile_id:int32
CreateJobRequest: project_id name script cpu:double memory:double nvidia_gpu:int32 parent_job_id
  environment:map arguments timeout:int32 schedule kernel recipients:[JobRecipient] attachments:[string]
  runtime_identifier runtime_addon_identifiers:[string] kill_on_timeout:bool timezone paused:bool parent_id
  success_recipients failure_recipients timeout_recipients stopped_recipients run_as:int32
  accelerator_label_id:int64 retry_enabled:bool max_retry:int32 retry_delay:int32
  retry_for_script_failure:bool retry_for_system_failure:bool retry_for_timedout_runs:bool
  retry_for_skipped_runs:bool resource_group_id:int32 resource_profile_id:int32
ListJobsResponse: jobs:[Job] next_page_token
DeleteJobResponse:
JobRun: project_id job_id status:EngineStatus id created_at:time scheduling_at:time starting_at:time
  running_at:time finished_at:time kernel cpu:double memory:double nvidia_gpu:int32 arguments environment
  creator:ShortUser runtime_identifier resource_group_id:int32
CreateJobRunRequest: project_id job_id environment:map arguments
ListJobRunsResponse: job_runs:[JobRun] next_page_token

Runtime: image_identifier editor kernel edition description full_version status register_user_id:int32
ListRuntimesResponse: runtimes:[Runtime] next_page_token
Project: id name description creation_status created_at:time updated_at:time owner:ShortUser creator:ShortUser
ListProjectsResponse: projects:[Project] next_page_token
ValidateAPIv2KeyRequest: audience
ValidateAPIv2KeyResponse: valid:bool username message
"""

_ENUMS = {
    "Visibility": ["UNKNOWN_VISIBILITY", "PRIVATE", "PUBLIC"],
    "EngineStatus": [
        f"ENGINE_{name}"
        for name in (
            [
                "UNKNOWN",
                "SCHEDULING",
                "STARTING",
                "RUNNING",
                "STOPPING",
                "STOPPED",
                "SUCCEEDED",
                "FAILED",
                "TIMEDOUT",
                "SKIPPED",
            ]
        )
    ],
}

_MODEL_KEYS = "auth_enabled creator.email creator.name creator.username description name"
_BUILD_KEYS = "comment creator.email creator.name creator.username crn status"
_JOB_KEYS = "creator.email creator.name creator.username description kernel name paused script type"
_REGISTRY_SORT = (
    "created_at creator.email creator.name creator.username description kernel name script status updated_at"
)
_P, _M = "/api/v2/projects/{project_id}", "/api/v2/projects/{project_id}/models"
_B, _D = f"{_M}/{{model_id}}/builds", f"{_M}/{{model_id}}/builds/{{build_id}}/deployments"
_J, _R = f"{_P}/jobs", f"{_P}/jobs/{{job_id}}/runs"


@dataclass(frozen=True)
class Operation:
    """One row of the API: `filters` None where there is no search_filter, "" where any key goes."""

    id: str
    method: str
    path: str
    answers: str
    body: str = ""
    paged: bool = False
    filters: str | None = None
    sorts: str | None = None
    query: tuple[str, ...] = ()

    @property
    def pattern(self) -> re.Pattern[str]:
        """Of the path, with its parameters as groups (a dot in a name becomes an underscore)."""
        text = re.sub(r"\{([a-z_.]+)\}", lambda m: f"(?P<{m[1].replace('.', '_')}>[^/:]+)", self.path)
        return re.compile(text + r"\Z")


def _paged(
    id_: str, path: str, answers: str, filters: str | None = "", sorts: str | None = None
) -> Operation:
    return Operation(id_, "GET", path, answers, paged=True, filters=filters, sorts=sorts)


OPERATIONS = (
    _paged("ListProjects", "/api/v2/projects", "ListProjectsResponse", sorts="created_at name"),
    Operation("GetProject", "GET", _P, "Project"),
    _paged("ListAllModels", "/api/v2/models", "ListModelsResponse", ""),
    _paged("ListModels", _M, "ListModelsResponse", _MODEL_KEYS, f"{_MODEL_KEYS} created_at updated_at"),
    Operation("CreateModel", "POST", _M, "Model", "CreateModelRequest"),
    Operation("GetModel", "GET", f"{_M}/{{model_id}}", "Model"),
    Operation("DeleteModel", "DELETE", f"{_M}/{{model_id}}", "DeleteModelResponse"),
    _paged(
        "ListModelBuilds",
        _B,
        "ListModelBuildsResponse",
        _BUILD_KEYS,
        f"{_BUILD_KEYS} built_at created_at updated_at",
    ),
    Operation("CreateModelBuild", "POST", _B, "ModelBuild", "CreateModelBuildRequest"),
    Operation(
        "GetModelBuild", "GET", f"{_B}/{{build_id}}", "ModelBuild", query=("registered_model_version_id",)
    ),
    Operation("DeleteModelBuild", "DELETE", f"{_B}/{{build_id}}", "DeleteModelBuildResponse"),
    _paged("ListModelDeployments", _D, "ListModelDeploymentsResponse", "", ""),
    Operation("CreateModelDeployment", "POST", _D, "ModelDeployment", "CreateModelDeploymentRequest"),
    Operation("GetModelDeployment", "GET", f"{_D}/{{deployment_id}}", "ModelDeployment"),
    Operation("RestartModelDeployment", "POST", f"{_D}/{{deployment_id}}:restart", "ModelDeployment"),
    Operation("StopModelDeployment", "POST", f"{_D}/{{deployment_id}}:stop", "ModelDeployment"),
    _paged(
        "ListRegisteredModels", "/api/v2/registry/models", "ListRegisteredModelsResponse", "", _REGISTRY_SORT
    ),
    Operation(
        "CreateRegisteredModel",
        "POST",
        "/api/v2/registry/models",
        "RegisteredModel",
        "CreateRegisteredModelRequest",
    ),
    _paged("GetRegisteredModel", "/api/v2/registry/models/{model_id}", "RegisteredModel", "", _REGISTRY_SORT),
    Operation(
        "DeleteRegisteredModel",
        "DELETE",
        "/api/v2/registry/models/{model_id}",
        "DeleteRegisteredModelResponse",
    ),
    Operation(
        "GetRegisteredModelVersion",
        "GET",
        "/api/v2/registry/models/{model_id}/versions/{version_id}",
        "RegisteredModelVersion",
    ),
    Operation(
        "DeleteRegisteredModelVersion",
        "DELETE",
        "/api/v2/registry/models/{model_id}/versions/{version_id}",
        "DeleteRegisteredModelVersionResponse",
    ),
    _paged("ListAllJobs", "/api/v2/jobs", "ListJobsResponse", _JOB_KEYS),
    _paged("ListJobs", _J, "ListJobsResponse", _JOB_KEYS, f"{_JOB_KEYS} created_at updated_at"),
    Operation("CreateJob", "POST", _J, "Job", "CreateJobRequest"),
    Operation("UpdateJob", "PATCH", f"{_J}/{{job.id}}", "Job", "Job"),
    Operation("GetJob", "GET", f"{_J}/{{job_id}}", "Job"),
    Operation("DeleteJob", "DELETE", f"{_J}/{{job_id}}", "DeleteJobResponse"),
    _paged("ListJobRuns", _R, "ListJobRunsResponse", _JOB_KEYS, f"{_JOB_KEYS} created_at updated_at"),
    Operation("CreateJobRun", "POST", _R, "JobRun", "CreateJobRunRequest"),
    Operation("GetJobRun", "GET", f"{_R}/{{run_id}}", "JobRun"),
    Operation("StopJobRun", "POST", f"{_R}/{{run_id}}:stop", "JobRun"),
    _paged("ListRuntimes", "/api/v2/runtimes", "ListRuntimesResponse", "", "created_at"),
    Operation(
        "ValidateAPIv2Key",
        "POST",
        "/api/v2/auth/validate_key",
        "ValidateAPIv2KeyResponse",
        "ValidateAPIv2KeyRequest",
    ),
)

_SCALARS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
    "bool": {"type": "boolean", "format": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "string", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
}


def _type(name: str) -> dict[str, Any]:
    if name.startswith("["):
        return {"type": "array", "items": _type(name.strip("[]"))}
    return _SCALARS.get(name) or {"$ref": f"#/definitions/{name}"}


def messages() -> dict[str, dict[str, str]]:
    """Message -> field -> type, as in the table above."""
    found: dict[str, dict[str, str]] = {}
    for line in re.sub(r"\n  +", " ", _MESSAGES).strip().splitlines():
        if line.strip():
            name, _, fields = line.partition(":")
            parts = (field.partition(":") for field in fields.split())
            found[name] = {field: type_ or "string" for field, _, type_ in parts}
    return found


MESSAGES = messages()


def _definition(fields: dict[str, str]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: _type(type_) for name, type_ in fields.items()}}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "type": "string"}
        for name in re.findall(r"\{([a-z_.]+)\}", operation.path)
    ]
    if operation.body:
        schema = {"$ref": f"#/definitions/{operation.body}"}
        found.insert(0, {"name": "body", "in": "body", "required": True, "schema": schema})
    query = list(operation.query)
    if operation.filters is not None:
        query.append("search_filter")
    if operation.sorts is not None:
        query.append("sort")
    found += [{"name": name, "in": "query", "required": False, "type": "string"} for name in query]
    if operation.paged:
        found += [
            {"name": "page_size", "in": "query", "required": False, "type": "integer", "format": "int32"},
            {"name": "page_token", "in": "query", "required": False, "type": "string"},
        ]
    return found


def swagger() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        answers = {"description": "A successful response.", "schema": _type(operation.answers)}
        error = {"description": "An unexpected error response.", "schema": _type("runtimeError")}
        paths.setdefault(operation.path, {})[operation.method.lower()] = {
            "operationId": operation.id,
            "responses": {"200": answers, "default": error},
            "parameters": _parameters(operation),
            "tags": ["CMLService"],
        }
    definitions = {name: _definition(fields) for name, fields in MESSAGES.items()}
    definitions |= {n: {"type": "string", "enum": v, "default": v[0]} for n, v in _ENUMS.items()}
    return {
        "swagger": "2.0",
        "info": {"title": "mlapiv2/api.proto", "version": VERSION},
        "schemes": ["https", "http"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {
            "BearerAuth": {"type": "apiKey", "name": "authorization", "in": "header"},
        },
        "security": [{"BearerAuth": []}],
    }
