"""Schedules: their files, their cron expressions, and what is to be done about the cluster's recurring runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lakeloop.adapters.kfp.schedules import known_recurring
from lakeloop.adapters.memory.schedules import MemorySchedules
from lakeloop.domain.cron import cron_problem
from lakeloop.domain.errors import UserError
from lakeloop.domain.schedule import KnownRecurring, Recurring, Schedule, plan_changes
from lakeloop.runners.cluster.scheduling import applied, recurring_of
from lakeloop.use_case_files import load_use_case
from lakeloop.use_case_files.schedules import load_schedule, load_schedules
from scripts.golden import ROOT, SCHEDULE_SCHEMA, schedule_schema

SCHEDULES = sorted((ROOT / "conf" / "schedules").glob("*.yaml"))


@pytest.mark.parametrize(
    "text",
    ["0 0 2 * * *", "0 */5 * * * ?", "30 0 9-17 ? * MON-FRI", "0 0,30 0 1,15 jan-MAR *", "*/10 * * * * *"],
)
def test_what_the_service_reads_is_accepted(text: str) -> None:
    assert cron_problem(text) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 2 * * *", "the first is the second"),
        ("@daily", "6 fields, this has 1"),
        ("60 0 2 * * *", "second '60'"),
        ("0 0 24 * * *", "hour '24'"),
        ("0 0 2 0 * *", "day of month '0'"),
        ("0 0 2 * 13 *", "month '13'"),
        ("0 0 2 * * 7", "day of week '7'"),
        ("0 ? 2 * * *", "'?' is for days only"),
        ("0 0 9-7 * * *", "ends before it begins"),
        ("0 0/0 * * * *", "never comes"),
        ("0 0 *-7 * * *", "hour '*-7'"),
        ("0 0 2 L * *", "day of month 'L'"),
        ("0 0 2 * * MO", "day of week 'MO'"),
    ],
)
def test_what_it_would_misread_is_refused_with_the_field(text: str, told: str) -> None:
    assert told in cron_problem(text)


@given(st.text(max_size=30))
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(cron_problem(text), str)


@pytest.mark.parametrize("path", SCHEDULES, ids=lambda p: p.stem)
def test_committed_schedules_are_valid_and_name_their_schema(path: Path) -> None:
    from lakeloop.use_case_files.strict_yaml import read_yaml

    value, _ = read_yaml(path)
    Draft202012Validator(schedule_schema()).validate(value)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert (path.parent / first.rsplit("=", 1)[1]).resolve() == SCHEDULE_SCHEMA
    assert json.loads(SCHEDULE_SCHEMA.read_text(encoding="utf-8")) == schedule_schema(), "run `make golden`"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("when: {kind: cron, cron: 0 2 * * *}", "5: when.cron: a cron expression has 6 fields"),
        ("when: {kind: cron, crn: 0 0 2 * * *}", "5: when.crn: no such key -> did you mean cron?"),
        ("when: {cron: 0 0 2 * * *}", "kind is missing -> kind: cron or snapshots"),
        ("when: {kind: snapshots, min_rows: 0}", "when.min_rows: "),
        ("when: {kind: snapshots}\npipeline: tidy", "snapshots starts pipeline retrain"),
    ],
)
def test_a_wrong_schedule_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"# a\n# b\nname: s\nuse_case: card_fraud\n{text}\n", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_schedule(path)
    assert told in str(raised.value)


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / file).write_text(
            "name: s\nuse_case: card_fraud\nwhen: {kind: snapshots}\n", encoding="utf-8"
        )
    with pytest.raises(UserError, match=r"taken by .*a\.yaml"):
        load_schedules(tmp_path)


def wanted(**changes: Any) -> Recurring:
    known = {
        "name": "lakeloop-schedule-nightly",
        "experiment": "lakeloop-card_fraud",
        "pipeline": "retrain",
        "pipeline_digest": "aaaa",
        "arguments": {"use_case": "{}"},
        "cron": "0 0 2 * * *",
        "enabled": True,
        "service_account": "lakeloop-steps",
    }
    return Recurring.model_validate({**known, **changes})


def actions(schedules: MemorySchedules, *declared: Recurring, prune: bool = False) -> list[tuple[str, str]]:
    changes = plan_changes(declared, schedules.known(), prune=prune)
    assert applied(schedules, declared, changes) == ()
    return [(change.action, change.name.removeprefix("lakeloop-schedule-")) for change in changes]


def test_the_same_declaration_twice_changes_nothing() -> None:
    schedules = MemorySchedules()
    assert actions(schedules, wanted()) == [("create", "nightly")]
    made = schedules.known()
    assert actions(schedules, wanted()) == [("keep", "nightly")]
    assert schedules.known() == made


@pytest.mark.parametrize(
    "change",
    [
        {"cron": "0 0 3 * * *"},
        {"arguments": {"use_case": "{1}"}},
        {"pipeline_digest": "bbbb"},
        {"enabled": False},
        {"service_account": "other"},
        {"description": "for the auditors"},
    ],
)
def test_a_changed_declaration_replaces_its_recurring_run(change: dict[str, Any]) -> None:
    schedules = MemorySchedules()
    actions(schedules, wanted())
    assert actions(schedules, wanted(**change)) == [("replace", "nightly")]
    (left,) = schedules.known()
    assert left.content_digest == wanted(**change).content_digest
    assert (left.cron, left.enabled) == (wanted(**change).cron, wanted(**change).enabled)


def test_a_replaced_one_whose_run_goes_on_is_switched_off_and_deleted_after_it() -> None:
    schedules, said = MemorySchedules(), list[str]()
    actions(schedules, wanted())
    schedules.runs["recurring-1"] = ("run-7",)
    later = wanted(cron="0 0 3 * * *")
    for _ in range(2):
        left = applied(schedules, (later,), plan_changes((later,), schedules.known()), said.append)
        assert [change.action for change in left] == ["delete"]
        assert [(k.recurring_run_id, k.enabled) for k in schedules.known()] == [
            ("recurring-1", False),
            ("recurring-2", True),
        ]
    assert "stays until its run run-7 has ended" in said[-1]
    schedules.runs.clear()
    assert actions(schedules, later) == [("delete", "nightly")]
    assert [one.recurring_run_id for one in schedules.known()] == ["recurring-2"]


def test_what_is_declared_no_longer_goes_only_when_asked_and_others_never_do() -> None:
    schedules = MemorySchedules()
    schedules.create(wanted(name="somebody-elses"))
    actions(schedules, wanted(), wanted(name="lakeloop-schedule-weekly"))
    assert actions(schedules, wanted()) == [("keep", "nightly"), ("leave", "weekly")]
    assert actions(schedules, wanted(), prune=True) == [("keep", "nightly"), ("delete", "weekly")]
    assert [one.name for one in schedules.known()] == ["somebody-elses", "lakeloop-schedule-nightly"]


def test_one_that_somebody_disabled_by_hand_is_put_right() -> None:
    made = wanted()
    paused = KnownRecurring(
        recurring_run_id="r1",
        name=made.name,
        cron=made.cron,
        enabled=False,
        created_at_ms=1,
        description=made.full_description,
    )
    (change,) = plan_changes((made,), (paused,))
    assert (change.action, change.reason) == ("replace", "enabled")


def test_of_two_applied_at_the_same_moment_one_stays() -> None:
    schedules = MemorySchedules()
    both = [plan_changes((wanted(),), schedules.known()) for _ in range(2)]
    for changes in both:
        applied(schedules, (wanted(),), changes)
    assert [one.recurring_run_id for one in schedules.known()] == ["recurring-1"]


def test_the_recurring_run_carries_use_case_batch_and_parameters() -> None:
    use_case = load_use_case(str(ROOT / "conf" / "use_cases" / "card_fraud.yaml"))
    schedule = Schedule.model_validate(
        {
            "name": "nightly_ingest",
            "use_case": "card_fraud",
            "pipeline": "ingest",
            "when": {"kind": "cron", "cron": "0  0 2 * * *"},
            "batch": {"rows": 500},
        }
    )
    made = recurring_of(schedule, use_case, ROOT / "pipelines" / "ingest" / "pipeline.yaml", "steps")
    assert made is not None
    assert (made.name, made.cron) == ("lakeloop-schedule-nightly-ingest", "0 0 2 * * *")
    assert json.loads(made.arguments["use_case"])["name"] == "card_fraud"
    assert json.loads(made.arguments["batch_options"])["rows"] == 500


def test_the_services_answer_is_read() -> None:
    made = wanted()
    known = known_recurring(
        {
            "recurring_run_id": "61523aa6",
            "display_name": made.name,
            "description": made.full_description,
            "trigger": {"cron_schedule": {"cron": made.cron}},
            "mode": "ENABLE",
            "status": "ENABLED",
            "created_at": "2026-11-25T10:02:59+00:00",
        }
    )
    assert (known.enabled, known.cron, known.content_digest) == (True, made.cron, made.content_digest)
    assert plan_changes((made,), (known,))[0].action == "keep"
