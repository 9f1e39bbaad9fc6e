"""The part of a sentence model that stands on the encoder."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.models._sentence.config import (
    DenseConfig,
    NormalizeConfig,
    SentenceConfig,
)
from limbeck.nn import DenseLayer, Normalize, Pooling


class SentenceHead(nn.Module):
    """From hidden states to vectors: pooling, then the layers after it, newly drawn.

    Args:
        config: Of the sentence model.
    """

    def __init__(self, config: SentenceConfig) -> None:
        super().__init__()
        self.pooling = Pooling(config.pooling.modes)
        self.layers = nn.ModuleList(map(_build, config.layers))

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None = None, *, num_left_out: int = 0
    ) -> Tensor:
        """Makes one vector of each text, whole, whatever `truncate_dim` is.

        Args:
            hidden: The encoder's last hidden states.
            attention_mask: 1 where real.
            num_left_out: As in `Pooling.forward`.

        Shape:
            hidden: (batch, sequence, hidden_size).
            attention_mask: (batch, sequence) or (batch, sequence, sequence).
            result: (batch, whole width).
        """
        vectors: Tensor = self.pooling(hidden, attention_mask, num_left_out=num_left_out)
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors


def _build(config: DenseConfig | NormalizeConfig) -> nn.Module:
    if isinstance(config, NormalizeConfig):
        return Normalize()
    return DenseLayer(
        config.in_features,
        config.out_features,
        bias=config.bias,
        activation=getattr(nn, config.activation)(),
        use_residual=config.use_residual,
    )
