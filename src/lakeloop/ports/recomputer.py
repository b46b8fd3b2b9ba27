"""Features computed a second time, to see whether they come out the same."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.trainer import DistributedTrainer


@dataclass(frozen=True)
class Recomputed:
    """A training set whose feature table is a scratch table; `trainer` trains on the engine that holds it."""

    training_set: TrainingSet
    trainer: DistributedTrainer


class FeatureRecomputer(Protocol):
    """From the source snapshots alone; the live feature table is neither read nor written."""

    def recompute(self, use_case: UseCase, training_set: TrainingSet) -> AbstractContextManager[Recomputed]:
        """The training set's rows in a scratch table, which is dropped when the context ends.

        The newest range is called `newest`, all before it together `earlier`.

        Raises:
            RefusedError: the source rows cannot be read any more.
        """
