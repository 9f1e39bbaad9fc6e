"""Vectors of texts from hidden states in NumPy, for files that give hidden states alone.

Many exports on the Hub hold the encoder, and leave it to who runs them to make vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from limbeck.models import DenseConfig, SentenceConfig
from limbeck.nn.constants import PoolingMode

_Array: TypeAlias = npt.NDArray[np.float32]


def needs_weights(config: SentenceConfig) -> bool:
    """Tells whether vectors are made with weights, which stand in no file of the encoder."""
    return any(isinstance(layer, DenseConfig) for layer in config.layers)


def pool(hidden: _Array, mask: npt.NDArray[np.int64], config: SentenceConfig) -> _Array:
    """Makes one vector of each text, as `SentenceModel` does where there is no Dense layer.

    Shape:
        hidden: (batch, tokens, hidden_size).
        mask: (batch, tokens), 1 where real.
        result: (batch, width).
    """
    vectors = np.concatenate([_POOL[mode](hidden, mask) for mode in config.pooling.modes], axis=-1)
    for _ in config.layers:  # of which there are those that make vectors one long
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        vectors = vectors / np.maximum(lengths, _SHORTEST)
    return vectors[:, : config.width].astype(np.float32, copy=False)


_SHORTEST: Final = 1e-12
"""What a vector is divided by at least, as torch's `normalize` has it."""


def _cls(hidden: _Array, mask: npt.NDArray[np.int64]) -> _Array:
    return _take(hidden, mask.argmax(axis=1))


def _last_token(hidden: _Array, mask: npt.NDArray[np.int64]) -> _Array:
    return _take(hidden, (mask * np.arange(mask.shape[1])).max(axis=1))


def _take(hidden: _Array, places: npt.NDArray[np.int64]) -> _Array:
    return hidden[np.arange(len(hidden)), places]


def _max(hidden: _Array, mask: npt.NDArray[np.int64]) -> _Array:
    found: _Array = np.where(mask[..., None] == 0, -np.inf, hidden).max(axis=1)
    return found


def _weigh(hidden: _Array, weights: npt.NDArray[np.int64]) -> _Array:
    """Returns the mean in which each token counts as often as it is told."""
    sums = np.einsum("bth,bt->bh", hidden, weights.astype(np.float32))
    means: _Array = sums / np.maximum(weights.sum(axis=1, keepdims=True), 1).astype(np.float32)
    return means


def _mean_sqrt_len(hidden: _Array, mask: npt.NDArray[np.int64]) -> _Array:
    count = mask.sum(axis=1, keepdims=True).astype(np.float32)
    scaled: _Array = _weigh(hidden, mask) * np.sqrt(count)
    return scaled


def _weighted_mean(hidden: _Array, mask: npt.NDArray[np.int64]) -> _Array:
    return _weigh(hidden, mask * mask.cumsum(axis=1))  # the first counts once, the second twice


_POOL: Final[dict[PoolingMode, Callable[[_Array, npt.NDArray[np.int64]], _Array]]] = {
    "cls": _cls,
    "max": _max,
    "mean": _weigh,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}
