"""Attention MSE: the student's attention scores against the teacher's, layer by layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from limbeck.losses._base import Needs, Rows
from limbeck.losses._layers import LayerLoss
from limbeck.nn.masks import MASKED_SCORE


class Loss(LayerLoss):
    """Squared difference of the scores before the softmax, averaged over heads and visible keys.

    Added up over layers. Both models must have the same number of attention heads.

    Source:
        L_attn in Jiao et al., "TinyBERT", 2020, equation 7.
    """

    needs: ClassVar[Needs] = "attention_scores"

    def sum(self, rows: Rows) -> Tensor:
        """Returns the sum over rows; a row holds what one token gives every key, head by head.

        Shape:
            rows: (rows, heads * keys), below `MASKED_SCORE / 2` for hidden keys.
        """
        assert rows.teacher is not None
        is_visible = rows.teacher > MASKED_SCORE / 2
        squares = (rows.student - rows.teacher).square() * is_visible
        return (squares.sum(dim=-1) / is_visible.sum(dim=-1)).sum()
