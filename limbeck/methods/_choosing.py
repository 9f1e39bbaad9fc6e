"""Which heads and neurons stay, by their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from torch import Tensor

from limbeck.methods._importance import UnitScores
from limbeck.methods._unit_costs import LayerCost
from limbeck.methods.prune_units import find_best

Places = tuple[int, ...]


@dataclass(frozen=True)
class Units:
    """Units of a model, by their places in it.

    Attributes:
        heads: Of each layer, ascending.
        neurons: Likewise.
        width: Dimensions of the hidden states; None for all.
    """

    heads: tuple[Places, ...]
    neurons: tuple[Places, ...]
    width: Places | None = None

    @property
    def num_heads(self) -> tuple[int, ...]:
        """How many heads of each layer."""
        return tuple(map(len, self.heads))

    @property
    def num_neurons(self) -> tuple[int, ...]:
        """How many neurons of each layer."""
        return tuple(map(len, self.neurons))


def choose_best(
    scores: UnitScores,
    *,
    num_heads: Sequence[int],
    num_neurons: Sequence[int],
    width: int | None = None,
) -> Units:
    """Returns the best units of each layer; of equal ones the first.

    Args:
        scores: Of all units.
        num_heads: How many heads of each layer.
        num_neurons: How many neurons of each layer.
        width: How many dimensions of the hidden states; None for all.
    """
    kept = None
    if width is not None:
        assert scores.width is not None
        kept = tuple(find_best(scores.width, width))
    return Units(_best(scores.heads, num_heads), _best(scores.neurons, num_neurons), kept)


def _best(scores: Sequence[Tensor], counts: Sequence[int]) -> tuple[Places, ...]:
    return tuple(
        tuple(find_best(of_layer, count)) for of_layer, count in zip(scores, counts, strict=True)
    )


def choose_worthiest(scores: UnitScores, costs: Sequence[LayerCost], *, budget: float) -> Units:
    """Returns the units with the best scores for their costs, those of all layers together.

    Each layer keeps its best head and neuron, whatever they score. The others follow in the order
    of score for cost as long as the budget holds; what does not fit is passed over.

    Args:
        scores: Of all units.
        costs: Of each layer's units.
        budget: What all may cost together, at least one head and one neuron in each layer.
    """
    first = choose_best(
        scores,
        num_heads=[min(1, cost.num_heads) for cost in costs],
        num_neurons=[min(1, cost.num_neurons) for cost in costs],
    )
    heads, neurons = [list(of) for of in first.heads], [list(of) for of in first.neurons]
    left = budget - sum(cost.least for cost in costs)
    of_heads = zip(scores.heads, heads, (cost.head for cost in costs), strict=True)
    of_neurons = zip(scores.neurons, neurons, (cost.neuron for cost in costs), strict=True)
    others = [
        (score / cost, cost, place, kept)
        for of_layer, kept, cost in chain(of_heads, of_neurons)
        for place, score in enumerate(of_layer.tolist())
        if place not in kept
    ]
    for _, cost, place, kept in sorted(others, key=lambda one: -one[0]):
        if cost <= left:
            left -= cost
            kept.append(place)
    return Units(tuple(tuple(sorted(k)) for k in heads), tuple(tuple(sorted(k)) for k in neurons))
