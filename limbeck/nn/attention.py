"""Multi-head self-attention, fused by default and explicit when its matrices are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.nn.slicing import add_bias, keep_inputs, keep_outputs


class AttentionParts(NamedTuple):
    """What attention computed on its way, under the names that `collect=` takes.

    Shape:
        queries, keys, values: (batch, heads, sequence, head_size), before any rotation.
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

    Args:
        hidden_size: Width of the layer.
        num_heads: How many heads there are.
        dropout: Rate at which probabilities are dropped in training.
        head_size: Width of a head; `hidden_size / num_heads` if absent.
        scale: What scores are multiplied by; `head_size ** -0.5` if absent.
        relative: Makes a bias of the queries, the keys and what the encoder knows of positions;
            called with this module (for its projections), the queries, the keys and `positions`.
            Where the bias is the same for every layer, the encoder's `position_bias` gives it
            instead. Linear layers in it give all heads side by side, as the queries' does.
        rotation: Turns queries and keys by what the encoder knows of positions.
        bias: Whether the four projections have biases.
        value_size: Width of what values are made of; `hidden_size` if absent.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_heads: int,
        dropout: float,
        head_size: int | None = None,
        scale: float | None = None,
        relative: nn.Module | None = None,
        rotation: nn.Module | None = None,
        bias: bool = True,
        value_size: int | None = None,
    ) -> None:
        super().__init__()
        self.head_size = hidden_size // num_heads if head_size is None else head_size
        self.dropout = dropout
        self.scale = scale
        width = num_heads * self.head_size
        self.query = nn.Linear(hidden_size, width, bias=bias)
        self.key = nn.Linear(hidden_size, width, bias=bias)
        self.value = nn.Linear(value_size or hidden_size, width, bias=bias)
        self.output = nn.Linear(width, hidden_size, bias=bias)
        self.relative = relative
        self.rotation = rotation
        self.num_heads = num_heads
        self.heads = tuple(range(num_heads))
        """Which heads are left, by their numbers when all were there."""

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        *,
        explicit: bool = False,
        values: Tensor | None = None,
    ) -> tuple[Tensor, AttentionParts]:
        """Attends; `explicit` computes scores and probabilities instead of fusing them away.

        Shape:
            hidden: (batch, sequence, hidden_size).
            values: (batch, sequence, value_size), what values are made of; `hidden` if absent.
            mask: Broadcasts to (batch, heads, sequence, sequence); added to the scores.
            positions: Whatever `relative` and `rotation` take; unused without them.
            result: (batch, sequence, hidden_size), and what led there.
        """
        if not self.heads:
            return add_bias(self.output, hidden), self._no_parts(hidden, explicit=explicit)
        query = self.split_heads(self.query(hidden))
        key = self.split_heads(self.key(hidden))
        value = self.split_heads(self.value(hidden if values is None else values))
        if self.relative is not None:
            bias = self.relative(self, query, key, positions)
            mask = bias if mask is None else mask + bias
        dropout = self.dropout if self.training else 0.0
        parts = AttentionParts(queries=query, keys=key, values=value)
        if self.rotation is not None:
            query, key = self.rotation(query, positions), self.rotation(key, positions)
        if explicit:
            scale = self.head_size**-0.5 if self.scale is None else self.scale
            scores = query @ key.transpose(-2, -1) * scale
            scores = scores if mask is None else scores + mask
            probabilities = F.dropout(scores.softmax(dim=-1), p=dropout, training=self.training)
            parts = parts._replace(attention_scores=scores, attentions=probabilities)
            context = probabilities @ value
        else:
            context = F.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, dropout_p=dropout, scale=self.scale
            )
        return self.output(context.transpose(1, 2).flatten(2)), parts

    def keep_heads(self, places: Sequence[int]) -> None:
        """Leaves the layer some of its heads, counted among those that it has now, ascending.

        What is left computes what it did; what the other heads wrote is missing from the sum, and
        the output's bias stays. Of a layer without heads that bias is all that is left.

        Source: Michel et al. 2019, https://arxiv.org/abs/1905.10650, section 2.3, removes heads so.
        """
        size = self.head_size
        columns = [size * place + column for place in places for column in range(size)]
        further = [] if self.relative is None else self.relative.modules()
        by_head = [self.query, self.key, self.value]
        for linear in (*by_head, *(part for part in further if isinstance(part, nn.Linear))):
            keep_outputs(linear, columns)
        keep_inputs(self.output, columns)
        self.heads = tuple(self.heads[place] for place in places)

    def take_heads(self, mask: Tensor) -> Tensor:
        """Returns what of a mask for all heads is for those that are left.

        Shape:
            mask: (batch, heads of a layer that has all, sequence, sequence).
            result: (batch, heads, sequence, sequence).
        """
        if len(self.heads) == self.num_heads or not self.heads:
            return mask
        # Slices and not an index, which would be a tensor that is made, and on a GPU waited for.
        return torch.cat([mask[:, head : head + 1] for head in self.heads], dim=1)

    def _no_parts(self, hidden: Tensor, *, explicit: bool) -> AttentionParts:
        """Returns the parts of no heads."""
        batch, length = hidden.shape[:2]
        none = hidden.new_zeros((batch, 0, length, self.head_size))
        parts = AttentionParts(queries=none, keys=none, values=none)
        if explicit:
            scores = hidden.new_zeros((batch, 0, length, length))
            parts = parts._replace(attention_scores=scores, attentions=scores)
        return parts

    def split_heads(self, projected: Tensor) -> Tensor:
        """Shape: (..., sequence, heads * head_size) to (..., heads, sequence, head_size)."""
        # The number of heads, not -1: that can't be told where a batch is empty.
        shape = (*projected.shape[:-1], projected.shape[-1] // self.head_size, self.head_size)
        return projected.view(shape).transpose(-3, -2)
