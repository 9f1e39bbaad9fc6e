"""A cost as a sum of parts, fitted to a few measurements, and how far off it is elsewhere."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LinearCost:
    """A cost that is a sum of features, each with a weight that is not negative.

    Attributes:
        weights: One for each feature.
        error: Largest relative error on what was left out of a fit to the rest; 1 where there is no
            rest, so that nothing is known of it.
    """

    weights: tuple[float, ...]
    error: float

    def predict(self, features: Sequence[float]) -> float:
        """Returns the cost of something by its features."""
        return float(np.dot(self.weights, features))


def fit_cost(
    features: Sequence[Sequence[float]], values: Sequence[float], groups: Sequence[Hashable]
) -> LinearCost:
    """Fits a cost to measurements, so that the squares of the relative errors are least.

    Args:
        features: Of each measurement.
        values: What was measured, above 0.
        groups: What each is a measurement of: the error is found by leaving one out at a time.
    """
    table, measured = np.asarray(features, dtype=float), np.asarray(values, dtype=float)
    errors = [0.0]
    kinds = list(dict.fromkeys(groups))
    for kind in kinds if len(kinds) > 1 else ():
        held_out = np.asarray([group == kind for group in groups])
        weights = _solve(table[~held_out], measured[~held_out])
        off = table[held_out] @ weights / measured[held_out] - 1
        errors.append(float(np.abs(off).max()))
    error = max(errors) if len(kinds) > 1 else 1.0
    return LinearCost(weights=tuple(_solve(table, measured).tolist()), error=min(error, 1.0))


def _solve(features: FloatArray, values: FloatArray) -> FloatArray:
    """Returns the weights that are not negative and come closest, relative to the values."""
    from scipy.optimize import nnls

    scales = np.abs(features).max(axis=0)
    scales[scales == 0] = 1.0  # features of very different sizes would not be told from noise
    found = nnls(features / scales / values[:, None], np.ones_like(values))[0]
    weights: FloatArray = found / scales
    return weights
