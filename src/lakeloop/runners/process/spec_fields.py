"""Every field of the compiled format, and what this runner does with it.

Source: the messages of `ml_pipelines.PipelineSpec` (schema 2.1.0), `PlatformSpec` and
`kfp_kubernetes.KubernetesExecutorConfig`. A field that is not listed is refused: what the runner does not
know it cannot honour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Refused:
    """The field changes what a task does, and this runner cannot do it."""

    fix: str


@dataclass(frozen=True, slots=True)
class NotApplied:
    """The field makes no difference to results here; it is listed, not obeyed."""

    why: str


@dataclass(frozen=True, slots=True)
class RequiredRefused:
    """Objects of a cluster that a task may do without (`optional: true`): here they are absent, and that is honoured.

    One that the task requires is refused.
    """

    fix: str


@dataclass(frozen=True, slots=True)
class EachValue:
    """A map with free keys; the table describes each value."""

    table: Any


@dataclass(frozen=True, slots=True)
class EachItem:
    """A list; the table describes each element."""

    table: Any


HONOURED: Final = None

_ON_CLUSTER: Final = "run this pipeline on a cluster"
_NO_VOLUMES: Final = f"use an artifact, or an environment variable for a secret, or {_ON_CLUSTER}"
_PLACEMENT: Final = NotApplied("there is one machine")

_ARTIFACT_TYPE: Final = {
    "schemaTitle": HONOURED,
    "schemaUri": HONOURED,
    "instanceSchema": HONOURED,
    "schemaVersion": HONOURED,
}
_INPUT_PARAMETER: Final = {
    "parameterType": HONOURED,
    "defaultValue": HONOURED,
    "isOptional": HONOURED,
    "description": HONOURED,
    "literals": HONOURED,
    "type": Refused("compile with KFP SDK 2, which writes parameterType"),
}
_INPUT_ARTIFACT: Final = {
    "artifactType": _ARTIFACT_TYPE,
    "isArtifactList": HONOURED,
    "isOptional": HONOURED,
    "description": HONOURED,
}
_OUTPUT_PARAMETER: Final = {
    "parameterType": HONOURED,
    "description": HONOURED,
    "type": Refused("compile with KFP SDK 2, which writes parameterType"),
}
_OUTPUT_ARTIFACT: Final = {
    "artifactType": _ARTIFACT_TYPE,
    "isArtifactList": HONOURED,
    "description": HONOURED,
    "metadata": Refused("write the metadata in executor_output.json"),
    "properties": Refused("write the metadata in executor_output.json"),
    "customProperties": Refused("write the metadata in executor_output.json"),
}
_VALUE: Final = {
    "constant": HONOURED,
    "runtimeParameter": HONOURED,
    "constantValue": Refused("compile with KFP SDK 2, which writes constant"),
}
_PARAMETER_SOURCE: Final = {
    "taskOutputParameter": {"producerTask": HONOURED, "outputParameterKey": HONOURED},
    "runtimeValue": {
        "constant": HONOURED,
        "runtimeParameter": Refused("compile with KFP SDK 2, which writes componentInputParameter"),
    },
    "componentInputParameter": HONOURED,
    "taskFinalStatus": {"producerTask": HONOURED},
    "parameterExpressionSelector": HONOURED,
}
_ARTIFACT_SOURCE: Final = {
    "taskOutputArtifact": {"producerTask": HONOURED, "outputArtifactKey": HONOURED},
    "componentInputArtifact": HONOURED,
}
_TASK: Final = {
    "taskInfo": {"name": HONOURED},
    "inputs": {"parameters": EachValue(_PARAMETER_SOURCE), "artifacts": EachValue(_ARTIFACT_SOURCE)},
    "dependentTasks": HONOURED,
    "cachingOptions": {"enableCache": HONOURED, "cacheKey": HONOURED},
    "componentRef": {"name": HONOURED},
    "triggerPolicy": {"condition": HONOURED, "strategy": HONOURED},
    "artifactIterator": Refused(f"loop over a parameter, or {_ON_CLUSTER}"),
    "parameterIterator": {"items": {"raw": HONOURED, "inputParameter": HONOURED}, "itemInput": HONOURED},
    "retryPolicy": {
        "maxRetryCount": HONOURED,
        "backoffDuration": HONOURED,
        "backoffFactor": HONOURED,
        "backoffMaxDuration": HONOURED,
    },
    "iteratorPolicy": {"parallelismLimit": HONOURED},
}
_PARAMETER_SELECTOR: Final = {"producerSubtask": HONOURED, "outputParameterKey": HONOURED}
_ARTIFACT_SELECTOR: Final = {"producerSubtask": HONOURED, "outputArtifactKey": HONOURED}
_DAG: Final = {
    "tasks": EachValue(_TASK),
    "outputs": {
        "parameters": EachValue(
            {
                "valueFromParameter": _PARAMETER_SELECTOR,
                "valueFromOneof": {"parameterSelectors": EachItem(_PARAMETER_SELECTOR)},
            }
        ),
        "artifacts": EachValue({"artifactSelectors": EachItem(_ARTIFACT_SELECTOR)}),
    },
}
_COMPONENT: Final = {
    "inputDefinitions": {"parameters": EachValue(_INPUT_PARAMETER), "artifacts": EachValue(_INPUT_ARTIFACT)},
    "outputDefinitions": {
        "parameters": EachValue(_OUTPUT_PARAMETER),
        "artifacts": EachValue(_OUTPUT_ARTIFACT),
    },
    "dag": _DAG,
    "executorLabel": HONOURED,
    "singlePlatformSpecs": Refused(_ON_CLUSTER),
    "taskConfigPassthroughs": Refused(_ON_CLUSTER),
}
_RESOURCE: Final = NotApplied("processes share this machine")
_CONTAINER: Final = {
    "image": HONOURED,
    "command": HONOURED,
    "args": HONOURED,
    "env": EachItem({"name": HONOURED, "value": HONOURED}),
    "lifecycle": Refused("drop the pre-cache check"),
    "resources": {
        "cpuLimit": _RESOURCE,
        "memoryLimit": _RESOURCE,
        "cpuRequest": _RESOURCE,
        "memoryRequest": _RESOURCE,
        "resourceCpuLimit": _RESOURCE,
        "resourceMemoryLimit": _RESOURCE,
        "resourceCpuRequest": _RESOURCE,
        "resourceMemoryRequest": _RESOURCE,
        "accelerator": Refused(f"remove the accelerator, or {_ON_CLUSTER}"),
    },
}
_IMPORTER: Final = {
    "artifactUri": _VALUE,
    "typeSchema": _ARTIFACT_TYPE,
    "metadata": HONOURED,
    "reimport": NotApplied("an imported artifact is looked at in every run"),
    "properties": Refused("use metadata"),
    "customProperties": Refused("use metadata"),
    "downloadToWorkspace": Refused(f"import without a workspace, or {_ON_CLUSTER}"),
}
PIPELINE_FIELDS: Final[dict[str, Any]] = {
    "pipelineInfo": {"name": HONOURED, "displayName": HONOURED, "description": HONOURED},
    "deploymentSpec": {
        "executors": EachValue(
            {
                "container": _CONTAINER,
                "importer": _IMPORTER,
                "resolver": Refused(_ON_CLUSTER),
                "customJob": Refused(_ON_CLUSTER),
            }
        )
    },
    "sdkVersion": HONOURED,
    "schemaVersion": HONOURED,
    "components": EachValue(_COMPONENT),
    "root": _COMPONENT,
    "defaultPipelineRoot": NotApplied("outputs go to the run folder"),
}

_ENV_FROM: Final = {"optional": HONOURED, "keyToEnv": HONOURED}
_KUBERNETES_EXECUTOR: Final = {
    "activeDeadlineSeconds": HONOURED,
    "secretAsEnv": EachItem(_ENV_FROM | {"secretName": HONOURED, "secretNameParameter": _PARAMETER_SOURCE}),
    "configMapAsEnv": EachItem(
        _ENV_FROM | {"configMapName": HONOURED, "configMapNameParameter": _PARAMETER_SOURCE}
    ),
    "secretAsVolume": RequiredRefused(_NO_VOLUMES),
    "configMapAsVolume": RequiredRefused(_NO_VOLUMES),
    "pvcMount": Refused(_NO_VOLUMES),
    "genericEphemeralVolume": Refused(_NO_VOLUMES),
    "emptyDirMounts": Refused(_NO_VOLUMES),
    "fieldPathAsEnv": Refused(f"there is no pod: set the variable itself, or {_ON_CLUSTER}"),
    "enabledSharedMemory": NotApplied("a process has the machine's shared memory"),
    "nodeSelector": _PLACEMENT,
    "tolerations": _PLACEMENT,
    "nodeAffinity": _PLACEMENT,
    "podAffinity": _PLACEMENT,
    "podMetadata": NotApplied("there is no pod to label"),
    "imagePullSecret": NotApplied("no image is pulled"),
    "imagePullPolicy": NotApplied("no image is pulled"),
    "securityContext": NotApplied("a process runs as the user who started the run"),
}
PLATFORM_FIELDS: Final[dict[str, Any]] = {
    "platforms": {
        "kubernetes": {
            "platform": HONOURED,
            "config": Refused(_ON_CLUSTER),
            "deploymentSpec": {"executors": EachValue(_KUBERNETES_EXECUTOR)},
            "pipelineConfig": {
                "activeDeadlineSeconds": HONOURED,
                "resourceTtlOnCompletion": NotApplied("run folders are kept"),
                "resourceTtlOnSuccess": NotApplied("run folders are kept"),
                "resourceTtlOnFailure": NotApplied("run folders are kept"),
                "workspace": Refused(f"pass artifacts between tasks, or {_ON_CLUSTER}"),
            },
        }
    }
}
