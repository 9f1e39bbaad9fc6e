"""Standardised targets: soft targets over z-scored logits, so that only their shape is learnt."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from limbeck.losses._base import PlainLoss
from limbeck.losses._views import Compared, View


class Loss(PlainLoss):
    """T² KL( softmax(Z(z_T) / T) ‖ softmax(Z(z_S) / T) ), where Z(z) = (z - mean z) / std z.

    A student too small to match the range of its teacher's logits matches their order and ratios.

    Source:
        Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024, algorithm 1 and
        equation 13.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"logits"})

    temperature: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """Both models' standardised logits are divided by this (2 in the article); the square of it
    keeps the gradient's scale."""

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of logits."""
        student, teacher = (
            F.log_softmax(_standardise(views.logits) / self.temperature, dim=-1)
            for views in (seen.student, seen.teacher)
        )
        divergence = F.kl_div(student, teacher, reduction="sum", log_target=True)
        return divergence * self.temperature**2


def _standardise(logits: Tensor) -> Tensor:
    """Returns the rows' z-scores; where all logits of a row are equal they are 0."""
    centred = logits - logits.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred * variance.clamp_min(1e-14).rsqrt()
