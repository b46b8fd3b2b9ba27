"""XGBoost's parameters for a use case, the same on one machine and on executors."""

from __future__ import annotations

from typing import Any

from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import Train

METRIC = "logloss"
VALIDATION_FRACTION = 0.1
_OWN = {
    "seed": "train.seed",
    "random_state": "train.seed",
    "nthread": "train.threads",
    "n_jobs": "train.threads",
    "num_boost_round": "train.rounds",
    "n_estimators": "train.rounds",
    "early_stopping_rounds": "train.early_stopping_rounds",
    "eval_metric": "gate.metric (log loss decides early stopping)",
}
_UNSUPPORTED = {"objective": ("binary:logistic",), "booster": ("gbtree", "dart")}


def boosting_parameters(train: Train) -> dict[str, Any]:
    """XGBoost's parameters for a use case: its own `params`, and what lakeloop sets.

    Raises:
        UserError: `params` holds what another key of the use case says, or what makes no probability.
    """
    for name, place in _OWN.items():
        if name in train.params:
            raise UserError(f"{name!r} is not set here", where="train.params", fix=f"use {place}")
    for name, allowed in _UNSUPPORTED.items():
        if name in train.params and train.params[name] not in allowed:
            raise UserError(
                f"{name} {train.params[name]!r} is not supported",
                where="train.params",
                fix=f"use {' or '.join(allowed)}",
            )
    own = {"objective": "binary:logistic", "tree_method": "hist", "eval_metric": METRIC, "seed": train.seed}
    return own | dict(train.params) | {"nthread": train.threads or None, "verbosity": 1}
