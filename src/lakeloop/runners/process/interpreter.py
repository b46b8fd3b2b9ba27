"""Walk the graph: start what is ready, decide conditions, unfold loops, collect outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

from lakeloop.runners.process import ir
from lakeloop.runners.process.attempts import Job
from lakeloop.runners.process.conditions import ConditionError
from lakeloop.runners.process.container_task import ContainerTask
from lakeloop.runners.process.events import TaskFailed, TaskSkipped
from lakeloop.runners.process.importer_task import run_importer
from lakeloop.runners.process.inputs import (
    InputError,
    Surroundings,
    Values,
    collect_iterations,
    collect_outputs,
    iteration_inputs,
    loop_items,
    resolve_inputs,
)
from lakeloop.runners.process.options import TaskResult
from lakeloop.runners.process.scheduling import State, combine, decide, final_status, is_exit_task
from lakeloop.runners.process.session import Outcome, Place, Session


class Interpreter:
    """Runs DAGs of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def run_dag(self, dag: ir.Dag, scope: Values, place: Place) -> Outcome:
        """Run all tasks of a DAG to their ends."""
        ended: dict[str, Outcome] = {}
        running: dict[asyncio.Task[Outcome], str] = {}
        while True:
            self._schedule(dag, scope, place, ended, running)
            if not running:
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                ended[running.pop(finished)] = finished.result()
        return self._summarise(dag, ended)

    def _schedule(
        self,
        dag: ir.Dag,
        scope: Values,
        place: Place,
        ended: dict[str, Outcome],
        running: dict[asyncio.Task[Outcome], str],
    ) -> None:
        stopping = self._session.stop_for(shielded=place.shielded).is_set()
        while True:
            states = {name: outcome.state for name, outcome in ended.items()}
            decision = decide(
                dag.tasks,
                states,
                set(running.values()),
                stopping=stopping,
                hold_before=self._session.options.hold_before,
            )
            for name in decision.start:
                running[
                    asyncio.create_task(self._run_task(dag.tasks[name], dag, scope, place, dict(ended)))
                ] = name
            for name in decision.never:
                ended[name] = Outcome("not_run", error="a task before it did not succeed")
                self._mark(dag.tasks[name], place, "not_run", "a task before it did not succeed")
            for name in decision.hold:
                ended[name] = Outcome("held")
                self._mark(dag.tasks[name], place, "held", "left for a later resume of this run")
            # A task that never runs may be what an exit task waits for.
            if not decision.never and not decision.hold:
                return

    def _summarise(self, dag: ir.Dag, ended: Mapping[str, Outcome]) -> Outcome:
        state = combine({outcome.state for outcome in ended.values()})
        worst = next((outcome for outcome in ended.values() if outcome.state == "failed"), Outcome(state))
        outputs = collect_outputs(dag, {name: outcome.outputs for name, outcome in ended.items()})
        fresh = any(outcome.fresh for outcome in ended.values())
        return Outcome(state, outputs, fresh, worst.error, worst.exit_code)

    async def _run_task(
        self, task: ir.Task, dag: ir.Dag, scope: Values, place: Place, ended: Mapping[str, Outcome]
    ) -> Outcome:
        target = self._session.pipeline.components[task.component]
        here = Place(
            path=place.below(task.name),
            fresh=place.fresh or any(ended[name].fresh for name in task.depends_on),
            shielded=place.shielded or is_exit_task(task),
            caching=place.caching and not (target.dag and task.caching is False),
        )
        around = Surroundings(
            scope,
            {name: outcome.outputs for name, outcome in ended.items()},
            self._final_statuses(dag, ended),
            self._session.identity_of(here.path, task.name),
        )
        try:
            inputs = resolve_inputs(task, target, around)
            if task.condition and not task.condition.holds(inputs.parameters):
                self._mark(task, place, "skipped", f"condition is false: {task.condition.text}")
                return Outcome("skipped")
            if task.loop:
                return await self._run_loop(task, task.loop, inputs, around, here)
        except (InputError, ConditionError) as error:
            return self._fail(task, here, str(error))
        return await self._run_target(task, inputs, around, here)

    def _final_statuses(self, dag: ir.Dag, ended: Mapping[str, Outcome]) -> dict[str, dict[str, object]]:
        job = self._session.identity["pipeline_job_resource_name"]
        return {
            name: final_status(
                outcome.state,
                task_name=dag.tasks[name].name,
                job_name=job,
                error=outcome.error,
                exit_code=outcome.exit_code,
            )
            for name, outcome in ended.items()
        }

    async def _run_target(self, task: ir.Task, inputs: Values, around: Surroundings, place: Place) -> Outcome:
        component = self._session.pipeline.components[task.component]
        if component.dag:
            return await self.run_dag(component.dag, inputs, place)
        executor = self._session.pipeline.executors[component.executor]
        if isinstance(executor, ir.Importer):
            return run_importer(self._session, place.path, task, inputs)
        return await ContainerTask(self._session, Job(task, component, executor, inputs, around, place)).run()

    async def _run_loop(
        self, task: ir.Task, loop: ir.Loop, inputs: Values, around: Surroundings, place: Place
    ) -> Outcome:
        target = self._session.pipeline.components[task.component]
        each = [iteration_inputs(loop, inputs, item, target) for item in loop_items(loop, inputs)]
        limit = asyncio.Semaphore(loop.parallelism or max(len(each), 1))
        broken = asyncio.Event()
        single = replace(task, loop=None, condition=None)

        async def iterate(index: int, values: Values) -> Outcome:
            there = replace(place, path=place.below(f"iteration-{index}"))
            async with limit:
                if broken.is_set() or self._session.stop_for(shielded=place.shielded).is_set():
                    self._mark(
                        single, there, "not_run", "an iteration before it did not succeed", below=False
                    )
                    return Outcome("not_run")
                outcome = await self._run_target(single, values, around, there)
            if outcome.state in {"failed", "cancelled"}:
                broken.set()
            return outcome

        outcomes = await asyncio.gather(*(iterate(index, values) for index, values in enumerate(each)))
        return self._collect(target, outcomes)

    def _collect(self, target: ir.Component, outcomes: list[Outcome]) -> Outcome:
        state = combine({outcome.state for outcome in outcomes})
        fresh = any(outcome.fresh for outcome in outcomes)
        if state != "succeeded":
            worst = next((o for o in outcomes if o.state == "failed"), Outcome(state))
            return Outcome(state, Values(), fresh, worst.error, worst.exit_code)
        return Outcome(state, collect_iterations(target, [o.outputs for o in outcomes]), fresh)

    def _fail(self, task: ir.Task, place: Place, error: str) -> Outcome:
        self._session.results[place.path] = TaskResult("failed", error=error)
        self._session.failures.append((place.path, 1))
        self._session.listener(TaskFailed(place.path, task.display_name, 0.0, error, 1, (), None))
        return Outcome("failed", error=error)

    def _mark(self, task: ir.Task, place: Place, state: State, reason: str, *, below: bool = True) -> None:
        path = place.below(task.name) if below else place.path
        for leaf, name in self._leaves(task, path):
            self._session.results[leaf] = TaskResult(state, error=reason if state == "not_run" else "")
            self._session.listener(TaskSkipped(leaf, name, reason))

    def _leaves(self, task: ir.Task, path: str) -> Iterator[tuple[str, str]]:
        dag = self._session.pipeline.components[task.component].dag
        if dag is None or task.loop:
            yield path, task.display_name
            return
        for child in dag.tasks.values():
            yield from self._leaves(child, f"{path}/{child.name}")
