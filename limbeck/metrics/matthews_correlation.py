"""Matthews correlation: 1 for perfect predictions, 0 for guessing, whatever the labels' shares.

Source:
    Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004,
    equation 8, which scikit-learn computes too; GLUE (Wang et al., ICLR 2019) scores CoLA by it.
"""

from __future__ import annotations

import numpy as np

from limbeck.metrics._classes import Classes
from limbeck.metrics._counts import Counts, divide
from limbeck.metrics._metric import Floats, Form, Metric


def _score(found: Classes) -> float:
    """Returns 0 where nothing varies, on which side ever."""
    from sklearn.metrics import matthews_corrcoef

    if np.ptp(found.labels) == 0 or np.ptp(found.predictions) == 0:
        return 0.0
    return float(matthews_corrcoef(found.labels, found.predictions))


def _count(counts: Counts) -> Floats:
    actual, predicted = counts.actual, counts.predicted
    total = actual.sum(axis=1)
    covariance = counts.hits.sum(axis=1) * total - (actual * predicted).sum(axis=1)
    spread = (total**2 - (actual**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
    return divide(covariance, np.sqrt(np.maximum(spread, 0.0)))


METRIC = Metric(
    title="Matthews correlation",
    short_title="Matthews",
    hub_type="matthews_correlation",
    constants_are_equal=True,
    forms=(Form(of=Classes, score=_score, weigh=lambda found: found.count(_count)),),
)
