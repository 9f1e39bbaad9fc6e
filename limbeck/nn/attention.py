"""Multi-head self-attention, fused by default and explicit when its matrices are wanted."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Added to the scores of keys that must not be seen. Far below any real score, so that its
# exponential is 0 in every floating-point type, yet finite in all of them (float16 ends at
# -65504): a row without a visible key stays a number, and exported float16 graphs hold no infinity.
MASKED_SCORE = -30000.0


def additive_mask(attention_mask: Tensor, *, dtype: torch.dtype) -> Tensor:
    """Turns a 1/0 mask into the float mask that is added to the attention scores.

    Args:
        attention_mask: 1 where a key may be seen, 0 elsewhere.
        dtype: Floating-point type of the result.

    Shape:
        attention_mask: (batch, keys), the same for every query, or (batch, queries, keys).
        result: (batch, 1, 1, keys) or (batch, 1, queries, keys).
    """
    hidden = (1.0 - attention_mask.to(dtype)) * MASKED_SCORE
    return hidden[:, None, None, :] if attention_mask.dim() == 2 else hidden[:, None, :, :]


class AttentionParts(NamedTuple):
    """What attention computed on its way, under the names that `collect=` takes.

    Shape:
        queries, keys, values: (batch, heads, sequence, head_size).
        attention_scores: (batch, heads, sequence, sequence), below `MASKED_SCORE / 2` for hidden
            keys; None where attention is fused.
        attentions: Their softmax, as it was used: after dropout; None likewise.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    attention_scores: Tensor | None = None
    attentions: Tensor | None = None


class SelfAttention(nn.Module):
    """Scaled dot-product attention of a sequence over itself, with an output projection.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2.
    """

    def __init__(self, hidden_size: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.head_size = hidden_size // num_heads
        self.dropout = dropout
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(
        self, hidden: Tensor, mask: Tensor | None = None, *, explicit: bool = False
    ) -> tuple[Tensor, AttentionParts]:
        """Attends; `explicit` computes scores and probabilities instead of fusing them away.

        Shape:
            hidden: (batch, sequence, hidden_size).
            mask: Broadcasts to (batch, heads, sequence, sequence); added to the scores.
            result: (batch, sequence, hidden_size), and what led there.
        """
        query = self._split_heads(self.query(hidden))
        key = self._split_heads(self.key(hidden))
        value = self._split_heads(self.value(hidden))
        dropout = self.dropout if self.training else 0.0
        parts = AttentionParts(queries=query, keys=key, values=value)
        if explicit:
            scores = query @ key.transpose(-2, -1) * self.head_size**-0.5
            scores = scores if mask is None else scores + mask
            probabilities = F.dropout(scores.softmax(dim=-1), p=dropout, training=self.training)
            parts = parts._replace(attention_scores=scores, attentions=probabilities)
            context = probabilities @ value
        else:
            context = F.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, dropout_p=dropout
            )
        return self.output(context.transpose(1, 2).flatten(2)), parts

    def _split_heads(self, projected: Tensor) -> Tensor:
        # The number of heads, not -1: that can't be told where a batch is empty.
        shape = (*projected.shape[:-1], projected.shape[-1] // self.head_size, self.head_size)
        return projected.view(shape).transpose(1, 2)
