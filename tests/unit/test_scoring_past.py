"""Batch scores of a model that looks back are those of the very features that it was trained on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakeloop import bootstrap
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.in_process.feature_builder import InProcessFeatureBuilder
from lakeloop.domain.errors import UserError
from lakeloop.domain.planner import plan_range
from lakeloop.settings import Settings
from tests.contract.test_online_equals_offline import SCHEMA, USE_CASE, loans

NAMES = ["nb_previous_loans", "avg_amount_loans_previous"]


class Bank:
    """A tenth of the loans in two commits, and their feature table."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.lake = IcebergLake(self.settings)
        self.lake.catalog.create_namespace_if_not_exists("bank")
        self.loans = loans(random.Random(3))[::10]
        table = self.lake.catalog.create_table(USE_CASE.table.name, SCHEMA)
        for part in (self.loans[::2], self.loans[1::2]):
            table.append(pa.Table.from_pylist(part, SCHEMA))
        state = self.lake.table_state(USE_CASE.table.name)
        assert state is not None
        self.head = str(state.current_snapshot_id)
        plan = plan_range(state, None, USE_CASE.snapshots)
        self.trained = InProcessFeatureBuilder(self.settings, self.lake).build(USE_CASE, plan)

    def trained_on(self) -> dict[int, dict[str, Any]]:
        rows = self.lake.read_batches(self.trained.feature_table, self.trained.feature_snapshot_id)
        return {row["loan_id"]: row for batch in rows for row in batch.to_pylist()}


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


def test_each_file_s_rows_see_what_the_training_saw(bank: Bank) -> None:
    past = bootstrap.past_of_rows(bank.settings, USE_CASE, bank.head, bank.trained.feature_hash)
    wanted, seen = bank.trained_on(), 0
    for _, read in bank.lake.read_files(USE_CASE.table.name, bank.head, past.columns):
        for batch in read():
            for row in past.beside(pa.Table.from_batches([batch])).to_pylist():
                assert [row[n] for n in NAMES] == [wanted[row["loan_id"]][n] for n in NAMES]
                seen += 1
    assert seen == len(bank.loans)
    assert sum(row["nb_previous_loans"] or 0 for row in wanted.values()) > seen


def test_rows_of_another_table_look_at_the_use_case_s_own(bank: Bank) -> None:
    past = bootstrap.past_of_rows(bank.settings, USE_CASE, bank.head, bank.trained.feature_hash)
    known = next(loan for loan in bank.loans if loan["id"] is not None and loan["loan_date"])
    new = {**known, "loan_id": 10**9, "loan_date": known["loan_date"].replace(year=2030)}
    (row,) = past.beside(pa.Table.from_pylist([new], SCHEMA)).to_pylist()
    earlier = [o for o in bank.loans if o["id"] == known["id"] and o["loan_date"]]
    assert row["nb_previous_loans"] == len(earlier)
    nobody = {**new, "id": 10**8}
    (row,) = past.beside(pa.Table.from_pylist([nobody], SCHEMA)).to_pylist()
    assert (row["nb_previous_loans"], row["avg_amount_loans_previous"]) == (0, None)


def test_other_definitions_and_rows_without_an_entity_are_refused(bank: Bank) -> None:
    with pytest.raises(UserError, match="definitions"):
        bootstrap.past_of_rows(bank.settings, USE_CASE, bank.head, "ffff")
    past = bootstrap.past_of_rows(bank.settings, USE_CASE, bank.head, bank.trained.feature_hash)
    with pytest.raises(UserError, match="no column id"):
        past.beside(pa.Table.from_pylist(bank.loans[:1], SCHEMA).drop_columns(["id"]))
