"""Decisions about models of a workbench."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lakeloop.domain.errors import UserError
from lakeloop.domain.workbench import Canary, RuntimeNeeds, WorkbenchDeployment
from lakeloop.domain.workbench_models import (
    Build,
    Deployed,
    as_map,
    build_phase,
    choose_runtime,
    deployment_phase,
    handle_in,
    in_order,
    marked,
    to_go_back_to,
    to_remove,
    version_phase,
)

ONE, TWO, THREE, FOUR = ("a" * 20, "b" * 20, "c" * 20, "d" * 20)


def runtime(version: str, **changes: str) -> dict[str, str]:
    known = {
        "editor": "PBJ Workbench",
        "kernel": "Python 3.11",
        "edition": "Standard",
        "full_version": version,
        "image_identifier": f"image:{version}",
        "status": "ENABLED",
    }
    return known | changes


def build(handle: str, number: int, status: str = "built") -> Build:
    return Build(build_id=f"b{number}", handle=handle, status=status, created_at=f"2026-01-0{number}")


def deployed(handle: str, number: int, status: str = "stopped") -> Deployed:
    return Deployed(
        build_id=f"b{number}",
        deployment_id=f"d{number}",
        handle=handle,
        status=status,
        created_at=f"2026-02-0{number}",
    )


def test_the_newest_enabled_runtime_that_has_what_is_needed_by_number_not_by_text() -> None:
    listed = [
        runtime("2026.05.9-b2"),
        runtime("2026.05.10-b1"),
        runtime("2026.06.1-b1", status="DISABLED"),
        runtime("2027.01.1-b1", kernel="Python 3.10"),
        runtime("2027.01.1-b1", edition="Nvidia GPU"),
    ]
    assert choose_runtime(listed, RuntimeNeeds()) == "image:2026.05.10-b1"
    assert choose_runtime(listed, RuntimeNeeds(version="2026.05.9")) == "image:2026.05.9-b2"


def test_python_3_1_is_not_in_python_3_11_and_what_there_is_gets_listed() -> None:
    with pytest.raises(
        UserError, match=r"no enabled runtime has .*Python 3\.1, .*PBJ Workbench, Python 3\.11"
    ):
        choose_runtime([runtime("2026.05.1")], RuntimeNeeds(kernel="Python 3.1"))
    assert choose_runtime([runtime("2026.05.1")], RuntimeNeeds(kernel="python 3"))


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("built", "good"),
        ("SUCCEEDED", "good"),
        ("build failed", "bad"),
        ("timedout", "bad"),
        ("pushing", "wait"),
        ("a status that nobody has told of", "wait"),
        ("", "wait"),
    ],
)
def test_a_build_is_waited_for_unless_its_status_is_known_to_be_an_end(status: str, phase: str) -> None:
    assert build_phase(status) == phase


def test_deployments_and_registered_versions() -> None:
    assert [deployment_phase(s) for s in ("deployed", "failed", "stopped", "warming up")] == [
        "good",
        "bad",
        "bad",
        "wait",
    ]
    assert version_phase("READY", "") == "good"
    assert version_phase("PENDING_REGISTRATION", "") == "wait"
    assert version_phase("READY", "import failed") == "bad"
    assert version_phase("whatever", "") == "wait"


def test_a_handle_survives_a_comment_and_an_environment_comes_as_text_or_object() -> None:
    assert handle_in(marked(ONE, "fraud version 3")) == ONE
    assert handle_in("a person's comment") == handle_in(None) == ""
    assert as_map('{"A": "1"}') == as_map({"A": 1}) == {"A": "1"}
    assert as_map("no json") == as_map(None) == {}


def test_back_is_what_served_before_and_did_not_fail_to_start() -> None:
    history = [
        deployed(ONE, 1),
        deployed(TWO, 2),
        deployed(THREE, 3, "failed"),
        deployed(FOUR, 4, "deployed"),
    ]
    back = to_go_back_to(history, FOUR)
    assert back is not None
    assert back.handle == TWO
    assert to_go_back_to([deployed(FOUR, 4)], FOUR) is None


def test_old_and_failed_builds_go_but_never_what_serves_or_served_before_or_is_somebody_elses() -> None:
    builds = [
        build(ONE, 1),
        build(TWO, 2),
        build(THREE, 3, "build failed"),
        build(FOUR, 4),
        build("", 5),
        build("e" * 20, 6, "building"),
    ]
    history = [deployed(ONE, 1), deployed(TWO, 2), deployed(FOUR, 4, "deployed")]
    assert to_remove(builds, history, keep=2) == ("b3", "b1")
    assert to_remove(builds, history, keep=3) == ("b3",)
    rolled_back = [
        deployed(FOUR, 4),
        deployed(TWO, 2),
        deployed(ONE, 1).model_copy(update={"status": "deployed"}),
    ]
    assert set(to_remove(builds, rolled_back, keep=2)) == {"b3", "b2"}


def test_a_canary_must_rise_to_all_of_the_traffic() -> None:
    with pytest.raises(ValueError, match="weights must rise and end with 100"):
        Canary(weights=(50, 25, 100))
    with pytest.raises(ValueError, match="weights must rise and end with 100"):
        Canary(weights=(5, 50))
    assert WorkbenchDeployment().canary.weights[-1] == 100


def test_a_strategy_that_is_not_there_says_what_is_missing_and_what_to_use() -> None:
    with pytest.raises(ValidationError) as refused:
        WorkbenchDeployment.model_validate({"strategy": "inference_service"})
    (problem,) = refused.value.errors()
    assert problem["loc"] == ("strategy",)
    assert "Cloudera AI Inference" in problem["msg"]
    assert "use blue_green, or target kserve" in problem["msg"]


def test_moments_sort_by_time_however_many_digits_they_have() -> None:
    written = [
        "2026-06-13T01:00:04.999Z",
        "2026-06-13T01:00:05Z",
        "2026-06-13T01:00:05.5Z",
        "2026-06-13T01:00:05.500001Z",
        "2026-06-13T03:00:06+02:00",
    ]
    moments = [in_order(moment) for moment in written]
    assert moments == sorted(set(moments))
    assert in_order(None) == ""
