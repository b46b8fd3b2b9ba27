"""Which ranges and columns of the feature table a training needs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import (
    BuiltRange,
    built_ranges,
    feature_table,
    missing_columns,
    window_ranges,
)
from lakeloop.domain.snapshots import Snapshot, SnapshotRange, TableState
from lakeloop.domain.use_case import UseCase, Window

SOURCE = {
    "id": "long",
    "at": "timestamptz",
    "amount": "float",
    "kind": "string",
    "ok": "boolean",
    "day": "date",
}


def use_case(*features: Any, key: tuple[str, ...] = ("id",), label: str = "ok") -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "table": {"name": "a.pumps", "key": key, "event_time": "at"},
            "source": {"kind": "table"},
            "label": {"column": label},
            "features": features or ("amount", "kind"),
        }
    )


def test_columns_types_and_order() -> None:
    table = feature_table(use_case("amount", "kind", {"name": "twice", "expression": "2 * amount"}), SOURCE)
    assert table.name == "a.pumps__pumps_features"
    assert table.order == ("at", "id")
    assert table.types == {
        "at": "timestamp",
        "id": "bigint",
        "_label": "double",
        "amount": "double",
        "kind": "string",
        "twice": "double",
        "_range_id": "string",
    }


def test_the_hash_follows_the_definition() -> None:
    hashes = {
        feature_table(use_case(*features), source).hash
        for features, source in [
            (("amount", "kind"), SOURCE),
            (("kind", "amount"), SOURCE),
            (("amount", {"name": "kind", "type": "categorical"}), SOURCE),
            (("amount",), SOURCE),
            (({"name": "amount", "expression": "amount"}, "kind"), SOURCE),
            (("amount", "kind"), SOURCE | {"kind": "int"}),
        ]
    }
    assert len(hashes) == 5, "a type that is declared as it would be found changes nothing"


@pytest.mark.parametrize(
    ("features", "key", "told"),
    [
        (("absent",), ("id",), "'absent' is not in a.pumps"),
        (("amount",), ("nr",), "'nr' is not in a.pumps"),
        (("day",), ("id",), "type date is no number"),
        (({"name": "kind", "type": "numeric"},), ("id",), "type string is no number"),
        (
            ({"name": "f", "expression": "CASE WHEN OK THEN 1 ELSE 0 END"},),
            ("id",),
            "'f' reads the label 'ok'",
        ),
        (({"name": "id", "expression": "amount"},), ("id",), "'id' is the name of a key"),
    ],
)
def test_what_no_model_can_see(features: Any, key: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        feature_table(use_case(*features, key=key), SOURCE)


@pytest.mark.parametrize("column", ["amount", "at"])
def test_what_engines_write_differently_is_no_category(column: str) -> None:
    """Spark writes 1.0E7 where DuckDB writes 10000000.0, and an instant without its offset."""
    last = {"entity": "kind", "aggregate": "last", "of": column}
    for source in ({"column": column}, {"as_of": last}):
        with pytest.raises(UserError, match="has no categories"):
            feature_table(use_case({"name": "x", "type": "categorical", **source}), SOURCE)
    for fine in ("kind", "day", "id"):
        feature_table(use_case({"name": "x", "type": "categorical", "column": fine}), SOURCE)


def test_a_feature_table_grows_or_is_left_alone() -> None:
    table = feature_table(use_case("amount", "kind"), SOURCE)
    existing = [
        ("at", "timestamptz"),
        ("id", "long"),
        ("_label", "double"),
        ("amount", "double"),
        ("old", "string"),
    ]
    assert missing_columns(table, existing) == {"kind": "string", "_range_id": "string"}
    assert missing_columns(table, [*existing, ("kind", "double")]) is None


def range_(start: str | None, end: str) -> SnapshotRange:
    return SnapshotRange(table="a.pumps", table_uuid="u", from_snapshot_id=start, to_snapshot_id=end)


def built(*ends: tuple[str | None, str]) -> dict[str, BuiltRange]:
    return {range_(a, b).range_id("h"): BuiltRange(range_(a, b).range_id("h"), a, b, b, 1) for a, b in ends}


@pytest.mark.parametrize(
    ("window", "known", "ranges"),
    [
        (Window(), [("1", "2")], [("2", "3")]),
        (Window(policy="warm_start"), [("1", "2")], [("2", "3")]),
        (Window(policy="last_n", ranges=2), [("1", "2"), (None, "1")], [("2", "3"), ("1", "2")]),
        (Window(policy="last_n", ranges=9), [("1", "2"), (None, "1")], [("2", "3"), ("1", "2"), (None, "1")]),
        (Window(policy="full"), [("1", "2")], [("2", "3"), ("1", "2"), (None, "1")]),
        (Window(policy="replay"), [], [("2", "3"), (None, "2")]),
        (Window(policy="full"), [("1", "2"), (None, "2")], [("2", "3"), (None, "2")]),
    ],
)
def test_windows(window: Window, known: list[Any], ranges: list[Any]) -> None:
    chain = window_ranges(window, range_("2", "3"), built(*known))
    assert [(r.from_snapshot_id, r.to_snapshot_id) for r in chain] == ranges


@given(st.lists(st.integers(1, 30), unique=True, max_size=8).map(sorted), st.integers(1, 6))
def test_a_chain_has_neither_gap_nor_overlap(cuts: list[int], count: int) -> None:
    ends = [str(c) for c in cuts]
    known = built(*zip([None, *ends[:-1]], ends, strict=True)) if ends else {}
    newest = range_(ends[-1] if ends else None, "99")
    for window in (Window(policy="full"), Window(policy="last_n", ranges=count)):
        chain = window_ranges(window, newest, known)
        assert all(a.from_snapshot_id == b.to_snapshot_id for a, b in itertools.pairwise(chain))
        assert chain[-1].from_snapshot_id is None or (window.policy == "last_n" and len(chain) == count)


def test_built_ranges_are_those_of_the_definition_on_main() -> None:
    def summary(range_id: str, hash_: str) -> dict[str, str]:
        told = {"lakeloop.range-id": range_id, "lakeloop.feature-hash": hash_, "added-records": "7"}
        return told | {"lakeloop.range-from": "", "lakeloop.range-to": "5"}

    snapshots = (
        Snapshot(snapshot_id="1", summary=summary("r1", "h")),
        Snapshot(snapshot_id="2", parent_id="1", summary=summary("r2", "other")),
        Snapshot(snapshot_id="3", parent_id="2", operation="replace"),
        Snapshot(snapshot_id="4", parent_id="3", summary=summary("r4", "h")),
        Snapshot(snapshot_id="5", parent_id="4", summary=summary("staged", "h")),
    )
    state = TableState(name="f", table_uuid="u", current_snapshot_id="4", snapshots=snapshots)
    assert list(built_ranges(state, "h").values()) == [
        BuiltRange("r1", None, "5", "1", 7),
        BuiltRange("r4", None, "5", "4", 7),
    ]
    assert built_ranges(None, "h") == {}


def test_a_built_range_stays_known_when_its_snapshot_has_expired() -> None:
    told = {"lakeloop.range-id": "r4", "lakeloop.feature-hash": "h", "added-records": "7"}
    head = Snapshot(
        snapshot_id="4",
        parent_id="3",
        summary=told
        | {"lakeloop.range-from": "5", "lakeloop.range-to": "6", "lakeloop.range-read": "changes"},
    )
    kept = dict(
        [
            BuiltRange("r1", None, "5", "", 9).record("h"),
            BuiltRange("r4", "5", "6", "", 7, "changes").record("h"),
            BuiltRange("r2", None, "5", "", 8).record("other"),
        ]
    )
    state = TableState(
        name="f",
        table_uuid="u",
        current_snapshot_id="4",
        snapshots=(head,),
        properties={**kept, "owner": "me"},
    )
    assert list(built_ranges(state, "h").values()) == [
        BuiltRange("r1", None, "5", "4", 9),
        BuiltRange("r4", "5", "6", "4", 7, "changes"),
    ]
    whole = state.model_copy(update={"snapshots": (head.model_copy(update={"parent_id": None}),)})
    assert list(built_ranges(whole, "h")) == ["r4"], (
        "a history that is all there is the truth, e.g. after a rollback"
    )


@pytest.mark.parametrize("name", ["_label", "_range_id", "_slice_kind", "_past_at"])
def test_a_feature_never_has_a_name_of_the_feature_tables_own(name: str) -> None:
    """`_label` would be trained on as what is to be predicted."""
    with pytest.raises(UserError, match="uses itself"):
        feature_table(use_case("amount", name), SOURCE | {name: "double"})


@pytest.mark.parametrize(
    ("features", "columns", "key"),
    [
        (("amount", "Amount"), {"Amount": "double"}, ("id",)),
        (({"name": "ID", "expression": "amount * 2"},), {}, ("id",)),
        (("amount",), {"ID": "long"}, ("id", "ID")),
    ],
)
def test_names_that_differ_by_case_only_are_refused(
    features: Any, columns: dict[str, str], key: tuple[str, ...]
) -> None:
    with pytest.raises((UserError, ValueError), match="differ by case only"):
        feature_table(use_case(*features, key=key), SOURCE | columns)


def test_a_column_that_is_not_looked_at_may_have_any_name() -> None:
    assert feature_table(use_case("amount"), SOURCE | {"KIND": "string", "_label": "int"}).hash
