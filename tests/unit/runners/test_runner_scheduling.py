from hypothesis import given
from hypothesis import strategies as st

from lakeloop.runners.process import ir
from lakeloop.runners.process.scheduling import GOOD, combine, decide, final_status, is_exit_task


def task(name: str, *depends_on: str, when: str = "succeeded") -> ir.Task:
    return ir.Task(
        name,
        name,
        f"comp-{name}",
        {},
        {},
        depends_on,
        None,
        "",
        None,
        when,
        None,
        ir.Retry(),  # type: ignore[arg-type]
    )


def graph(*tasks: ir.Task) -> dict[str, ir.Task]:
    return {one.name: one for one in tasks}


def test_independent_tasks_start_at_once_and_the_others_wait() -> None:
    tasks = graph(task("a"), task("b"), task("c", "a", "b"))
    assert decide(tasks, {}, ()).start == ("a", "b")
    assert decide(tasks, {"a": "succeeded"}, ("b",)).start == ()
    assert decide(tasks, {"a": "cached", "b": "skipped"}, ()).start == ("c",)


def test_a_failure_stops_new_ordinary_tasks_but_not_exit_tasks() -> None:
    group = task("exit-handler-1")
    tasks = graph(group, task("other"), task("cleanup", "exit-handler-1", when="completed"))
    decision = decide(tasks, {"exit-handler-1": "failed"}, ())
    assert decision.start == ("cleanup",)
    assert decision.never == ("other",)


def test_a_tolerated_failure_lets_the_rest_go_on() -> None:
    tasks = graph(task("a"), task("told", "a", when="completed"), task("then", "told"))
    assert decide(tasks, {"a": "failed"}, ()).start == ("told",)
    assert decide(tasks, {"a": "failed", "told": "succeeded"}, ()).start == ("then",)
    strict = {**tasks, **graph(task("strict", "a"))}
    assert decide(strict, {"a": "failed"}, ()).never == ("strict",)


def test_while_stopping_only_exit_tasks_start() -> None:
    tasks = graph(
        task("exit-handler-1"), task("late", when="completed"), task("x", "exit-handler-1", when="completed")
    )
    decision = decide(tasks, {"exit-handler-1": "cancelled"}, (), stopping=True)
    assert (decision.start, decision.never) == (("x",), ("late",))


STATES = st.sampled_from(["succeeded", "cached", "reused", "skipped", "failed", "cancelled", "not_run"])


@given(st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=6), st.data())
def test_every_task_ends_exactly_once(dependencies: list[set[int]], data: st.DataObject) -> None:
    tasks = graph(
        *(task(f"t{k}", *(f"t{d}" for d in sorted(deps) if d < k)) for k, deps in enumerate(dependencies))
    )
    ended: dict[str, str] = {}
    for _ in range(len(tasks) + 1):
        decision = decide(tasks, ended, ())  # type: ignore[arg-type]
        for name in decision.start:
            assert all(ended[before] in GOOD for before in tasks[name].depends_on)
            ended[name] = data.draw(STATES)
        for name in decision.never:
            ended[name] = "not_run"
    assert ended.keys() == tasks.keys()


def test_a_group_is_as_bad_as_its_worst() -> None:
    assert combine({"succeeded", "skipped"}) == "succeeded"
    assert combine({"succeeded", "not_run", "cancelled"}) == "cancelled"
    assert combine({"failed", "cancelled"}) == "failed"
    assert combine(set()) == "succeeded"


def test_final_status_says_why() -> None:
    good = final_status("succeeded", task_name="group", job_name="job")
    assert (good["state"], good["error"]) == ("SUCCEEDED", {})
    bad = final_status("failed", task_name="group", job_name="job", error="no label", exit_code=2)
    assert (bad["state"], bad["error"]) == ("FAILED", {"code": 3, "message": "no label"})
    assert final_status("cancelled", task_name="g", job_name="j")["state"] == "CANCELLED"


def test_backoff_grows_to_its_limit() -> None:
    retry = ir.Retry(count=4, first_seconds=2, factor=3, longest_seconds=10)
    assert [retry.delay_seconds(failed) for failed in (1, 2, 3)] == [2, 6, 10]


def test_only_what_follows_an_exit_handler_is_an_exit_task() -> None:
    assert is_exit_task(task("x", "exit-handler-1", when="completed"))
    assert not is_exit_task(task("x", "other", when="completed"))
