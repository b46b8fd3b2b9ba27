"""No segment of the holdout may get worse than the policy allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lakeloop.domain.metrics import Scored, better_by
from lakeloop.domain.use_case import Gate, SliceGate
from lakeloop.domain.verdict import Check

Values = np.ndarray[tuple[int], np.dtype[Any]]


def slice_checks(
    policy: Gate, labels: Values, columns: Mapping[str, Values], challenger: Values, champion: Values
) -> list[Check]:
    """A check for each segment with enough rows and both labels; a declared column that is absent fails."""
    checks: list[Check] = []
    for gate in policy.slices:
        if gate.column not in columns:
            checks.append(
                Check(
                    name=f"slice({gate.column})",
                    passed=False,
                    observed="the column is not in the feature table",
                    required="its values",
                )
            )
            continue
        for value, rows in _segments(gate, labels, columns[gate.column]):
            checks.append(_check(policy, gate, value, labels[rows], challenger[rows], champion[rows]))
    return checks


def _segments(gate: SliceGate, labels: Values, values: Values) -> Iterator[tuple[str, Values]]:
    """Null is a segment of its own, named "null"."""
    texts = np.array(["null" if value is None else str(value) for value in values], dtype=object)
    for value in sorted(set(texts)):
        rows = np.flatnonzero(texts == value)
        if len(rows) >= gate.min_rows and 0 < labels[rows].sum() < len(rows):
            yield value, rows


def _check(  # noqa: PLR0913, PLR0917
    policy: Gate, gate: SliceGate, value: str, labels: Values, challenger: Values, champion: Values
) -> Check:
    now = Scored(labels, challenger).value(policy.metric)
    before = Scored(labels, champion).value(policy.metric)
    change = better_by(policy.metric, now, before)
    return Check(
        name=f"slice({gate.column}={value})",
        passed=change >= -gate.max_regression,
        observed=f"{policy.metric} {now:.4f} against {before:.4f} on {len(labels)} rows",
        required=f"worse by at most {gate.max_regression:g}",
    )
