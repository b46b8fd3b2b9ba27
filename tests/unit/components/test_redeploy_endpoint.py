from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.adapters.memory.deployer import MemoryDeployer
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.features import AsOf, EncodedFeature, FeatureEncoding
from lakeloop.domain.rollout import Candidate
from lakeloop.rollout import checks, proof
from lakeloop.rollout.rolling_out import RollingOut, RolloutFailedError
from tests.fakes.models import candidate, model_folder

ENDPOINT = "card-fraud"
ROWS = proof.ProofRows(raw=({"a": 1.0}, {"a": 2.0}), offline=(0.25, 0.5))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 7), st.integers(1, 10))
def test_the_newest_rows_are_those_of_a_full_sort(times: list[int], batch_rows: int, count: int) -> None:
    table = pa.table({"t": times, "k": list(range(len(times)))})
    got = proof.newest_rows(table.to_batches(batch_rows), ["t", "k"], count)
    rows = sorted(table.to_pylist(), key=lambda r: (r["t"], r["k"]), reverse=True)[:count]
    assert got.to_pylist() == rows


def test_no_rows_to_prove_with_is_an_error() -> None:
    with pytest.raises(LakeloopError, match="no rows"):
        proof.newest_rows([], ["t"], 5)


ENCODING = FeatureEncoding(
    features=(EncodedFeature(name="x", type="numeric", column="x"),), source_columns={"x": "double"}
)
RAW = pa.table({"id": [1, 2, 2, 3, 3], "x": [10.0, 20.0, 21.0, 30.0, 30.0]}).to_batches(2)


def test_each_feature_row_meets_its_own_raw_row_and_ambiguous_keys_are_left_out() -> None:
    features = pa.table({"id": [3, 2, 1]})
    rows = proof.proof_rows(features, [0.3, 0.2, 0.1], RAW, ["id"], ENCODING)
    assert rows.raw == ({"x": 30.0}, {"x": 10.0})
    assert rows.offline == (0.3, 0.1)


def test_what_a_row_knows_of_its_past_is_sent_as_the_feature_row_has_it() -> None:
    past = AsOf(entity=("who",), aggregate="count")
    earlier = EncodedFeature(name="earlier", type="numeric", column="earlier", as_of=past)
    encoding = FeatureEncoding(
        features=(*ENCODING.features, earlier), source_columns={"x": "double", "earlier": "double"}
    )
    features = pa.table({"id": [3, 1], "earlier": [2.0, None]})
    rows = proof.proof_rows(features, [0.3, 0.1], RAW, ["id"], encoding)
    assert rows.raw == ({"x": 30.0, "earlier": 2.0}, {"x": 10.0, "earlier": None})


def test_rows_that_cannot_be_matched_fail_the_proof() -> None:
    with pytest.raises(LakeloopError, match=r"key \[9\]"):
        proof.proof_rows(pa.table({"id": [9]}), [0.3], RAW, ["id"], ENCODING)
    with pytest.raises(LakeloopError, match="identified by id"):
        proof.proof_rows(pa.table({"id": [2]}), [0.3], RAW, ["id"], ENCODING)


def test_values_survive_json() -> None:
    plus_one = timezone(timedelta(hours=1))
    assert proof.json_value(datetime(2013, 1, 1, 1, tzinfo=plus_one)) == "2013-01-01T00:00:00"
    assert proof.json_value(datetime(2013, 1, 1, 0, 0, 0, 5, tzinfo=UTC)) == "2013-01-01T00:00:00.000005"
    assert proof.json_value(date(2013, 1, 1)) == "2013-01-01"
    assert proof.json_value(Decimal("1.25")) == 1.25
    assert [proof.json_value(v) for v in (math.nan, math.inf, None)] == [None] * 3
    assert [proof.json_value(v) for v in ("x", 2**62, True)] == ["x", 2**62, True]
    with pytest.raises(LakeloopError, match="bytes"):
        proof.json_value(b"x")


def test_scores_are_compared_row_by_row() -> None:
    assert proof.compare([0.1, 0.2], [0.1, 0.2 + 5e-7], 1e-6).worst_row == 1
    with pytest.raises(LakeloopError, match=r"differ by 0\.1 \(row 1: served 0\.3, offline 0\.2; 1 of 2"):
        proof.compare([0.1, 0.2], [0.1, 0.3], 1e-6)


@pytest.mark.parametrize("served", [[], [0.1], [0.1, math.nan], [0.1, 0.2, 0.3]])
def test_a_missing_or_undefined_score_fails_closed(served: list[float]) -> None:
    with pytest.raises(LakeloopError):
        proof.compare([0.1, 0.2], served, 1.0)


