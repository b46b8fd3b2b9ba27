"""What a table's metadata says about a batch that wants to join it. Pure."""

from __future__ import annotations

from lakeloop.domain.snapshots import TableState
from lakeloop.domain.use_case import UseCase

_ICEBERG_TYPES: dict[str, tuple[str, ...]] = {"timestamp": ("timestamptz", "timestamp")}


def table_problems(use_case: UseCase, state: TableState | None) -> list[str]:
    """How the declared columns differ from an existing table's; empty where they agree or there is no table."""
    if state is None:
        return []
    have = {column.name: column.type for column in state.columns}
    declared = use_case.table.columns
    problems = [f"table.columns: {c!r} is not in the table" for c in declared if c not in have]
    problems += [f"column {c!r} of the table is not in table.columns" for c in have if c not in declared]
    problems += [
        f"table.columns: {c!r} is declared {kind}, the table has {have[c]}"
        for c, kind in declared.items()
        if c in have and have[c] not in _ICEBERG_TYPES.get(kind, (kind,))
    ]
    return problems
