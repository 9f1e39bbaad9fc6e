"""Random gates between 0 and 1 that are exactly 0 or 1 at times, with trained scores.

A gate is z = min(1, max(0, 1.2 * s - 0.1)) with s = sigmoid((log u - log(1 - u) + S) / (2/3)) and u
drawn evenly from 0 to 1; in evaluation s = sigmoid(S). It is open with the chance P(z > 0) =
sigmoid(S - 2/3 * log(0.1 / 1.1)).

Source:
    Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", ICLR 2018,
    equations 10 to 13; these numbers are those of the article's code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LOW, _HIGH = -0.1, 1.1
"""Ends that the gates are stretched to before they are cut, so that some are 0 and 1."""
_BETA = 2 / 3
"""Temperature of the gates: the lower, the nearer to 0 or 1 they are."""


def draw_noise(scores: Tensor, *, generator: torch.Generator) -> Tensor:
    """Returns the logits of what gates are drawn by, one for each score."""
    return torch.empty_like(scores).uniform_(generator=generator).logit()


def make_gates(scores: Tensor, noise: Tensor | None) -> Tensor:
    """Returns the gates of some scores: drawn by noise, or those of evaluation without."""
    drawn = scores if noise is None else (noise + scores) / _BETA
    return (drawn.sigmoid() * (_HIGH - _LOW) + _LOW).clamp(0, 1)


def chance_open(scores: Tensor) -> Tensor:
    """Returns with which chance each gate is above 0."""
    return (scores - _BETA * math.log(-_LOW / _HIGH)).sigmoid()
