"""One transformer layer, which normalises what its blocks give or what they are given."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.nn.attention import AttentionParts, SelfAttention
from limbeck.nn.feed_forward import FeedForward, GatedFeedForward


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each added to its input and normalised after the sum.

    What a family does not have it passes as `nn.Identity()`, such as DistilBERT the dropout
    between its attention and the sum.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.1.
    """

    def __init__(
        self,
        *,
        attention: SelfAttention,
        attention_dropout: nn.Module,
        attention_norm: nn.Module,
        feed_forward: FeedForward | GatedFeedForward,
        feed_forward_dropout: nn.Module,
        feed_forward_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_dropout = attention_dropout
        self.attention_norm = attention_norm
        self.feed_forward = feed_forward
        self.feed_forward_dropout = feed_forward_dropout
        self.feed_forward_norm = feed_forward_norm

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        *,
        explicit: bool = False,
    ) -> tuple[Tensor, AttentionParts]:
        """Runs the layer; arguments and shapes are those of `SelfAttention.forward`."""
        attended, parts = self.attention(hidden, mask, positions, explicit=explicit)
        hidden = self.attention_norm(hidden + self.attention_dropout(attended))
        transformed = self.feed_forward_dropout(self.feed_forward(hidden))
        return self.feed_forward_norm(hidden + transformed), parts


class PreNormLayer(EncoderLayer):
    """A layer that normalises what goes into its blocks, not what comes out of the sum.

    What its last layer gives is not normalised: the encoder's `norm` does that.

    Source: Xiong et al. 2020, https://arxiv.org/abs/2002.04745, figure 1.
    """

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        *,
        explicit: bool = False,
    ) -> tuple[Tensor, AttentionParts]:
        """Runs the layer; arguments and shapes are those of `SelfAttention.forward`."""
        attended, parts = self.attention(
            self.attention_norm(hidden), mask, positions, explicit=explicit
        )
        hidden = hidden + self.attention_dropout(attended)
        transformed = self.feed_forward(self.feed_forward_norm(hidden))
        return hidden + self.feed_forward_dropout(transformed), parts
