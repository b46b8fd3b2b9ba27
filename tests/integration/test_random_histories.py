"""Random histories of a real Iceberg table: what planning and building deliver is the truth, or a justified refusal.

The truth is a dictionary of rows for each snapshot, kept in Python beside what Spark and Iceberg do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from lakeloop.domain.errors import UserError
from lakeloop.domain.plan import Plan
from tests.integration.landing import Landing

pytestmark = pytest.mark.spark

Row = tuple[float, str, int]  # amount, kind, failed
Rows = dict[int, Row]
OPERATIONS = (
    *("append",) * 4,
    *("train",) * 4,
    *("delete", "update", "overwrite", "compact", "expire", "roll back", "add column", "drop column"),
)
POLICIES = ("refuse", "changelog", "rebuild")
Operation = tuple[str, int]


@dataclass
class Commit:
    """A snapshot of main: what it did, and every row that is then there."""

    snapshot_id: str
    appends: bool
    rows: Rows
    columns: tuple[str, ...]
    retained: bool = True


@dataclass
class History:
    """The table, and the truth about it."""

    landing: Landing
    line: list[Commit] = field(default_factory=list)
    consumed: Commit | None = None
    consumed_columns: tuple[str, ...] = ()
    next_id: int = 0
    extra: list[str] = field(default_factory=list)
    done: list[Operation] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    def create(self) -> None:
        self._sql("CREATE NAMESPACE IF NOT EXISTS {n}")
        columns = "id BIGINT, at TIMESTAMP, amount DOUBLE, kind STRING, failed INT"
        self._sql(f"CREATE TABLE {{t}} ({columns}) USING iceberg")

    def apply(self, operation: Operation) -> None:
        self.done.append(operation)
        name, number = operation
        {
            "append": self._append,
            "train": self._train,
            "delete": self._delete,
            "update": self._update,
            "overwrite": self._overwrite,
            "compact": self._compact,
            "expire": self._expire,
            "roll back": self._roll_back,
            "add column": self._add_column,
            "drop column": self._drop_column,
        }[name](number)

    @property
    def rows(self) -> Rows:
        return self.line[-1].rows if self.line else {}

    def _append(self, number: int) -> None:
        new = self._new_rows(2 + number % 3)
        self._sql(f"INSERT INTO {{t}} (id, at, amount, kind, failed) {_values(new)}")
        self._committed({**self.rows, **new}, appends=True)

    def _overwrite(self, number: int) -> None:
        new = self._new_rows(2 + number % 2)
        nothing = "".join(", NULL" for _ in self.extra)
        self._sql(f"INSERT OVERWRITE {{t}} SELECT *{nothing} FROM ({_values(new)})")  # noqa: S608
        self._committed(new, appends=False)

    def _delete(self, number: int) -> None:
        remainder = number % 5
        self._sql(f"DELETE FROM {{t}} WHERE id % 5 = {remainder}")  # noqa: S608
        self._committed({i: row for i, row in self.rows.items() if i % 5 != remainder}, appends=False)

    def _update(self, number: int) -> None:
        remainder = number % 4
        self._sql(f"UPDATE {{t}} SET amount = amount + 1 WHERE id % 4 = {remainder}")  # noqa: S608
        changed = {i: (a + (i % 4 == remainder), k, f) for i, (a, k, f) in self.rows.items()}
        self._committed(changed, appends=False)

    def _compact(self, _: int) -> None:
        self._call("rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))")
        self._committed(self.rows, appends=True)

    def _expire(self, number: int) -> None:
        kept = 1 + number % 3
        self._call(f"expire_snapshots('{{name}}', TIMESTAMP '2999-01-01 00:00:00', {kept})")
        state = self.landing.state
        left = {s.snapshot_id for s in state.snapshots} if state else set()
        for commit in self.line:
            commit.retained = commit.snapshot_id in left

    def _roll_back(self, number: int) -> None:
        earlier = [commit for commit in self.line[:-1] if commit.retained]
        if not earlier:
            return
        target = earlier[number % len(earlier)]
        self._call(f"rollback_to_snapshot('{{name}}', {target.snapshot_id})")
        self.line = self.line[: self.line.index(target) + 1]

    def _add_column(self, _: int) -> None:
        name = f"extra{len(self.done)}"
        self._sql(f"ALTER TABLE {{t}} ADD COLUMN {name} INT")
        self.extra.append(name)

    def _drop_column(self, number: int) -> None:
        if self.extra:
            self._sql(f"ALTER TABLE {{t}} DROP COLUMN {self.extra.pop(number % len(self.extra))}")

    def _train(self, number: int) -> None:
        choice = POLICIES[number % 3]
        two = "rebuild" if choice == "rebuild" else "refuse"
        self.landing.changes = {
            "snapshots": {
                "on_overwrite": choice,
                "on_delete": choice,
                "on_expired_start": two,
                "on_rollback": two,
                "on_schema_change": "refuse" if number % 2 else "allow_added",
            }
        }
        plan = self.landing.plan()
        assert plan == self.landing.plan(), "planned twice from the same facts"
        self.outcomes.append(self._judge(plan))

    def _judge(self, plan: Plan) -> str:
        """Rows trained on are the truth's; what trains on nothing says why, and is right."""
        assert plan.reasons
        if plan.action == "refuse":
            assert not self._plain(), f"refused, but the history is plain: {plan.reasons}"
            return "refuse"
        before = self.consumed.rows if self.consumed else {}
        new = {i: row for i, row in self.rows.items() if before.get(i) != row}
        if plan.action == "nothing":
            assert not new, f"{len(new)} new rows were passed over: {plan.reasons}"
            return "nothing"
        if plan.action == "append-scan":
            assert before.items() <= self.rows.items(), "rows were changed or removed, and nobody is told"
        expected = self.rows if plan.action == "rebuild" else new
        return self._build(plan, expected)

    def _build(self, plan: Plan, expected: Rows) -> str:
        try:
            training_set = self.landing.build(plan)
        except UserError:
            if len({failed for _, _, failed in expected.values()}) > 1:
                raise
            return "one class"
        place = training_set.feature_table, training_set.feature_snapshot_id
        columns = ["id", "amount", "kind", "_label"]
        batches = self.landing.spark_lake.lake.read_batches(*place, columns, training_set.range_ids)
        found = [row for batch in batches for row in batch.to_pylist()]
        trained = {row["id"]: (row["amount"], row["kind"], int(row["_label"])) for row in found}
        assert (len(found), trained) == (len(expected), expected)
        assert training_set.rows == len(expected)
        self.landing.consume(plan)
        self.consumed = self.line[-1]
        self.consumed_columns = self._columns()
        return plan.action

    def _plain(self) -> bool:
        """Only appends and compactions since what was consumed, all of them still there, and the same columns."""
        if self.consumed is None:
            return True
        if self.consumed not in self.line or self.consumed_columns != self._columns():
            return False
        since = self.line[self.line.index(self.consumed) + 1 :]
        return all(commit.appends and commit.retained for commit in since)

    def _committed(self, rows: Rows, *, appends: bool) -> None:
        """Main's new head, if there is one: Iceberg makes none where nothing was to be done."""
        state = self.landing.state
        head = state.current_snapshot_id
        if head is not None and head != (self.line[-1].snapshot_id if self.line else None):
            self.line.append(Commit(head, appends, rows, self._columns()))
        assert rows == self.rows, "the truth has changed, and the table has no new snapshot"

    def _columns(self) -> tuple[str, ...]:
        return tuple(f"{c.field_id} {c.name} {c.type}" for c in self.landing.state.columns)

    def _new_rows(self, count: int) -> Rows:
        first, self.next_id = self.next_id, self.next_id + count
        return {i: (i + 0.5, "ab"[i % 2], i % 2) for i in range(first, self.next_id)}

    def _sql(self, text: str) -> None:
        catalog, namespace = self.landing.spark_lake.settings.catalog_name, self.landing.namespace
        self.landing.spark_lake.sql(text.format(t=f"{catalog}.{self._name}", n=f"{catalog}.{namespace}"))

    def _call(self, procedure: str) -> None:
        catalog = self.landing.spark_lake.settings.catalog_name
        self._sql(f"CALL {catalog}.system.{procedure.format(name=self._name)}")

    @property
    def _name(self) -> str:
        return self.landing.use_case.table.name


