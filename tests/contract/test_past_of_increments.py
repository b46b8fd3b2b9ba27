"""However loans came into their table, in order, late, or all at once: what an increment has is what the whole has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.in_process.feature_builder import InProcessFeatureBuilder
from lakeloop.domain.plan import Watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.use_case import UseCase, Window
from lakeloop.generation.rows import Part, generate_rows
from lakeloop.settings import Settings
from lakeloop.use_case_files import load_use_case

ROWS = 6000
USE_CASES = Path(__file__).parents[2] / "conf/use_cases"


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    declared = load_use_case(str(USE_CASES / "loans.yaml"))
    return declared.model_copy(
        update={"train": declared.train.model_copy(update={"window": Window()}), "engine": "local"}
    )


@pytest.fixture(scope="module")
def loans(use_case: UseCase) -> pa.Table:
    """Few customers, so that each has a past."""
    rows = generate_rows(use_case, Part(1, ROWS, 0, ROWS))
    customers = pc.bit_wise_and(rows.column("id"), pa.scalar(127))
    return rows.set_column(rows.schema.get_field_index("id"), "id", customers)


def newest_features(home: Path, use_case: UseCase, parts: Sequence[pa.Table]) -> pa.Table:
    """Features of the last part, each part planned and computed by itself."""
    settings = Settings(home=home)
    lake = IcebergLake(settings)
    lake.catalog.create_namespace("bank")
    table = lake.catalog.create_table(use_case.table.name, parts[0].schema)
    watermark, rows = None, pa.table({})
    for part in parts:
        table.append(part)
        state = lake.table_state(use_case.table.name)
        assert state is not None
        plan = plan_range(state, watermark, use_case.snapshots)
        built = InProcessFeatureBuilder(settings, lake).build(use_case, plan)
        place = built.feature_table, built.feature_snapshot_id
        rows = pa.Table.from_batches(lake.read_batches(*place, range_ids=[built.newest_range_id]))
        watermark = Watermark(
            table_uuid=state.table_uuid,
            snapshot_id=str(state.current_snapshot_id),
            schema_id=plan.schema_id,
            columns=plan.columns,
        )
    return rows.drop_columns("_range_id").sort_by("loan_id")


@pytest.mark.parametrize("late", [False, True])
def test_an_increment_has_what_the_whole_has(
    tmp_path: Path, use_case: UseCase, loans: pa.Table, late: bool
) -> None:
    cut = 5500
    first, last = loans.slice(0, cut), loans.slice(cut)
    if late:
        first, last = last, first.slice(0, 700)
    whole = newest_features(tmp_path / "whole", use_case, [pa.concat_tables([first, last])])
    increment = newest_features(tmp_path / "parts", use_case, [first, last])
    same = whole.filter(pc.is_in(whole.column("loan_id"), increment.column("loan_id")))
    assert increment.num_rows == last.num_rows
    assert pc.max(increment.column("nb_previous_loans")).as_py() > 0
    assert increment.equals(same.cast(increment.schema))


def test_customers_whose_numbers_have_a_point(tmp_path: Path, use_case: UseCase, loans: pa.Table) -> None:
    """As files have them where some are unknown: NaN and infinities are nobody's, and the two zeros one customer's."""
    names = np.array([0.0, -0.0, 4711.0, np.nan, np.inf, -np.inf, 0.5])
    ids = names[loans.column("id").to_numpy() % len(names)]
    loans = loans.set_column(loans.schema.get_field_index("id"), "id", pa.array(ids))
    parts = [loans.slice(0, ROWS - 50), loans.slice(ROWS - 50)]
    whole = newest_features(tmp_path / "whole", use_case, [loans])
    increment = newest_features(tmp_path / "parts", use_case, parts)
    same = whole.filter(pc.is_in(whole.column("loan_id"), increment.column("loan_id")))
    assert increment.equals(same.cast(increment.schema))
    counts = increment.column("nb_previous_loans").to_numpy(zero_copy_only=False)
    known = np.isfinite(parts[1].sort_by("loan_id").column("id").to_numpy())
    dated = parts[1].sort_by("loan_id").column("loan_date").is_valid().to_numpy(zero_copy_only=False)
    assert np.array_equal(np.isnan(counts), ~(known & dated))
    assert np.nanmax(counts) > 1500, "both zeros together"
