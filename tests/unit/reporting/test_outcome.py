"""What became of a run, from its documents and KFP's final status."""

from __future__ import annotations

import pytest

from lakeloop.reporting.documents import read_documents
from lakeloop.reporting.flow import failed_step, flow
from lakeloop.reporting.outcome import outcome
from lakeloop.reporting.status import FinalStatus, parse_status
from tests.fakes import documents as made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"state": "SUCCEEDED"}', FinalStatus("SUCCEEDED")),
        ('{"state": "FAILED", "error": {"message": "boom"}}', FinalStatus("FAILED", "boom")),
        (
            '{"state": "FAILED", "error": {"code": 9}, "pipelineTaskName": "reported"}',
            FinalStatus("FAILED", "9", "reported"),
        ),
        ('{"state": "failed", "error_message": "boom"}', FinalStatus("FAILED", "boom")),
        ('{"state": 3, "error": null}', FinalStatus()),
        ("[]", FinalStatus()),
        ("", FinalStatus()),
        ("{{$.unresolved}}", FinalStatus()),
    ],
)
def test_status_is_read_whatever_it_looks_like(text: str, expected: FinalStatus) -> None:
    assert parse_status(text) == expected


def test_without_records_the_first_step_that_left_nothing_is_the_one_that_failed() -> None:
    documents = {k: v for k, v in made.broken_training().items() if not k.startswith("step_")}
    assert failed_step(read_documents(documents), FinalStatus("FAILED")) == "train_model"


def test_the_runner_may_name_the_step() -> None:
    documents = read_documents(made.broken_training() | {"step_train_model": None})
    status = FinalStatus("FAILED", "task evaluate-model failed", "reported")
    assert failed_step(documents, status) == "evaluate_model"


def test_a_step_that_succeeded_without_a_document_is_not_blamed() -> None:
    documents = read_documents(made.promoted() | {"batch": None})
    assert failed_step(documents, FinalStatus("SUCCEEDED")) is None


def test_a_late_breakdown_is_not_hidden_by_a_live_rollout() -> None:
    late = made.steps(
        "redeploy_endpoint", failed="redeploy_endpoint", error="ledger: another writer was first"
    )
    documents = made.promoted() | {name: record.model_dump() for name, record in late.items()}
    result = outcome(read_documents(documents), FinalStatus("FAILED"))
    assert (result.kind, result.headline) == ("failed", "Failed at step redeploy_endpoint.")
    assert "another writer was first" in result.detail


def test_a_model_after_an_endpoint_that_was_down_is_not_called_the_first() -> None:
    documents = made.promoted()
    documents["rollout"]["previous_version"] = None
    result = outcome(read_documents(documents), FinalStatus("SUCCEEDED"))
    assert "is live: promoted over version" in result.headline


def test_a_rejection_needs_no_rollout_and_says_so() -> None:
    states = {s.name: s.state for s in flow(read_documents(made.rejected()), FinalStatus("SUCCEEDED"))}
    assert states["evaluate_model"] == "rejected"
    assert states["register_model"] == states["redeploy_endpoint"] == "not needed"
    assert states["train_model"] == "done"


def test_steps_behind_a_breakdown_were_not_reached() -> None:
    shown = flow(read_documents(made.broken_training()), FinalStatus("FAILED"))
    assert [s.state for s in shown] == ["done"] * 4 + ["failed"] + ["not reached"] * 3
    assert [s.duration for s in shown][:3] == ["1.6 s", "1.9 s", "12 s"]


def test_a_refused_batch_is_a_refusal_not_a_breakdown() -> None:
    documents = read_documents(made.batch_refused())
    assert failed_step(documents, FinalStatus("FAILED")) is None
    assert [s.state for s in flow(documents, FinalStatus("FAILED"))][2:4] == ["refused", "not reached"]


def test_promotion_without_rollout_is_not_called_live() -> None:
    documents = {k: v for k, v in made.promoted().items() if k not in {"rollout", "step_redeploy_endpoint"}}
    result = outcome(read_documents(documents), FinalStatus("SUCCEEDED"))
    assert result.kind == "promoted_only"


def test_a_resumed_run_has_left_its_refusal_behind() -> None:
    resumed = made.promoted() | {"refusal": {"reason": "the table was rolled back"}}
    assert outcome(read_documents(resumed), FinalStatus("SUCCEEDED")).kind == "live"


def test_a_refusal_alone_is_told() -> None:
    documents = {name: made.batch_refused()[name] for name in ("batch", "refusal")}
    result = outcome(read_documents(documents), FinalStatus("FAILED"))
    assert (result.kind, result.headline) == ("batch_refused", "Batch refused: range(age).")
