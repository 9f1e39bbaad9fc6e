"""Magnitude pruning: the weights that are largest stay, whatever sign they have.

M = Top_v(|W|). There is nothing to train and nothing is added to the loss; what is masked has no
gradient, and comes back only where others shrink below it. The baseline: far behind movement where
few weights stay, since what was large in pre-training stays large.

Source:
    Han et al., "Learning both Weights and Connections", NeurIPS 2015, section 3; step by step: Zhu
    and Gupta, "To prune, or not to prune", 2017.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from limbeck.sparsity._mask import MaskedLinear
from limbeck.sparsity._settings import CountedSettings


class MagnitudeSettings(CountedSettings):
    """Settings of `magnitude`."""

    method: Literal["magnitude"] = "magnitude"

    def rate(self, layer: MaskedLinear) -> Tensor:
        """Returns the absolute weights."""
        return layer.weight.abs()


SettingsType = MagnitudeSettings
