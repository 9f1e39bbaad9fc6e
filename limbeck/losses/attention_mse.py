"""Attention MSE: the student's attention scores against the teacher's, layer by layer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.losses._layers import LayerLoss, require_same_heads
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig
from limbeck.nn.masks import MASKED_SCORE


class Loss(LayerLoss):
    """Squared difference of the scores before the softmax, averaged over heads and visible keys.

    Added up over layers. Both models must have the same number of attention heads. A key counts
    where both see it: a layer with local attention may be compared with one that sees all.

    Source:
        L_attn in Jiao et al., "TinyBERT", 2020, equation 7.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"attention_scores"})

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If the models differ in heads, or `teacher_layers` do not fit them.
        """
        require_same_heads(self, student, teacher)
        return super().build(student, teacher)

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows; a row holds what one token gives every key, head by head."""
        student, teacher = (
            seen.rows(*(scores.transpose(1, 2) for scores in views.attention_scores))
            for views in (seen.student, seen.teacher)
        )
        is_visible = torch.minimum(student, teacher) > MASKED_SCORE / 2
        squares = (student - teacher).square() * is_visible
        return (squares.sum(dim=-1) / is_visible.sum(dim=-1)).sum()