def _values(rows: Rows) -> str:
    listed = ", ".join(
        f"({i}L, TIMESTAMP '2025-01-01 00:00:00' + INTERVAL {i} MINUTES, {a}D, '{k}', {f})"
        for i, (a, k, f) in rows.items()
    )
    return f"SELECT /*+ COALESCE(1) */ * FROM VALUES {listed} AS v(id, at, amount, kind, failed)"  # noqa: S608


def operations(count: int) -> st.SearchStrategy[list[Operation]]:
    one = st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 59))
    return st.lists(one, min_size=count, max_size=count)


def check(history: History, listed: list[Operation]) -> None:
    history.create()
    for operation in [("append", 2), *listed, ("append", 0), ("train", 2)]:
        note(f"{operation}")  # a failure shows the history that led to it
        history.apply(operation)
    assert "append-scan" in history.outcomes or "rebuild" in history.outcomes


@pytest.fixture
def fresh(spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path) -> Callable[[], History]:
    return lambda: History(Landing(spark_lake, fresh_namespace(), tmp_path))


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(go=st.integers(0, 9), listed=operations(12))
def test_short_histories(fresh: Callable[[], History], go: int, listed: list[Operation]) -> None:
    if go:  # Hypothesis begins with the simplest history, ten appends: that is another test's
        check(fresh(), listed)


@pytest.mark.crash
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", range(3))
@settings(
    max_examples=2,  # the first one is the simplest, and left out
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(go=st.integers(0, 9), listed=operations(200))
def test_two_hundred_operations(
    fresh: Callable[[], History], number: int, go: int, listed: list[Operation]
) -> None:
    """Another history each time; a failure prints its operations."""
    del number
    if go:
        check(fresh(), listed)
