"""What a replay says of two makings of a model."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.domain.lineage import CodeIdentity
from lakeloop.domain.replay import Rebuilt, causes, compare
from lakeloop.domain.rows_digest import RowsDigest
from lakeloop.domain.training import TrainedModel
from tests.fakes import documents

CODE = CodeIdentity(git_commit="c1", image_digest="i1", libraries={"xgboost-cpu": "3.2.0", "numpy": "2.4"})
DATA = {
    "train": RowsDigest(rows=80, columns={"amount": "a", "age": "b"}),
    "holdout": RowsDigest(rows=20, columns={"amount": "c", "age": "d"}),
}
METRICS = {"roc_auc": 0.86, "log_loss": 0.3}


def recorded(**changes: Any) -> TrainedModel:
    made = documents.training()
    lineage = made.lineage.model_copy(update={"code": CODE})
    return made.model_copy(update={"lineage": lineage, "data": DATA, **changes})


def rebuilt(trained: TrainedModel, **changes: Any) -> Rebuilt:
    same = {
        "booster_sha256": trained.booster_sha256,
        "model_digest": trained.model_digest,
        "rows": trained.lineage.training_set.rows,
        "data": DATA,
        "code": CODE,
        "metrics": METRICS,
        "recorded_metrics": METRICS,
        "max_score_difference": 0.0,
    }
    return Rebuilt(**{**same, **changes})


def test_the_same_bytes_rows_and_metrics_are_identical() -> None:
    trained = recorded()
    found = compare(trained, "3", "source", rebuilt(trained))
    assert (found.outcome, found.differences, found.environment, causes(found)) == ("identical", (), (), ())
    assert found.data_digest.recorded == found.data_digest.now is not None


def test_another_machine_is_named_and_no_difference_by_itself() -> None:
    trained = recorded()
    now = CodeIdentity(git_commit="c2", image_digest="i2", libraries={"xgboost-cpu": "3.3.0"})
    found = compare(trained, "3", "source", rebuilt(trained, code=now))
    assert found.outcome == "identical"
    told = [(d.kind, d.name, d.recorded, d.now) for d in found.environment]
    assert told == [
        ("library", "numpy", "2.4", "none"),
        ("library", "xgboost-cpu", "3.2.0", "3.3.0"),
        ("image", "digest", "i1", "i2"),
        ("commit", "git", "c1", "c2"),
    ]
    other = compare(trained, "3", "source", rebuilt(trained, code=now, booster_sha256="x"))
    assert other.outcome == "differs"
    assert "library xgboost-cpu: 3.2.0 recorded, 3.3.0 now" in causes(other)


@pytest.mark.parametrize(
    ("changes", "kind", "name"),
    [
        ({"booster_sha256": "x", "model_digest": "y"}, "model", "booster.ubj"),
        ({"model_digest": "y"}, "model", "encoding.json"),
        ({"metrics": {"roc_auc": 0.86 + 1e-9, "log_loss": 0.3}}, "metric", "roc_auc"),
        ({"metrics": {"roc_auc": float("nan"), "log_loss": 0.3}}, "metric", "roc_auc"),
        ({"rows": 7}, "rows", "training set"),
        (
            {"data": {**DATA, "train": RowsDigest(rows=80, columns={"amount": "a", "age": "z"})}},
            "rows",
            "train, column age",
        ),
        ({"data": {**DATA, "holdout": RowsDigest(rows=19, columns={})}}, "rows", "holdout"),
        ({"problem": "the model's bytes have digest f"}, "record", "model files"),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], kind: str, name: str) -> None:
    trained = recorded()
    found = compare(trained, "3", "source", rebuilt(trained, **changes))
    assert found.outcome == "differs"
    assert [(d.kind, d.name) for d in found.differences] == [(kind, name)]
    assert causes(found)


def test_a_changed_copy_of_the_use_case_is_the_first_thing_to_know() -> None:
    trained = recorded(use_case={"name": "another"})
    found = compare(trained, "3", "source", rebuilt(trained, booster_sha256="x"))
    assert [d.name for d in found.differences] == ["use case", "booster.ubj"]
    assert causes(found) == ("the record was changed after the training",)


def test_what_could_not_be_compared_is_said() -> None:
    trained = recorded(data={}, continued_version="2")
    notes = compare(trained, "3", "features", rebuilt(trained, recorded_metrics={})).notes
    assert any("no digest of its rows" in note for note in notes)
    assert any("metrics were not compared" in note for note in notes)
    assert any("version 2 was taken as it is registered" in note for note in notes)
