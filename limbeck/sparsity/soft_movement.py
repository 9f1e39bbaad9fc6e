"""Soft movement pruning: weights stay whose score is above a bound, and a penalty lowers scores.

M = 1[sigmoid(S) > threshold], where the threshold grows from 0 as the schedule goes on; the scores
learn as those of `movement`. Added to the loss is penalty * mean(sigmoid(S)). So each matrix keeps
as many weights as it needs, at least 0.5 %.

Source:
    Sanh et al., "Movement Pruning: Adaptive Sparsity by Fine-Tuning", NeurIPS 2020, section 4; the
    sigmoid within the bound, the growth of the penalty and the numbers are those of its code.
    BERT-base on SQuAD, 3 % of the weights, with a teacher: F1 82.3, by movement 78.0.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.sparsity._mask import MaskedLinear
from limbeck.sparsity._settings import PenalisedSettings, scores_of
from limbeck.sparsity._top import FLOOR, keep_largest


class SoftMovementSettings(PenalisedSettings):
    """Settings of `soft_movement`."""

    start: ClassVar[float | None] = 0.0

    method: Literal["soft_movement"] = "soft_movement"
    penalty: float = Field(default=400.0, gt=0, allow_inf_nan=False)
    """What is added to the loss, times the mean of sigmoid(score) over all weights that are pruned;
    it grows from 0 as the schedule goes on. The more, the fewer weights stay. By default the
    article's for some 3 % of BERT-base on SQuAD, in 55,000 steps; short runs take more."""
    threshold: float = Field(default=0.1, gt=0, lt=1)
    """Where sigmoid(score) has to be above in the end; by default the article's."""

    def choose(
        self,
        layer: MaskedLinear,
        *,
        left: float,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        """Returns where the score is above the bound, and the layer's very highest."""
        scores = scores_of(layer)
        is_above = scores.sigmoid() > self.threshold * (1 - left)
        return is_above | keep_largest(scores, int(FLOOR * scores.numel()))

    def sum_penalty(self, scores: Tensor) -> Tensor:
        """Returns the sum of sigmoid(score)."""
        return scores.sigmoid().sum()


SettingsType = SoftMovementSettings
