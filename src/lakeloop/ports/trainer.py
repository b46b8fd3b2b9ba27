"""Training on a cluster of executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.trained_booster import TrainedBooster
from lakeloop.domain.use_case import UseCase


class DistributedTrainer(Protocol):
    """Trains where the rows are, instead of in the step's own process."""

    def train(
        self,
        use_case: UseCase,
        training_set: TrainingSet,
        raw_columns: Mapping[str, str],
        report: Callable[[str], None],
    ) -> TrainedBooster:
        """Same rows and holdout as the local engine; the booster's bytes are the engine's own.

        Raises:
            UserError: the rows cannot be trained on.
        """
