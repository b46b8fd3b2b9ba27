"""Whatever cannot be honoured is refused before anything starts, with its place and what to do."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakeloop.domain.errors import UserError
from lakeloop.runners.process import run_pipeline
from lakeloop.runners.process.events import RunStarted
from lakeloop.runners.process.loading import load_pipeline, read_pipeline
from tests.unit.runners.conftest import GOLDEN, Runs


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text()))


def refusal(changed: list[Any]) -> str:
    with pytest.raises(UserError) as caught:
        read_pipeline(changed, "here.yaml")
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_accelerators_and_claims_are_refused_with_task_and_field(runs: Runs) -> None:
    with pytest.raises(UserError) as caught:
        runs.run("unsupported")
    text = str(caught.value)
    assert "task say: deploymentSpec.executors.exec-say.container.resources.accelerator" in text
    assert "task say: platforms.kubernetes.deploymentSpec.executors.exec-say.pvcMount" in text
    assert "run this pipeline on a cluster" in text
    assert not (runs.folder / "runs").exists()


def test_what_makes_no_difference_is_listed(runs: Runs) -> None:
    assert runs.run("not-applied").state == "succeeded"
    listed = "\n".join(runs.of(RunStarted)[0].not_applied)
    for field in (
        "resourceCpuLimit",
        "resourceMemoryRequest",
        "podMetadata",
        "nodeSelector",
        "imagePullPolicy",
    ):
        assert field in listed


def test_references_that_the_compiler_left_unwired_are_found() -> None:
    with pytest.raises(UserError, match=r"pass a loop item as an input of its own"):
        load_pipeline(GOLDEN / "unwired.yaml")


def set_at(path: str, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *parents, last = path.split("/")
        for key in parents:
            document = document[key]
        document[last] = value

    return change


SAY = "components/comp-say"
EXECUTOR = "deploymentSpec/executors/exec-say/container"
TASK = "components/comp-exit-handler-1/dag/tasks/say"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at(f"{TASK}/futureField", 1), r"tasks\.say\.futureField: unknown field"),
        (
            set_at(f"{SAY}/outputDefinitions/parameters/said/parameterType", "BYTES"),
            "type BYTES is not supported",
        ),
        (
            set_at(f"{SAY}/outputDefinitions/parameters", {False: {"parameterType": "STRING"}}),
            "YAML 1.1 reads n, y",
        ),
        (
            set_at(f"{SAY}/outputDefinitions/parameters", {"../x": {"parameterType": "STRING"}}),
            "not fit for a folder",
        ),
        (set_at(f"{EXECUTOR}/command", []), "the command is missing"),
        (set_at(f"{EXECUTOR}/args", ["{{$.inputs.secrets['x']}}"]), "unknown placeholder"),
        (
            set_at(f"{EXECUTOR}/args", ["{{$.inputs.parameters['other']}}"]),
            "names nothing that comp-say declares",
        ),
        (set_at(f"{EXECUTOR}/args", ["{{$.workspace_path}}"]), "unknown placeholder"),
        (set_at(f"{EXECUTOR}/lifecycle", {}), "drop the pre-cache check"),
        (set_at("deploymentSpec/executors/exec-say", {"customJob": {}}), "cannot honour it"),
        (set_at(f"{TASK}/triggerPolicy", {"condition": "size('a') == 1"}), "cannot read|expected"),
        (
            set_at(f"{TASK}/triggerPolicy", {"condition": "inputs.parameter_values['x'] == 1"}),
            "'x' is no input of the task",
        ),
        (set_at(f"{TASK}/triggerPolicy", {"strategy": "SOME"}), "unknown strategy SOME"),
        (set_at(f"{TASK}/artifactIterator", {}), "loop over a parameter"),
        (set_at(f"{TASK}/inputs", {}), "input 'text' of comp-say gets no value"),
        (set_at(f"{TASK}/componentRef/name", "comp-gone"), "component 'comp-gone' does not exist"),
        (set_at(f"{TASK}/dependentTasks", ["say"]), "depend on each other in a circle"),
        (set_at(f"{TASK}/dependentTasks", ["gone"]), "task 'gone' does not exist"),
        (set_at(f"{TASK}/retryPolicy", {"maxRetryCount": 1, "backoffDuration": "soon"}), "not a duration"),
        (
            set_at("root/dag/tasks/exit-handler-1/retryPolicy", {"maxRetryCount": 1}),
            "group of tasks cannot be retried",
        ),
        (set_at("schemaVersion", "2.2.0"), "schemaVersion 2.2.0 is not 2.1.0"),
        (set_at("deploymentSpec", 7), "a mapping is expected"),
    ],
)
def test_each_broken_pipeline_names_its_place(change: Callable[[Any], None], message: str) -> None:
    changed = copy.deepcopy(documents("exit-handler-good"))
    change(changed[0])
    assert re.search(message, refusal(changed))


def test_an_optional_input_without_a_value_needs_a_guard() -> None:
    changed = documents("exit-handler-good")
    changed[0]["components"]["comp-say"]["inputDefinitions"]["parameters"]["text"] = {
        "parameterType": "STRING",
        "isOptional": True,
    }
    assert "wrap it in IfPresentPlaceholder" in refusal(changed)


def test_components_may_not_contain_themselves() -> None:
    changed = documents("exit-handler-good")
    tasks = changed[0]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    tasks["again"] = {"componentRef": {"name": "comp-exit-handler-1"}}
    assert "components contain each other" in refusal(changed)


@pytest.mark.parametrize("field", ["secretAsVolume", "emptyDirMounts", "fieldPathAsEnv", "madeUpField"])
def test_platform_fields_that_change_a_task_are_refused(field: str) -> None:
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-say": {field: []}}}}}}
    assert f"task say: platforms.kubernetes.deploymentSpec.executors.exec-say.{field}" in refusal(
        [*documents("exit-handler-good"), platform]
    )


def mounted(*, optional: bool) -> dict[str, Any]:
    mount = {
        "configMapName": "lakeloop-settings",
        "mountPath": "/etc/lakeloop/settings",
        "optional": optional,
    }
    executor = {"configMapAsVolume": [mount], "podMetadata": {"labels": {"a": "b"}}}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-say": executor}}}}}


def test_an_optional_mount_is_absent_here_as_in_a_cluster_without_it() -> None:
    pipeline = read_pipeline([*documents("exit-handler-good"), mounted(optional=True)], "x")
    assert not [line for line in pipeline.not_applied if "configMap" in line]


def test_a_mount_that_a_task_requires_is_refused() -> None:
    assert "unless it is optional" in refusal([*documents("exit-handler-good"), mounted(optional=False)])


def test_a_workspace_is_refused() -> None:
    platform = {"platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Gi"}}}}}
    assert "pipelineConfig.workspace" in refusal([*documents("exit-handler-good"), platform])


@pytest.mark.parametrize("text", ["", "a: [", "a: 1", "- 1", "a: 1\n---\nb: 1\n---\nc: 1"])
def test_other_files_are_no_pipelines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"pipeline.yaml"):
        load_pipeline(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.yaml: the pipeline cannot be read -> No such file"):
        load_pipeline(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "argument 'count' is missing; argument 'score' is missing"),
        ({"score": 1, "count": 1, "scroe": 1}, "unknown argument 'scroe'"),
        ({"score": "high", "count": 1}, "argument 'score': expected NUMBER_DOUBLE, got string 'high'"),
        ({"score": 1, "count": 1.5}, "argument 'count': expected NUMBER_INTEGER"),
        (
            {"score": 1, "count": 1, "on": "yes"},
            "it takes: count .NUMBER_INTEGER., on .BOOLEAN, optional., score",
        ),
    ],
)
def test_wrong_arguments_are_named_before_anything_starts(
    runs: Runs, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        runs.run("branches", arguments)
    assert not (runs.folder / "runs").exists()


def test_a_program_that_is_not_here_is_named(runs: Runs) -> None:
    text = (GOLDEN / "executor-output.yaml").read_text().replace("- python\n", "- no-such-program\n")
    path = runs.folder / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"program 'no-such-program' is not on this machine"):
        run_pipeline(path, {}, runs.options())


def test_options_are_checked(runs: Runs) -> None:
    for changes in (
        {"max_parallel": 0},
        {"run_id": "../x"},
        {"project_root": runs.folder / "gone"},
        {"resume": "no"},
    ):
        with pytest.raises(UserError):
            runs.run("executor-output", **changes)
    runs.run("executor-output", run_id="once")
    with pytest.raises(UserError, match=r"run 'once' exists already"):
        runs.run("executor-output", run_id="once")
