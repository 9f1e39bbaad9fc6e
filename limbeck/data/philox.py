"""Randomness as a pure function: of a seed, what it is for, an epoch and a position.

Nothing is drawn from a running generator, so a run can be resumed, split and repeated exactly.
Only raw Philox bits are used; NumPy promises those for all versions, unlike its distributions.

Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_MASK_64: Final = 2**64 - 1
_WORDS_A_BLOCK: Final = 4
_ROUNDS: Final = 6

ORDER: Final = 1
"""Purpose: the order of rows."""
MASKS: Final = 2
"""Purpose: which tokens are masked, and how."""
SAMPLES: Final = 3
"""Purpose: which tokens a generator puts in the place of masked ones."""

REPLACEMENTS: Final = 4
"""Purpose: which groups of layers a student's stand in for."""


def raw_words(
    num_words: int, *, seed: int, purpose: int, epoch: int, first_block: int = 0
) -> npt.NDArray[np.uint64]:
    """Returns random 64-bit words, from the block `first_block` of four words on.

    Shape: (num_words,).
    """
    key = np.array([seed & _MASK_64, purpose], dtype=np.uint64)
    counter = np.array([first_block, 0, epoch, 0], dtype=np.uint64)
    words: npt.NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(num_words)
    return words


def row_uniforms(
    *, seed: int, epoch: int, first_row: int, num_rows: int, num_draws: int
) -> npt.NDArray[np.float64]:
    """Returns numbers in the open interval (0, 1), the same for a row however rows are grouped.

    Args:
        seed: Seed of the run.
        epoch: Epoch from 0.
        first_row: Position of the first row in the epoch's order.
        num_rows: Rows wanted.
        num_draws: Numbers a row needs.

    Shape: (num_rows, num_draws).
    """
    blocks_a_row = -(-num_draws // _WORDS_A_BLOCK)
    words = raw_words(
        num_rows * blocks_a_row * _WORDS_A_BLOCK,
        seed=seed,
        purpose=MASKS,
        epoch=epoch,
        first_block=first_row * blocks_a_row,
    )
    return to_uniforms(words.reshape(num_rows, blocks_a_row * _WORDS_A_BLOCK)[:, :num_draws])


def to_uniforms(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Turns random words into numbers in the open interval (0, 1).

    52 bits of each are used: with one more, adding the half would round the largest up to 1.

    Shape: as `words`.
    """
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def permute(
    positions: npt.NDArray[np.int64], *, size: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """Maps positions to 0 ... size - 1 one to one, in an order that looks random.

    A Feistel network over the next even number of bits; a result outside the range goes through
    again until it is inside. No table is kept, so an order over billions of rows costs nothing.

    Shape: as `positions`.

    Source: Black, Rogaway 2002, "Ciphers with arbitrary finite domains", cycle walking.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    low = np.uint64((1 << int(half)) - 1)
    keys = raw_words(_ROUNDS, seed=seed, purpose=ORDER, epoch=epoch)
    values = positions.astype(np.uint64)
    outside = np.ones(len(values), dtype=bool)
    while outside.any():
        values[outside] = _feistel(values[outside], keys=keys, half=half, low=low)
        outside = values >= size
    return values.astype(np.int64)


def _feistel(
    values: npt.NDArray[np.uint64], *, keys: npt.NDArray[np.uint64], half: np.uint64, low: np.uint64
) -> npt.NDArray[np.uint64]:
    left, right = values >> half, values & low
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & low)
    return (left << half) | right


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scatters bits. Source: Steele, Lea, Flood 2014, the finaliser of SplitMix64 (variant 13)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
