"""`--plant`: faults to put into a synthetic batch, as a person writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakeloop.domain.batch import Plants
from lakeloop.domain.errors import UserError

FORMS = (
    "drift:COLUMN=SHIFT (standard deviations), nulls:COLUMN=FRACTION, out_of_range:COLUMN=FRACTION, "
    "label_shift=LOGIT, duplicates=FRACTION"
)
PER_COLUMN = ("drift", "nulls", "out_of_range")
PER_BATCH = ("label_shift", "duplicates")


def parse_plants(texts: Iterable[str], columns: Iterable[str]) -> Plants:
    """`nulls:age=0.1` and the like, as one value.

    Args:
        texts: the option's values.
        columns: the table's columns.

    Raises:
        UserError: an unknown kind or column, or not a number.
    """
    declared = set(columns)
    batch: dict[str, Any] = {kind: {} for kind in PER_COLUMN}
    for text in texts:
        kind, column, amount = _parts(text)
        if column is None:
            batch[kind] = amount
        elif column in declared:
            batch[kind][column] = amount
        else:
            raise UserError(f"the table has no column {column!r}", where=f"--plant {text}", fix=FORMS)
    return Plants.model_validate(batch)


def _parts(text: str) -> tuple[str, str | None, float]:
    left, equals, right = text.partition("=")
    kind, colon, column = left.partition(":")
    expected = PER_COLUMN if colon else PER_BATCH
    if not equals or kind not in expected:
        raise UserError(f"{text!r} is not a plant", where="--plant", fix=FORMS)
    return kind, column if colon else None, _amount(text, kind, right)


def _amount(text: str, kind: str, right: str) -> float:
    try:
        amount = float(right)
    except ValueError as error:
        raise UserError(f"{right!r} is not a number", where=f"--plant {text}", fix=FORMS) from error
    if kind in {"nulls", "out_of_range", "duplicates"} and not 0 <= amount <= 1:
        raise UserError(f"{right} is not a fraction", where=f"--plant {text}", fix="give 0 to 1")
    return amount
