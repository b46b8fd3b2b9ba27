"""When a new model keeps its share of the traffic."""

import pytest

from lakeloop.domain.canary import Traffic, canary_problems, shared, taken_back
from lakeloop.domain.routes import Backend, Routes, order_of_attempts
from lakeloop.domain.workbench import Canary

OLD = Traffic(answered=100, scored=100, score_sum=30.0, p95_ms=40.0)
LIMITS = Canary(max_error_rate=0.01, max_latency_ratio=2.0, latency_floor_ms=20.0, max_score_shift=0.1)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (Traffic(answered=100, scored=100, score_sum=35.0, p95_ms=70.0), None),
        (Traffic(), None),
        (Traffic(answered=98, failed=2, scored=98, score_sum=30.0), "2 of its 100 requests failed"),
        (Traffic(answered=100, scored=100, score_sum=30.0, p95_ms=81.0), "up to 81 ms"),
        (Traffic(answered=100, scored=100, score_sum=41.0, p95_ms=40.0), "mean score 0.41"),
    ],
)
def test_errors_slowness_and_other_scores_take_the_share_back(new: Traffic, told: str | None) -> None:
    found = canary_problems(OLD, new, LIMITS)
    assert (not found) if told is None else (len(found) == 1 and told in found[0])


def test_counts_are_those_since_the_share_was_given_also_over_a_restart_of_the_gateway() -> None:
    later = Traffic(answered=150, failed=1, scored=150, score_sum=60.0, p95_ms=9.0)
    assert later.since(OLD) == Traffic(answered=50, failed=1, scored=50, score_sum=30.0, p95_ms=9.0)
    assert Traffic(answered=5).since(OLD) == Traffic(answered=5)


def test_while_traffic_is_shared_each_model_takes_over_for_the_other_and_what_is_live_stays() -> None:
    old = Backend(handle="old", url="s#blue", version="1", weight=100)
    new = Backend(handle="new", url="s#green", version="2")
    routes = Routes(generation=3, backends=(old,), live="old", previous="older")
    both = shared(routes, new, old, 25)
    assert (both.generation, both.live, both.previous) == (4, "old", "older")
    assert [b.handle for b in order_of_attempts(both.backends, 0.1)] == ["new", "old"]
    assert [b.handle for b in order_of_attempts(both.backends, 0.9)] == ["old", "new"]
    back = taken_back(both)
    assert [(b.handle, b.weight, b.standby) for b in back.backends] == [("old", 100, False)]
    assert back.live == "old"
