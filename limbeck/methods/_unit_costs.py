"""What a head and a neuron of each layer cost, in weights or in operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from limbeck.models import Model
from limbeck.nn import FeedForward, GatedFeedForward, SelfAttention


@dataclass(frozen=True)
class LayerCost:
    """A layer's units and what each of them costs.

    Attributes:
        num_heads: Heads.
        num_neurons: Neurons.
        head: Of one head.
        neuron: Of one neuron.
    """

    num_heads: int
    num_neurons: int
    head: int
    neuron: int

    @property
    def total(self) -> int:
        """Of all units of the layer."""
        return self.num_heads * self.head + self.num_neurons * self.neuron

    @property
    def least(self) -> int:
        """Of one head and one neuron, of which every layer keeps one that has any."""
        return min(1, self.num_heads) * self.head + min(1, self.num_neurons) * self.neuron


def count_weights(model: Model) -> list[LayerCost]:
    """Returns what each layer's units have of weights and biases."""
    return [
        LayerCost(
            num_heads=len(layer.attention.heads),
            num_neurons=layer.num_neurons,
            head=layer.attention.head_size * _weights(*_of_attention(layer.attention)),
            neuron=_weights(*_of_feed_forward(layer.feed_forwards[0])),
        )
        for layer in _list_layers(model)
    ]


def count_operations(model: Model, *, num_tokens: int) -> list[LayerCost]:
    """Returns how many additions and multiplications each layer's units make of a text.

    Those of matrix products are counted, which are all but some per cent.

    Args:
        model: The model.
        num_tokens: Length of the text.
    """
    found = []
    for layer in _list_layers(model):
        size = layer.attention.head_size
        # A weight multiplies and adds once a token; scores and context do so for each pair.
        projected = 2 * num_tokens * size * _widths(*_of_attention(layer.attention))
        found.append(
            LayerCost(
                num_heads=len(layer.attention.heads),
                num_neurons=layer.num_neurons,
                head=projected + 4 * num_tokens**2 * size,
                neuron=2 * num_tokens * _widths(*_of_feed_forward(layer.feed_forwards[0])),
            )
        )
    return found


def sum_costs(costs: Sequence[LayerCost]) -> int:
    """Returns what all units of all layers cost."""
    return sum(cost.total for cost in costs)


@dataclass(frozen=True)
class _Layer:
    """What has heads and neurons of a layer.

    Attributes:
        attention: Of its heads.
        feed_forwards: Of its neurons: one, or several that are alike, as in MobileBERT.
    """

    attention: SelfAttention
    feed_forwards: Sequence[FeedForward | GatedFeedForward]

    @property
    def num_neurons(self) -> int:
        """Of all feed-forwards."""
        return sum(block.down.in_features for block in self.feed_forwards)


def _list_layers(model: Model) -> list[_Layer]:
    found = []
    for layer in model.encoder.list_running():
        parts = list(layer.modules())
        (attention,) = (part for part in parts if isinstance(part, SelfAttention))
        blocks = [part for part in parts if isinstance(part, FeedForward | GatedFeedForward)]
        found.append(_Layer(attention, blocks))
    return found


def _of_attention(attention: SelfAttention) -> tuple[list[nn.Linear], nn.Linear]:
    """Returns the projections that a head has rows of, and the one that it has columns of."""
    return [attention.query, attention.key, attention.value], attention.output


def _of_feed_forward(block: FeedForward | GatedFeedForward) -> tuple[list[nn.Linear], nn.Linear]:
    """Returns the same for a neuron."""
    gate = [block.gate] if isinstance(block, GatedFeedForward) else []
    return [block.up, *gate], block.down


def _widths(into: Sequence[nn.Linear], out: nn.Linear) -> int:
    """Returns how many weights a row of each of some projections and a column of another have."""
    return sum(linear.in_features for linear in into) + out.out_features


def _weights(into: Sequence[nn.Linear], out: nn.Linear) -> int:
    """Returns the same with the rows' biases."""
    return _widths(into, out) + sum(linear.bias is not None for linear in into)
