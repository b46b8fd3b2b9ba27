"""Matrices -> booster: parameters, early stopping, progress."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import xgboost as xgb

from lakeloop.domain.boosting import METRIC, boosting_parameters
from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import Train

PROGRESS_LINES = 10


@dataclass(frozen=True)
class Boosted:
    """A booster cut to its best round, and the metric of every round by data set name."""

    booster: xgb.Booster
    history: dict[str, tuple[float, ...]]
    best_round: int


def boost(
    train: Train,
    matrices: dict[str, xgb.QuantileDMatrix],
    previous: xgb.Booster | None,
    report: Callable[[str], None],
) -> Boosted:
    """Train on matrix `train`; `validation`, where there is one, stops early.

    Args:
        train: the use case's section.
        matrices: `train`, and perhaps `validation`.
        previous: warm start: the booster to continue.
        report: told of the progress.

    Raises:
        UserError: XGBoost does not know a parameter, or refuses its value.
    """
    history: dict[str, dict[str, list[float]]] = {}
    callbacks: list[xgb.callback.TrainingCallback] = [_Progress(train.rounds, report)]
    if "validation" in matrices and train.early_stopping_rounds:
        callbacks.append(
            xgb.callback.EarlyStopping(
                rounds=train.early_stopping_rounds, data_name="validation", metric_name=METRIC
            )
        )
    with naming_parameters():
        booster = xgb.train(
            boosting_parameters(train),
            matrices["train"],
            num_boost_round=train.rounds,
            evals=[(matrix, name) for name, matrix in matrices.items()],
            evals_result=history,
            verbose_eval=False,
            xgb_model=previous,
            callbacks=callbacks,
        )
    return _cut(booster, history)


@contextmanager
def naming_parameters() -> Iterator[None]:
    """Around a call of XGBoost: a parameter that it refuses or does not know becomes one clear error.

    Raises:
        UserError: names the parameter.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        except xgb.core.XGBoostError as error:
            raise UserError(_first_line(error), where="train.params", fix="correct the parameter") from error
    _refuse_unknown(caught)


def _cut(booster: xgb.Booster, history: dict[str, dict[str, list[float]]]) -> Boosted:
    """Without the rounds after the best one, so that every reader of the file scores with the same trees."""
    rounds = booster.num_boosted_rounds()
    best = booster.best_iteration + 1 if "best_iteration" in booster.attributes() else rounds
    kept = booster[:best] if best < rounds else booster
    kept.set_attr(best_iteration=None, best_score=None)
    flat = {f"{name}-{METRIC}": tuple(values[METRIC]) for name, values in history.items()}
    return Boosted(booster=kept, history=flat, best_round=best)


def _refuse_unknown(caught: list[warnings.WarningMessage]) -> None:
    for warning in caught:
        text = str(warning.message)
        if "are not used" in text:
            unknown = text[text.find("{") + 1 : text.find("}")].strip()
            raise UserError(
                f"XGBoost does not know {unknown}", where="train.params", fix="check the spelling"
            )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Stack trace" not in line]
    return lines[0] if lines else type(error).__name__


class _Progress(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """A line about every tenth of the rounds."""

    def __init__(self, rounds: int, report: Callable[[str], None]) -> None:
        self._every, self._rounds, self._report, self._done = (
            max(1, rounds // PROGRESS_LINES),
            rounds,
            report,
            0,
        )
        super().__init__()

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        self._done += 1
        if self._done == 1 or self._done % self._every == 0:
            values = " ".join(f"{name} {log[METRIC][-1]:.5f}" for name, log in evals_log.items())
            self._report(f"round {self._done}/{self._rounds} {METRIC} {values}")
        return False