class Faulty(MemoryDeployer):
    """Fails at one call, or answers with other scores."""

    def __init__(self, fault: str = "") -> None:
        super().__init__(self._scores)
        self.fault = fault

    def _scores(self, model: Candidate, rows: Sequence[dict[str, Any]]) -> list[float]:
        wrong = 0.1 if self.fault == "scores" and model.identity.version == "2" else 0.0
        return [row["a"] / 4 + wrong for row in rows]

    def start(self, endpoint: str, candidate: Candidate) -> str:
        self._maybe("start")
        return super().start(endpoint, candidate)

    def shift(self, endpoint: str, handle: str) -> str:
        url = super().shift(endpoint, handle)
        self._maybe("shift")
        return url

    def ask(self, endpoint: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        self._maybe("ask")
        answer = super().ask(endpoint, rows)
        return answer | ({"snapshot_id": "1"} if self.fault == "snapshot" else {})

    def roll_back(self, endpoint: str, handle: str) -> None:
        self._maybe("shift and roll_back")
        super().roll_back(endpoint, handle)

    def _maybe(self, call: str) -> None:
        if call in {self.fault, self.fault.split(" and ")[0]} or call == self.fault:
            raise LakeloopError(f"{call} broke", fix="mend it")


class Imaged(Faulty):
    """The same version has a handle for each image that serves it."""

    image = "a"

    def start(self, endpoint: str, candidate: Candidate) -> str:
        handle = super().start(endpoint, candidate) + self.image
        self._known[endpoint, handle] = candidate
        self._running.add((endpoint, handle))
        return handle


@pytest.fixture
def models(tmp_path: Path) -> tuple[Candidate, Candidate]:
    model_folder(tmp_path / "m")
    return candidate(tmp_path / "m", version="1"), candidate(tmp_path / "m", version="2")


def rolling(deployer: MemoryDeployer, model: Candidate, promoted: list[str]) -> RollingOut:
    return RollingOut(
        deployer=deployer,
        endpoint=ENDPOINT,
        candidate=model,
        rows=ROWS,
        tolerance=1e-6,
        promote=lambda: promoted.append(model.identity.version),
        tell=lambda _: None,
    )


def test_a_rollout_is_proved_live_and_promoted_and_again_changes_nothing(
    models: tuple[Candidate, Candidate],
) -> None:
    deployer, promoted = Faulty(), []
    first = rolling(deployer, models[0], promoted).run()
    assert (first.outcome, first.previous_version, first.rows_proved) == ("live", None, 2)
    second = rolling(deployer, models[1], promoted).run()
    assert (second.outcome, second.previous_version, second.version) == ("live", "1", "2")
    assert [s.name for s in second.steps if s.passed] == ["prove", "shift", "verify"]
    assert second.sample_response["scores"] == [0.25]
    again = rolling(deployer, models[1], promoted).run()
    assert (again.outcome, promoted) == ("already_live", ["1", "2", "2"])
    assert deployer.live(ENDPOINT) == models[1].identity


@pytest.mark.parametrize("fault", ["start", "scores", "shift", "ask", "snapshot", "promote"])
def test_whatever_fails_the_old_version_serves_and_the_new_one_is_not_promoted(
    fault: str, models: tuple[Candidate, Candidate]
) -> None:
    deployer, promoted = Faulty(), []
    rolling(deployer, models[0], promoted).run()
    deployer.fault = fault
    rollout = rolling(deployer, models[1], promoted)
    if fault == "promote":
        rollout.promote = lost_race
    with pytest.raises(RolloutFailedError, match="what served before serves again") as failed:
        rollout.run()
    assert (failed.value.rollout.outcome, promoted) == ("rolled_back", ["1"])
    assert failed.value.fix
    deployer.fault = ""
    assert deployer.live(ENDPOINT) == models[0].identity
    assert deployer.ask(ENDPOINT, [{"a": 1.0}])["model_version"] == "1"


def lost_race() -> None:
    raise ConflictError("the champion is another version", where="fraud", fix="run again")


def test_when_going_back_fails_too_both_reasons_are_told(models: tuple[Candidate, Candidate]) -> None:
    deployer = Faulty()
    rolling(deployer, models[0], []).run()
    deployer.fault = "shift and roll_back"
    with pytest.raises(
        RolloutFailedError, match=r"shift broke.*shift and roll_back broke.*failed too"
    ) as failed:
        rolling(deployer, models[1], []).run()
    assert failed.value.rollout.outcome == "failed"
    assert [(s.name, s.passed) for s in failed.value.rollout.steps][-1] == ("roll_back", False)


def test_a_changed_xgboost_is_not_another_model(models: tuple[Candidate, Candidate]) -> None:
    one, two = models[0].identity, models[1].identity
    assert checks.same_model(one, one.model_copy(update={"xgboost_version": "9"}))
    assert not checks.same_model(one, two)
    with pytest.raises(LakeloopError, match="version 1 of snapshot"):
        checks.check_live(one, two)
    with pytest.raises(LakeloopError, match="nothing answers"):
        checks.check_live(None, two)


def test_the_same_version_in_another_image_goes_back_to_the_image_that_served(
    models: tuple[Candidate, Candidate],
) -> None:
    deployer = Imaged()
    assert rolling(deployer, models[0], []).run().outcome == "live"
    served = deployer._routes[ENDPOINT].live
    deployer.image, deployer.fault = "b", "ask"
    with pytest.raises(RolloutFailedError, match="what served before serves again"):
        rolling(deployer, models[0], []).run()
    assert deployer._routes[ENDPOINT].live == served
    deployer.fault = ""
    assert rolling(deployer, models[0], []).run().outcome == "live"
    assert deployer._routes[ENDPOINT].live != served
    assert rolling(deployer, models[0], []).run().outcome == "already_live"
