"""An expression's syntax tree, by DuckDB's own parser: what stands here is what DuckDB would evaluate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Node = Mapping[str, Any]


class NotCompilable(Exception):  # noqa: N818 - not an error: DuckDB evaluates what is not compiled
    """The expression has a part that only DuckDB evaluates; the text says which."""


def parse(expression: str) -> Node:
    """The tree of one scalar expression (`json_serialize_sql`'s form).

    Raises:
        NotCompilable: it is not one plain expression.
    """
    import duckdb

    with duckdb.connect(":memory:") as connection:
        row = connection.execute(
            "SELECT json_serialize_sql(?::VARCHAR, skip_default := true, skip_empty := true, skip_null := true)",
            [f"SELECT ({expression})"],
        ).fetchone()
    parsed = json.loads(row[0]) if row else {}
    statements = parsed.get("statements", [])
    if parsed.get("error") or len(statements) != 1:
        raise NotCompilable("it cannot be parsed as one expression")
    node = statements[0]["node"]
    selected = node.get("select_list", [])
    others = {"where_clause", "group_expressions", "having", "qualify", "cte_map"} & node.keys()
    if (
        others - {"cte_map"}
        or len(selected) != 1
        or node.get("from_table", {}).get("type", "EMPTY") != "EMPTY"
    ):
        raise NotCompilable("it is more than one expression")
    tree: Node = selected[0]
    return tree
