"""What a caller is told of a customer is what training sees: 10,000 random ids, at random times.

Offline are two things: the feature table, and an own computation in plain Python, row by row. Online are the features
API, and the function that the predictor compiles out of the same declarations.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from lakeloop import bootstrap
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.in_process.feature_builder import InProcessFeatureBuilder
from lakeloop.domain.encoding import fit_encoding
from lakeloop.domain.plan import Watermark
from lakeloop.domain.planner import plan_range
from lakeloop.publishing import publish_features
from lakeloop.serving.compiled.row_function import RowFunction
from lakeloop.serving.features.app import MAX_IDS, build_app
from lakeloop.settings import Settings
from lakeloop.use_case_files import load_use_case

CUSTOMERS, LOANS, TIMES, IDS_A_TIME = 2_500, 30_000, 10, 1_000
FIRST_DAY, DAYS = dt.date(2000, 1, 1), 2_000
SCHEMA = pa.schema(
    [
        ("loan_id", pa.int64()),
        ("id", pa.int64()),
        ("flag_own_car", pa.int32()),
        ("status", pa.int32()),
        ("birthday", pa.date32()),
        ("job_start_date", pa.date32()),
        ("loan_date", pa.date32()),
        ("loan_amount", pa.float64()),
    ]
)
Loan = dict[str, Any]
USE_CASE = load_use_case("conf/use_cases/loans.yaml")


def loans(rng: random.Random) -> list[Loan]:
    """Skewed customers; few days, so that they tie; unknown dates, customers, amounts and birthdays; a leap day."""
    made = []
    for number in range(LOANS):
        day = FIRST_DAY + dt.timedelta(days=rng.randrange(0, DAYS, 5))
        born = dt.date(1960, 2, 29) + dt.timedelta(days=rng.choice([0, rng.randrange(12_000)]))
        made.append(
            {
                "loan_id": number,
                "id": None if rng.random() < 0.005 else int(CUSTOMERS * rng.random() ** 3),
                "flag_own_car": rng.choice([0, 1, None]),
                "status": int(rng.random() < 0.1),
                "birthday": None if rng.random() < 0.02 else born,
                "job_start_date": None
                if rng.random() < 0.2
                else day - dt.timedelta(rng.randrange(-30, 9_000)),
                "loan_date": None if rng.random() < 0.01 else day,
                "loan_amount": None if rng.random() < 0.01 else round(rng.lognormvariate(11, 1), 2),
            }
        )
    return made


def batches(everything: list[Loan], rng: random.Random) -> list[list[Loan]]:
    """What was known at each of the random times: later loans land later, those without a date at any time."""
    ends = sorted(FIRST_DAY + dt.timedelta(days=rng.randrange(DAYS)) for _ in range(TIMES - 1))
    landed: list[list[Loan]] = [[] for _ in range(TIMES)]
    for loan in everything:
        at = loan["loan_date"]
        place = rng.randrange(TIMES) if at is None else sum(at > end for end in ends)
        landed[place].append(loan)
    return landed


class Offline:
    """The declared features by their definition: plain loops over the loans that are known."""

    def __init__(self) -> None:
        self._of: dict[int, list[Loan]] = defaultdict(list)

    def land(self, batch: list[Loan]) -> None:
        for loan in batch:
            if loan["id"] is not None:
                self._of[loan["id"]].append(loan)

    def latest(self, customer: int) -> Loan | None:
        """By date, then loan; a known date before an unknown one."""
        known = self._of.get(customer)
        if not known:
            return None
        return max(
            known,
            key=lambda loan: (
                loan["loan_date"] is not None,
                loan["loan_date"] or dt.date.min,
                loan["loan_id"],
            ),
        )

    def features(self, loan: Loan) -> dict[str, float | None]:
        at = loan["loan_date"]
        before = [o for o in self._of[loan["id"]] if at and o["loan_date"] and o["loan_date"] < at]
        amounts = [o["loan_amount"] for o in before if o["loan_amount"] is not None]
        return {
            "nb_previous_loans": float(len(before)) if at else None,
            "avg_amount_loans_previous": sum(amounts) / len(amounts) if amounts else None,
            "age": _years(loan["birthday"], at),
            "years_on_the_job": _days(loan["job_start_date"], at, 365.2425),
            "flag_own_car": None if loan["flag_own_car"] is None else float(loan["flag_own_car"]),
        }


def _days(since: dt.date | None, at: dt.date | None, a_year: float) -> float | None:
    """What begins after the loan has not begun."""
    return (at - since).days / a_year if at and since and since <= at else None


def _same(one: float | None, other: float | None) -> bool:
    """Equal, but for the last digits: a mean depends on the order of its sum."""
    return one is other is None if one is None or other is None else math.isclose(one, other, rel_tol=1e-12)


def _years(born: dt.date | None, at: dt.date | None) -> float | None:
    if born is None or at is None or born > at:
        return None
    return float(at.year - born.year - ((at.month, at.day) < (born.month, born.day)))


class Lakehouse:
    """The source table, its features, and what is published of them."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.lake = IcebergLake(self.settings)
        self._consumed: Watermark | None = None
        self.places = bootstrap.feature_places(self.settings)
        self.lake.catalog.create_namespace_if_not_exists("bank")
        self.table = self.lake.catalog.create_table(USE_CASE.table.name, SCHEMA)
        self.app = build_app("loans", self.places.store)

    def land(self, batch: list[Loan]) -> None:
        """Append, compute the increment, publish."""
        self.table.append(pa.Table.from_pylist(batch, SCHEMA))
        state = self.lake.table_state(USE_CASE.table.name)
        plan = plan_range(state, self._consumed, USE_CASE.snapshots)
        self.trained = InProcessFeatureBuilder(self.settings, self.lake).build(USE_CASE, plan)
        assert state is not None
        self._consumed = Watermark(
            table_uuid=state.table_uuid,
            snapshot_id=str(state.current_snapshot_id),
            schema_id=plan.schema_id,
            columns=plan.columns,
        )
        assert publish_features(self.places, USE_CASE).published

    def feature_rows(self) -> dict[int, dict[str, Any]]:
        """By loan, as the feature table has them."""
        state = self.lake.table_state(self.trained.feature_table)
        assert state is not None
        rows = self.lake.read_batches(state.name, str(state.current_snapshot_id))
        return {row["loan_id"]: row for batch in rows for row in batch.to_pylist()}

    def online(self, ids: list[str]) -> list[Any]:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.post("/features", json={"ids": ids})

        answer = asyncio.run(ask()).raise_for_status().json()
        assert self._consumed is not None
        assert answer["as_of"]["snapshot_id"] == self._consumed.snapshot_id
        entities: list[Any] = answer["entities"]
        return entities


