"""Which engine does a piece of work."""

from __future__ import annotations

import pytest

from lakeloop.domain.engines import Engine, choose_engine, rows_in_memory

GIB = 2**30


def test_more_memory_or_fewer_columns_let_more_rows_stay_in_process() -> None:
    assert rows_in_memory(24 * GIB, 17) > 5_000_000
    assert rows_in_memory(8 * GIB, 17) == pytest.approx(rows_in_memory(24 * GIB, 17) / 3, abs=1)
    assert rows_in_memory(8 * GIB, 170) == pytest.approx(rows_in_memory(8 * GIB, 17) / 10, abs=1)


def test_what_is_read_at_the_limit_takes_a_third_of_the_memory() -> None:
    assert rows_in_memory(3 * GIB, 1) * 48 <= GIB


def test_unknown_memory_keeps_a_fixed_limit() -> None:
    assert rows_in_memory(None, 500) == 2_000_000


@pytest.mark.parametrize(
    ("declared", "wanted", "master", "rows", "engine"),
    [
        ("auto", "auto", "local[*]", 10, "local"),
        ("auto", "auto", "local[*]", 11, "spark"),
        ("auto", "auto", "local[*]", None, "spark"),
        ("auto", "auto", "k8s://https://kubernetes.default.svc", 1, "spark"),
        ("spark", "auto", "local[*]", 1, "spark"),
        ("local", "auto", "k8s://https://kubernetes.default.svc", None, "local"),
        ("spark", "local", "local[*]", 99, "local"),
    ],
)
def test_whoever_runs_it_wins_then_the_use_case_then_size(
    declared: Engine, wanted: Engine, master: str, rows: int | None, engine: str
) -> None:
    choice = choose_engine(declared, wanted, master, rows, most_rows=10)
    assert choice.engine == engine
    assert choice.reason
