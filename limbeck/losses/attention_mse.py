"""Attention MSE: the student's attention scores against the teacher's, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.losses._layers import HeadLoss
from limbeck.losses._views import Compared
from limbeck.nn.masks import MASKED_SCORE


class Loss(HeadLoss):
    """Squared difference of the scores before the softmax, averaged over heads and visible keys.

    Added up over layers. Both models must have the same number of attention heads, of which some
    may have been pruned from the student. A key counts where both see it: a layer with local
    attention may be compared with one that sees all.

    Source:
        L_attn in Jiao et al., "TinyBERT", 2020, equation 7.
    """

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows; a row holds what one token gives every key, head by head."""
        layers = zip(seen.student.attention_scores, seen.teacher.attention_scores, strict=True)
        return torch.cat([_compare(seen, *scores) for scores in layers]).sum()


def _compare(seen: Compared, ours: Tensor, theirs: Tensor) -> Tensor:
    """Returns the mean of each row in one layer; heads may differ in number from layer to layer.

    Shape:
        ours, theirs: (sequences, heads, length, length).
    """
    student, teacher = (seen.rows(scores.transpose(1, 2)) for scores in (ours, theirs))
    is_visible = torch.minimum(student, teacher) > MASKED_SCORE / 2
    squares = (student - teacher).square() * is_visible
    return squares.sum(dim=-1) / is_visible.sum(dim=-1)
