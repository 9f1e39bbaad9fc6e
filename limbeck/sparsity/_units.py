"""Heads and neurons as rows and columns of linear layers, and masks that take them as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from limbeck.errors import SettingsError, with_article
from limbeck.models import Model
from limbeck.nn import EncoderLayer, GatedFeedForward
from limbeck.sparsity._mask import Factors


@dataclass(frozen=True)
class Block:
    """An attention or a feed-forward, whose units are heads or neurons.

    Attributes:
        reads: Linear layers in which a unit has rows.
        writes: The one in which it has columns.
        size: How many rows and columns it has in each.
    """

    reads: Sequence[nn.Linear]
    writes: nn.Linear
    size: int

    @property
    def num_units(self) -> int:
        """How many heads or neurons there are."""
        return self.writes.in_features // self.size

    @property
    def unit_weights(self) -> int:
        """How many weights a unit has, without biases."""
        return self.size * (
            sum(linear.in_features for linear in self.reads) + self.writes.out_features
        )


def list_blocks(model: Model, *, method: str) -> list[Block]:
    """Returns the attentions and feed-forwards of a model's layers, but for those that are gone.

    Raises:
        SettingsError: If the model's layers can't lose some of their units.
    """
    if (why := model.config.why_whole) is not None:
        raise SettingsError(
            f"sparsify.method = {method} takes heads and neurons out of each layer, which can't be "
            f"done with {with_article(model.config.model_type)}, since {why}; accepted: magnitude, "
            "movement and others that prune single weights"
        )
    layers = [model.encoder.plain_layer_at(place) for place in range(model.config.num_places)]
    blocks = [block for layer in layers for block in (attention_of(layer), feed_forward_of(layer))]
    return [block for block in blocks if block.num_units > 0]


def attention_of(layer: EncoderLayer) -> Block:
    """Returns a layer's attention."""
    attention = layer.attention
    further = [] if attention.relative is None else attention.relative.modules()
    by_head = [part for part in further if isinstance(part, nn.Linear)]
    reads = [attention.query, attention.key, attention.value, *by_head]
    return Block(reads=reads, writes=attention.output, size=attention.head_size)


def feed_forward_of(layer: EncoderLayer) -> Block:
    """Returns a layer's feed-forward."""
    block = layer.feed_forward
    gate = [block.gate] if isinstance(block, GatedFeedForward) else []
    return Block(reads=[block.up, *gate], writes=block.down, size=1)


class RowMask(Factors):
    """Factors of units, for their rows in a weight.

    Args:
        source: Gives one factor for each unit; several masks may have the same.
        size: How many rows a unit has.
    """

    def __init__(self, source: nn.Module, size: int) -> None:
        super().__init__()
        self.source = source
        self.size = size

    def forward(self) -> Tensor:
        """Shape: (units * size, 1)."""
        factors: Tensor = self.source()
        return factors.repeat_interleave(self.size)[:, None]


class ColumnMask(RowMask):
    """The same for their columns."""

    def forward(self) -> Tensor:
        """Shape: (1, units * size)."""
        return super().forward().mT
