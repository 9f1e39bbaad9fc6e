"""Mean squared error of predicted numbers; the lower, the better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from limbeck.metrics._counts import mean_of
from limbeck.metrics._metric import Form, Metric, Weighted
from limbeck.metrics._numbers import Numbers


def _score(found: Numbers) -> float:
    return float(np.mean((found.labels - found.predictions) ** 2))


def _weigh(found: Numbers) -> Weighted:
    squares = (found.labels - found.predictions) ** 2
    return replace(mean_of(squares), quality=-squares)


METRIC = Metric(
    title="mean squared error",
    hub_type="mse",
    forms=(Form(of=Numbers, score=_score, weigh=_weigh),),
    best=0.0,
    higher_is_better=False,
)
