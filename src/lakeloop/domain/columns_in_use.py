"""Which columns of its table a use case looks at."""

from __future__ import annotations

from collections.abc import Iterable

from lakeloop.domain.use_case import UseCase


def columns_in_use(use_case: UseCase, names: Iterable[str]) -> frozenset[str]:
    """Of the names, those that the use case declares, orders rows by, learns from, looks back at, or checks.

    Args:
        use_case: with features, expectations and slices.
        names: of a table's columns, of any of its schemas.
    """
    from lakeloop.domain.encoding import source_columns  # loads Arrow: a plan asks only where columns changed

    asked, table = use_case.expectations, use_case.table
    named = {
        table.event_time,
        use_case.label.column,
        *table.key,
        *table.columns,
        *asked.not_null,
        *asked.unique,
    }
    named |= {
        *asked.max_null_fraction,
        *asked.ranges,
        *asked.allowed,
        *(s.column for s in use_case.gate.slices),
    }
    named |= {column for feature in use_case.features for column in feature.read_columns}
    named |= set(use_case.online.entity) if use_case.online else set()
    known = dict.fromkeys(names, "")
    named |= source_columns(use_case.features, known).keys()
    return frozenset(name for name in known if name in named)
