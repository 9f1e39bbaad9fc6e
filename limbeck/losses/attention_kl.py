"""Attention KL: where the student's tokens look, against where the teacher's do."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._layers import HeadLoss
from limbeck.losses._views import Compared
from limbeck.nn import at_least_float32
from limbeck.nn.masks import MASKED_SCORE


class Loss(HeadLoss):
    """KL(A_T || A_S) of the attention over visible keys, averaged over heads, added up over layers.

    A key counts where both models see it: of a layer with local attention and one that sees all,
    what each gives the keys in reach of both is compared.

    Both models must have the same number of attention heads, of which some may have been pruned
    from the student. With `student_layers = [-1]`, beside
    `relations` of the values, this is MiniLM; over all layers it is MobileBERT's attention
    transfer, and with the values' relations in the same layers "Att-KL + Val-KL".

    Source:
        Wang et al., "MiniLM", 2020, equation 6; over layers: L_AT in Sun et al., "MobileBERT",
        2020, section 3.3, and Wang et al., "How to Distill your BERT", 2023, section 2.
    """

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows; a row holds what one token looks at, head by head."""
        layers = zip(seen.student.attention_scores, seen.teacher.attention_scores, strict=True)
        # Heads may differ in number from layer to layer: the mean comes before what joins them.
        return torch.cat([seen.rows(_diverge(*scores)).mean(dim=-1) for scores in layers]).sum()


def _diverge(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the divergence of each token, in each head.

    Shape:
        student, teacher: (sequences, heads, length, length); the result without the last, and
            heads last.
    """
    is_hidden = torch.minimum(student, teacher) < MASKED_SCORE / 2
    ours, theirs = (
        at_least_float32(scores).masked_fill(is_hidden, MASKED_SCORE).log_softmax(dim=-1)
        for scores in (student, teacher)
    )
    divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=-1)
    return divergence.transpose(1, 2)
