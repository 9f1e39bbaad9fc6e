"""What several models say together, as logits.

Probabilities are averaged, not logits. A model's logits are known up to their scale, which grows
with training, so that in a mean of logits the surest model has the most to say; and where one model
rules something out that the others hold for likely, the mean of logits rules it out too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def average_distributions(
    logits: Sequence[Tensor], weights: Sequence[float], *, dim: int
) -> Tensor:
    """Returns logits whose softmax is the mean of those of several models.

    A softmax leaves the level of logits open; it is the mean of the models' own, so that losses on
    logits as they are have something to compare, and equal models give what each of them gives.

    Args:
        logits: Of each model, all of one shape.
        weights: How much each counts; they add up to 1.
        dim: Over which a distribution runs.
    """
    together = _log_mean([F.log_softmax(each, dim=dim) for each in logits], weights)
    levels = [torch.logsumexp(each, dim=dim, keepdim=True) for each in logits]
    return together + sum_weighted(levels, weights)


def average_yes_and_no(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Returns logits whose sigmoid is the mean of those of several models."""
    yes = _log_mean([F.logsigmoid(each) for each in logits], weights)
    no = _log_mean([F.logsigmoid(-each) for each in logits], weights)
    return yes - no


def sum_weighted(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Returns the mean of values by weights that add up to 1."""
    return torch.stack([w * value for w, value in zip(weights, values, strict=True)]).sum(dim=0)


def _log_mean(logs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Returns the logarithm of the mean of what some values are logarithms of."""
    parts = [math.log(w) + log for w, log in zip(weights, logs, strict=True)]
    return torch.logsumexp(torch.stack(parts), dim=0)
