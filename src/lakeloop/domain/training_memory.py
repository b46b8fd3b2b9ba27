"""Whether a training set fits into one process. Pure; `lakeloop.free_memory` knows what is free."""

from __future__ import annotations

from lakeloop.domain.errors import UserError
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.use_case import UseCase

BYTES_A_ROW = 120
BYTES_A_NUMBER = 8
BYTES_A_TEXT = 48
BYTES_A_RANGE = 50
"""A row's order columns, sort and split; a feature's float32 and its quantised copy; texts as read. Measured: 243
bytes a row at the peak with 16 numbers, 260 with several ranges."""


def training_bytes(use_case: UseCase, training_set: TrainingSet) -> int:
    """About how much memory the local engine takes at its peak, beyond the process itself."""
    texts = sum(feature.type == "categorical" for feature in use_case.features)
    a_row = BYTES_A_ROW + BYTES_A_TEXT * texts + BYTES_A_NUMBER * (len(use_case.features) - texts)
    a_row += BYTES_A_RANGE if len(training_set.range_ids) > 1 else 0
    return int(a_row * _kept_rows(use_case, training_set))


def _kept_rows(use_case: UseCase, training_set: TrainingSet) -> float:
    """Replay keeps a sample of the rows before the newest range."""
    window, earlier = use_case.train.window, training_set.rows - training_set.newest_rows
    return training_set.newest_rows + earlier * (window.fraction if window.policy == "replay" else 1.0)


def refuse_too_large(use_case: UseCase, training_set: TrainingSet, available_bytes: int | None) -> None:
    """Refuse before anything is read what would drive the machine out of memory.

    Args:
        use_case: what to train.
        training_set: on which rows.
        available_bytes: of memory; None where that is not known.

    Raises:
        UserError: the rows do not fit.
    """
    needed = training_bytes(use_case, training_set)
    if available_bytes is None or needed <= available_bytes:
        return
    raise UserError(
        f"{training_set.rows} rows of {len(use_case.features)} features take about {needed / 2**30:.1f} GiB to train"
        f" on in one process, and {available_bytes / 2**30:.1f} GiB are free",
        where="train.engine: local",
        fix="set train.engine: spark and train.workers on a cluster that has the memory, choose a smaller train.window,"
        " or give the step more memory; batch and features are kept: `lakeloop run USE_CASE --no-batch` trains on them",
    )