@pytest.mark.timeout(300)
def test_10_000_random_ids_at_random_times(tmp_path: Path) -> None:
    rng = random.Random(20_261)
    lakehouse, offline = Lakehouse(tmp_path), Offline()
    everything, names = loans(rng), [f.name for f in USE_CASE.features]
    asked = unknown = 0
    for batch in batches(everything, rng):
        lakehouse.land(batch)
        offline.land(batch)
        table = lakehouse.feature_rows()
        customers = [rng.randrange(CUSTOMERS + 100) for _ in range(IDS_A_TIME)]
        assert len(customers) <= MAX_IDS
        told = lakehouse.online([str(c) for c in customers])
        latest = [offline.latest(c) for c in customers]
        for customer, entity, loan in zip(customers, told, latest, strict=True):
            assert (entity is None) == (loan is None), customer
            if loan is None:
                unknown += 1
                continue
            row = table[loan["loan_id"]]
            assert entity["features"] == {name: row[name] for name in names}, (
                "the feature table's, to the last bit"
            )
            expected = offline.features(loan)
            assert [n for n in names if not _same(entity["features"][n], expected[n])] == [], customer
        _compare_compiled([pair for pair in zip(told, latest, strict=True) if pair[1]])
        asked += len(customers)
    assert asked == 10_000
    assert 0 < unknown < asked / 2
    undated = [loan for loan in everything if loan["loan_date"] is None]
    assert len(undated) > 100


def _compare_compiled(found: list[tuple[Any, Loan]]) -> None:
    """The predictor's function, of the newest loan with what the features API says of its customer's past."""
    types = {f.name: USE_CASE.table.columns[f.name] for f in SCHEMA}
    values = pa.table({f.name: [0.0] for f in USE_CASE.features})
    encoding = fit_encoding(USE_CASE.features, values, types, USE_CASE.table.event_time)
    past = set(encoding.past_columns)
    rows = []
    for entity, loan in found:
        row = {c: loan[c] for c in encoding.source_columns if c not in past}
        row = {c: v.isoformat() if isinstance(v, dt.date) else v for c, v in row.items()}
        row |= {c: entity["features"][c] for c in past}
        rows.append({c: row[c] for c in encoding.source_columns})
    matrix = RowFunction(encoding).matrix(rows)
    assert matrix is not None, "no row needed the long way"
    names = [f.name for f in encoding.features]
    wanted = [[np.nan if e["features"][n] is None else e["features"][n] for n in names] for e, _ in found]
    assert np.array_equal(matrix, np.array(wanted, np.float64).astype(np.float32), equal_nan=True)
