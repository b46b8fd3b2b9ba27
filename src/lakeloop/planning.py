"""`plan` for a use case: one look at the table's metadata and one at the ledger, no JVM."""

from __future__ import annotations

from functools import partial

from lakeloop.domain.columns_in_use import columns_in_use
from lakeloop.domain.ledger import watermark
from lakeloop.domain.plan import Plan
from lakeloop.domain.planner import plan_range
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.ports.ledger import Ledger


def plan_use_case(lake: Lake, ledger: Ledger, use_case: UseCase) -> Plan:
    """What the next training of a use case would read, and why.

    The ledger is read before the table: a range that was consumed in between is then still planned, and
    stopped by its claim; the other order could take the new watermark for one that the table has lost.

    Raises:
        LakeloopError: the catalog does not answer.
    """
    consumed = watermark(ledger.events(use_case.name, documents=False))
    state = lake.table_state(use_case.table.name)
    return plan_range(state, consumed, use_case.snapshots, partial(columns_in_use, use_case))
