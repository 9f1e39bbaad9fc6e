"""What a head and a neuron of each layer cost, in weights or in operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from limbeck.models import Model
from limbeck.nn import EncoderLayer, GatedFeedForward


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
            num_neurons=layer.feed_forward.down.in_features,
            head=layer.attention.head_size * _weights(*_of_attention(layer)),
            neuron=_weights(*_of_feed_forward(layer)),
        )
        for layer in _layers(model)
    ]


def count_operations(model: Model, *, num_tokens: int) -> list[LayerCost]:
    """Returns how many additions and multiplications each layer's units make of a text.

    Those of matrix products are counted, which are all but some per cent.

    Args:
        model: The model.
        num_tokens: Length of the text.
    """
    found = []
    for layer in _layers(model):
        size = layer.attention.head_size
        # A weight multiplies and adds once a token; scores and context do so for each pair.
        projected = 2 * num_tokens * size * _widths(*_of_attention(layer))
        found.append(
            LayerCost(
                num_heads=len(layer.attention.heads),
                num_neurons=layer.feed_forward.down.in_features,
                head=projected + 4 * num_tokens**2 * size,
                neuron=2 * num_tokens * _widths(*_of_feed_forward(layer)),
            )
        )
    return found


def sum_costs(costs: Sequence[LayerCost]) -> int:
    """Returns what all units of all layers cost."""
    return sum(cost.total for cost in costs)


def _layers(model: Model) -> list[EncoderLayer]:
    return [model.encoder.plain_layer_at(place) for place in range(model.config.num_places)]


def _of_attention(layer: EncoderLayer) -> tuple[list[nn.Linear], nn.Linear]:
    """Returns the projections that a head has rows of, and the one that it has columns of."""
    attention = layer.attention
    return [attention.query, attention.key, attention.value], attention.output


def _of_feed_forward(layer: EncoderLayer) -> tuple[list[nn.Linear], nn.Linear]:
    """Returns the same for a neuron."""
    feed_forward = layer.feed_forward
    gate = [feed_forward.gate] if isinstance(feed_forward, GatedFeedForward) else []
    return [feed_forward.up, *gate], feed_forward.down


def _widths(into: Sequence[nn.Linear], out: nn.Linear) -> int:
    """Returns how many weights a row of each of some projections and a column of another have."""
    return sum(linear.in_features for linear in into) + out.out_features


def _weights(into: Sequence[nn.Linear], out: nn.Linear) -> int:
    """Returns the same with the rows' biases."""
    return _widths(into, out) + sum(linear.bias is not None for linear in into)
