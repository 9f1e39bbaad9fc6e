"""Probabilities of scores, in NumPy."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Array: TypeAlias = npt.NDArray[np.float32]


def softmax(logits: _Array) -> _Array:
    """Returns probabilities over the last axis.

    Example:
        >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]], np.float32)).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: _Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: _Array) -> _Array:
    """Returns the probability of each by itself.

    Example:
        >>> sigmoid(np.array([0.0, -1000.0, 1000.0], np.float32)).tolist()
        [0.5, 0.0, 1.0]
    """
    # exp of what is not above 0 never overflows.
    powers: _Array = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + powers), powers / (1 + powers))
