"""Accuracy: the share of predicted classes, or of words' tags, that are right."""

from __future__ import annotations

import math

import numpy as np

from limbeck.metrics._classes import Classes
from limbeck.metrics._counts import mean_of
from limbeck.metrics._metric import Floats, Form, Metric, Weighted
from limbeck.metrics._tags import Tags


def of_classes(found: Classes) -> float:
    """Returns the share of examples whose class is right."""
    return float(np.mean(found.is_right))


def _standard_error(found: Classes) -> float:
    """Source: that of a binomial share, sqrt(p (1 - p) / n)."""
    share = of_classes(found)
    return math.sqrt(share * (1 - share) / len(found.labels))


def _of_tags(found: Tags) -> float:
    """Source: seqeval's `accuracy_score`."""
    from seqeval.metrics import accuracy_score

    return float(accuracy_score(found.labels, found.predictions))


def _weigh_tags(found: Tags) -> Weighted:
    rows = [
        [sum(map(str.__eq__, *pair)), len(pair[0])]
        for pair in zip(found.labels, found.predictions, strict=True)
    ]
    return found.weigh(rows, _share)


def _share(weights: Floats, values: Floats) -> Floats:
    share: Floats = weights @ values[:, 0] / (weights @ values[:, 1])
    return share


METRIC = Metric(
    title="accuracy",
    hub_type="accuracy",
    forms=(
        Form(
            of=Classes,
            score=of_classes,
            weigh=lambda found: mean_of(found.is_right.astype(float)),
            standard_error=_standard_error,
            is_binomial=True,
        ),
        Form(of=Tags, score=_of_tags, weigh=_weigh_tags),
    ),
)
