"""The best ROC AUC that any model of a synthetic use case can reach."""

from __future__ import annotations

import numpy as np

from lakeloop.domain.use_case import UseCase
from lakeloop.generation.rows import Part, probabilities
from lakeloop.generation.streams import Floats


def bayes_auc(use_case: UseCase, rows: int = 200_000, number: int = 1) -> float:
    """Expected ROC AUC of the true probability itself, over `rows` generated rows of batch `number`.

    No scorer ranks better than the true probability (Neyman-Pearson), and the logit sees no column that
    a model does not: so this is the ceiling. It is averaged over the labels, which are not drawn:
    sum over pairs of p_i (1 - p_j) [p_i > p_j] + ties / 2, over the same sum without the comparison.
    """
    chances = probabilities(use_case, Part(number=number, total=rows, start=0, count=rows))
    return expected_auc(chances)


def expected_auc(chances: Floats) -> float:
    """Expected ROC AUC of scores that are the true probabilities; shape (rows,), ties count half."""
    distinct, group = np.unique(chances, return_inverse=True)
    sizes = np.bincount(group)
    positives, negatives = sizes * distinct, sizes * (1.0 - distinct)
    below = np.cumsum(negatives) - negatives
    return float(np.sum(positives * (below + negatives / 2)) / (positives.sum() * negatives.sum()))
