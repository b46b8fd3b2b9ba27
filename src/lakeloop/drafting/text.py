"""Choices as a commented YAML file of at most 40 lines."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lakeloop.domain.table_facts import NUMERIC, ColumnFacts, TableFacts
from lakeloop.drafting.choices import Choices

MAX_LINES = 40
WIDTHS = (108, 160, 320, 100_000)
HOLDOUT = 0.2


@dataclass(frozen=True)
class Block:
    """A flow collection that is wrapped when the width is known."""

    key: str
    brackets: str
    entries: tuple[str, ...]


Line = str | Block
_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def use_case_text(name: str, table: str, path: str, facts: TableFacts, choices: Choices) -> str:
    """A use case that validates.

    Args:
        name: the use case's name.
        table: `namespace.table`.
        path: the files as the source should name them; not used for a table.
        facts: what was seen.
        choices: what was chosen.
    """
    used = [column for column in facts.columns if column.type is not None]
    lines: list[Line] = [
        f"# Drafted by `lakeloop init` from {facts.rows:,} rows of {path or table}: read it, then change it.",
        f"name: {name}",
        "table:",
        f"  name: {table}",
        f"  key: {_list(choices.key)}" + ("" if choices.key_is_unique else "  # not unique in these rows"),
        f"  event_time: {_word(choices.event_time)}",
        *_mapping("  columns", [f"{_word(c.name)}: {c.type}" for c in used]),
        *_source(path, facts),
        *_expectations(facts, choices),
        _label(facts, choices),
        *_features(choices),
        "train:",
        "  params: {max_depth: 6, eta: 0.1, tree_method: hist}  # go to XGBoost as they are",
        "  window: {policy: increment}  # or last_n, full, warm_start, replay: see docs/use-case-reference.md",
        *_gate(facts, choices),
    ]
    drafts = ([text for line in lines for text in _rendered(line, width)] for width in WIDTHS)
    return "\n".join(next(draft for draft in drafts if len(draft) <= MAX_LINES)) + "\n"


def _source(path: str, facts: TableFacts) -> list[Line]:
    if facts.kind == "table":
        return ["source: {kind: table}  # somebody else writes the table; lakeloop follows its snapshots"]
    delimiter = "" if facts.csv_delimiter == "," else f", csv_delimiter: {json.dumps(facts.csv_delimiter)}"
    files = f"kind: files, path: {json.dumps(path, ensure_ascii=False)}, format: {facts.kind}{delimiter}"
    written = [f"{_word(c.name)}: {json.dumps(c.time_format)}" for c in facts.columns if c.time_format]
    formats = f", time_formats: {{{', '.join(written)}}}" if written else ""
    return [f"source: {{{files}{formats}}}  # relative to this file"]


def _expectations(facts: TableFacts, choices: Choices) -> list[Line]:
    sure = [*choices.key, choices.event_time, choices.label]
    not_null = [name for name in dict.fromkeys(sure) if _nulls(facts, name) == 0]
    sparse = [c for c in choices.features if c.nulls]
    rate = choices.positives / facts.rows
    lines: list[Line] = [
        "expectations:  # a batch that breaks one never becomes visible",
        f"  not_null: {_list(not_null)}",
    ]
    if choices.key_is_unique:
        lines.append(f"  unique: {_list(choices.key)}")
    if sparse:
        lines += _mapping(
            "  max_null_fraction", [f"{_word(c.name)}: {_share(c, facts.rows)}" for c in sparse]
        )
    bounded = [c for c in choices.features if c.type in NUMERIC and c.min is not None]
    lines += _mapping("  ranges", [_range(c) for c in bounded])
    low, high = _digits(rate / 4), _digits(1 - (1 - rate) / 4)
    lines.append(f"  label_rate: {{min: {low}, max: {high}}}  # seen: {_digits(rate)}")
    if any(c.type is None for c in facts.columns):
        lines.append("  extra_columns: drop")
    return lines


def _nulls(facts: TableFacts, name: str) -> int:
    column = facts.column(name)
    return column.nulls if column else 0


def _share(column: ColumnFacts, rows: int) -> str:
    return _digits(min(1.0, math.ceil(200 * column.nulls / rows + 1) / 100))


def _range(column: ColumnFacts) -> str:
    """The seen range and half of its width on either side; what was never negative stays so."""
    low, high = column.min or 0.0, column.max or 0.0
    room = (high - low) / 2
    least = max(0.0, low - room) if low >= 0 else low - room
    return f"{_word(column.name)}: {{min: {_rounded(least, down=True)}, max: {_rounded(high + room)}}}"


def _rounded(value: float, *, down: bool = False) -> str:
    """Two significant digits, away from the range."""
    if value == 0 or not math.isfinite(value):
        return "0"
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    steps = math.floor(value / unit) if down else math.ceil(value / unit)
    return _digits(steps * unit)


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.15g}" if value % 1 else f"{value:.0f}"


def _label(facts: TableFacts, choices: Choices) -> str:
    column = facts.column(choices.label)
    seen = ", ".join(f"{value}: {count:,}" for value, count in (column.values if column else {}).items())
    positive = f", positive: {_value(choices.positive, column)}" if choices.positive is not None else ""
    return f"label: {{column: {_word(choices.label)}{positive}}}  # {seen}"


def _value(text: str, column: ColumnFacts | None) -> str:
    return text if column and column.type in NUMERIC else json.dumps(text, ensure_ascii=False)


def _features(choices: Choices) -> list[Line]:
    out = "; ".join(f"{name} ({reason})" for name, reason in choices.left_out.items())
    remark = [f"# left out: {out}"[: WIDTHS[0]]] if out else []
    names = _names([c.name for c in choices.features])
    entries = [_feature(c, name) for c, name in zip(choices.features, names, strict=True)]
    return [*remark, Block("features", "[]", tuple(entries))]


def _names(columns: Sequence[str]) -> list[str]:
    """A name a column, of ASCII letters, digits and underscores, all different also where case does not count."""
    names: list[str] = []
    for column in columns:
        taken = {name.lower() for name in names}
        name = column if _PLAIN.match(column) else plain_name(column)
        name = f"_{name}" if name[:1].isdigit() else name[:58] or "column"
        number = next(i for i in range(1, len(columns) + 1) if _numbered(name, i).lower() not in taken)
        names.append(_numbered(name, number))
    return names


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def plain_name(text: str) -> str:
    """ASCII letters, digits and single underscores of a text; accents are left off."""
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", "_", bare, flags=re.ASCII).strip("_")


def _feature(column: ColumnFacts, name: str) -> str:
    """A bare name where that says it all; categories and odd column names are written out."""
    kind = ", type: categorical" if column.type == "string" else ""
    if name == column.name:
        return f"{{name: {_word(name)}{kind}}}" if kind else _word(name)
    return f"{{name: {_word(name)}, column: {_word(column.name)}{kind}}}"


def _gate(facts: TableFacts, choices: Choices) -> list[str]:
    held_out = int(facts.rows * HOLDOUT)
    rarer = min(choices.positives, facts.rows - choices.positives) * HOLDOUT
    min_rows, min_positives = min(500, max(20, held_out // 2)), min(10, max(2, int(rarer / 2)))
    evidence = f"min_rows: {min_rows}, min_positives: {min_positives}"
    return [
        f"gate: {{metric: roc_auc, floor: 0.5, {evidence}}}  # of {held_out:,} held-out rows; 0.5 is chance"
    ]


def _word(text: str) -> str:
    return text if _PLAIN.match(text) and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


def _list(names: Iterable[str]) -> str:
    return "[" + ", ".join(map(_word, names)) + "]"


def _mapping(key: str, entries: Sequence[str]) -> list[Line]:
    return [Block(key, "{}", tuple(entries))] if entries else []


def _rendered(line: Line, width: int) -> list[str]:
    """`key: {a, b}` in one line when it fits, else filled lines between the brackets."""
    if isinstance(line, str):
        return [line]
    opening, closing = line.brackets[0], line.brackets[1]
    whole = f"{line.key}: {opening}{', '.join(line.entries)}{closing}"
    if len(whole) <= width:
        return [whole]
    outer = " " * (len(line.key) - len(line.key.lstrip()))
    return [f"{line.key}: {opening}", *_filled(line.entries, f"{outer}  ", width), outer + closing]


def _filled(entries: Sequence[str], indent: str, width: int) -> list[str]:
    lines = [f"{indent}{entries[0]},"]
    for entry in entries[1:]:
        if len(lines[-1]) + len(entry) + 2 <= width:
            lines[-1] += f" {entry},"
        else:
            lines.append(f"{indent}{entry},")
    return lines
