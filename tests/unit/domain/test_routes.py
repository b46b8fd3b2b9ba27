from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.routes import (
    Backend,
    Routes,
    finished,
    introduced,
    order_of_attempts,
    rolled_back,
    shifted,
    withdrawn,
)


def backend(handle: str, weight: float = 0, *, standby: bool = False) -> Backend:
    return Backend(handle=handle, url=f"http://{handle}", version=handle, weight=weight, standby=standby)


DRAWS = st.floats(min_value=0, max_value=1, exclude_max=True)
WEIGHTS = st.lists(st.floats(min_value=0, max_value=100), max_size=5)


@given(WEIGHTS, DRAWS)
def test_the_first_attempt_goes_where_there_is_weight_and_no_backend_is_tried_twice(
    weights: list[float], draw: float
) -> None:
    backends = [backend(str(i), w) for i, w in enumerate(weights)]
    order = order_of_attempts(backends, draw)
    assert len(set(order)) == len(order) <= 2
    assert all(b.weight > 0 for b in order)
    assert bool(order) == any(weights)


@given(st.integers(min_value=0, max_value=100))
def test_shares_follow_the_weights(percent: int) -> None:
    backends = [backend("new", percent), backend("old", 100 - percent)]
    first = [order_of_attempts(backends, draw / 1000)[0].handle for draw in range(1000)]
    assert abs(first.count("new") - 10 * percent) <= 1


def test_a_dark_candidate_gets_no_request_even_when_the_live_one_fails_but_a_standby_does() -> None:
    assert order_of_attempts([backend("live", 100), backend("dark")], 0.5) == [backend("live", 100)]
    old = backend("old", standby=True)
    assert order_of_attempts([backend("live", 100), old], 0.5)[1] == old


def test_a_rollout_and_the_way_back() -> None:
    first = shifted(Routes(), backend("a"), None)
    second = shifted(first, backend("b"), backend("a"))
    assert (second.live, second.previous) == ("b", "a")
    assert [(b.handle, b.weight, b.standby) for b in second.backends] == [("b", 100, False), ("a", 0, True)]
    again = shifted(second, backend("b"), backend("a"))
    assert (again.live, again.previous) == ("b", "a")
    done = finished(again)
    assert ([b.handle for b in done.backends], done.previous) == (["b"], "a")
    assert finished(done) == done
    back = rolled_back(done, backend("a"))
    assert (back.live, back.previous, [b.weight for b in back.backends]) == ("a", None, [100])
    generations = [r.generation for r in (first, second, again, done, back)]
    assert generations == sorted(set(generations))
    assert rolled_back(first, None).backends == ()


def test_an_introduced_backend_gets_no_traffic_and_can_be_withdrawn_as_long_as_it_has_none() -> None:
    live = shifted(Routes(), backend("a"), None)
    known = introduced(live, backend("b", 7))
    assert known.generation == live.generation + 1
    assert known.backend("b").dark
    assert order_of_attempts(known.backends, 0.999) == list(live.backends)
    assert introduced(known, backend("b")) == known
    assert withdrawn(known, "b").backends == live.backends
    assert withdrawn(known, "a") == known, "it has traffic"
    second = shifted(known, backend("b"), backend("a"))
    assert withdrawn(second, "a") == second, "it stands by"


def test_a_backend_that_moved_is_found_at_its_new_address_with_the_traffic_it_had() -> None:
    live = shifted(Routes(), backend("a"), None)
    moved = introduced(live, Backend(handle="a", url="http://elsewhere", version="a"))
    assert [(b.url, b.weight) for b in moved.backends] == [("http://elsewhere", 100)]
    assert moved.generation == live.generation + 1
