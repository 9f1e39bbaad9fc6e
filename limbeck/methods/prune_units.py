"""Prune units: take attention heads and inner neurons out of a model's layers.

What is left is a smaller dense model, as fast as it is small; nothing is masked.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import listing
from limbeck.errors import SettingsError, shorten, with_article
from limbeck.methods._method import MethodSettings
from limbeck.models import LayerShape, Model, ModelConfig, find_architecture
from limbeck.nn import EncoderLayer, GatedFeedForward

Kept: TypeAlias = (
    Annotated[int, Field(strict=True, ge=1)] | Annotated[float, Field(strict=True, gt=0, le=1)]
)
"""How many, as a whole number, or which share of what there is: 0.5, and 1.0 for all."""
Scope = Literal["layer", "global"]
Places: TypeAlias = Sequence[Sequence[int]]
"""For each layer from the bottom up, some of what it has, counted from 0."""


class PruneUnitsSettings(MethodSettings):
    """Settings of `prune_units`."""

    needs_weights: ClassVar[bool] = True

    method: Literal["prune_units"] = "prune_units"
    heads: Kept | None = None
    """Attention heads that are kept: a share of them, as 0.5, or how many, as 6; None keeps all."""
    neurons: Kept | None = None
    """Inner neurons of the feed-forward layers that are kept; likewise."""
    scope: Scope = "layer"
    """Whether `heads` and `neurons` are for each `layer`, or `global`, for all layers together:
    then those that write most are kept wherever they stand, and at least one in each layer."""


SettingsType = PruneUnitsSettings


def apply(model: Model, settings: PruneUnitsSettings) -> Model:
    """Makes a model of the heads and neurons that write most; the model is left as it is.

    How much one writes is read from its weights: the norm of the product of what reads and what
    writes, biases included. `limbeck prune` measures it on a task's rows instead.

    Args:
        model: Any model whose layers are one attention and one feed-forward, each run once.
        settings: How many are kept.

    Raises:
        SettingsError: If nothing is to go, a layer would be left without heads or neurons, there
            are not so many, or the family's layers can't be cut.

    Source:
        Michel et al., "Are Sixteen Heads Really Better than One?", 2019; magnitude in place of
        their gradient, as in Li et al., "Pruning Filters for Efficient ConvNets", 2017, section 3.
    """
    if settings.heads is None and settings.neurons is None:
        raise SettingsError(
            "prune_units takes heads or neurons out of layers; give heads or neurons, such as "
            "neurons = 0.5"
        )
    require_cuttable(model.config)
    norms, scope = measure_norms(model), settings.scope
    return keep_units(
        model,
        heads=choose_units("heads", norms.heads, settings.heads, scope=scope),
        neurons=choose_units("neurons", norms.neurons, settings.neurons, scope=scope),
    )


def keep_units(
    model: Model,
    heads: Places | None = None,
    neurons: Places | None = None,
    *,
    drop_blocks: bool = False,
) -> Model:
    """Returns a model of some heads and neurons of each layer; the given one is left as it is.

    What is left are exact copies of its weights, so that it computes what the model would with the
    outputs of the others set to zero. Biases of what writes stay.

    Args:
        model: Any model whose layers can be cut, cut before or not.
        heads: Which of its heads each layer keeps, counted from 0 among those that it has now; None
            keeps all.
        neurons: Which of its inner neurons; likewise.
        drop_blocks: Whether a layer may be left no heads, or no neurons: its attention or its
            feed-forward goes, but for the bias that it adds.

    Raises:
        SettingsError: If a layer has no such head or neuron, or would be left without, or the
            family's layers can't be cut.

    Example:
        >>> import torch
        >>> from limbeck import BertConfig, BertModel
        >>> with torch.device("meta"):
        ...     model = BertModel(BertConfig(num_hidden_layers=2))
        >>> keep_units(model, heads=[[0, 3], range(12)]).config.layer_shapes[0].heads
        (0, 3)
    """
    config = model.config
    require_cuttable(config)
    shapes = [config.layer_shape(place) for place in range(config.num_places)]
    least = 0 if drop_blocks else 1
    heads = _check("heads", heads, [len(shape.heads) for shape in shapes], least=least)
    neurons = _check("neurons", neurons, [shape.neurons for shape in shapes], least=least)
    made, cut = copy.deepcopy(model), []
    for place in range(config.num_places):
        layer = made.encoder.plain_layer_at(place)
        layer.attention.keep_heads(heads[place])
        layer.feed_forward.keep_neurons(neurons[place])
        cut.append(LayerShape(heads=layer.attention.heads, neurons=len(neurons[place])))
    made.config = config.replace(layer_shapes=cut)
    return made


def require_cuttable(config: ModelConfig) -> None:
    """Refuses a model whose layers can't differ in heads and neurons.

    Raises:
        SettingsError: Says why they can't, and which can.
    """
    if config.why_whole is None:
        return
    families = listing.list_names("limbeck.models")
    others = [n for n in families if find_architecture(n).config_type.why_alike is None]
    raise SettingsError(
        f"prune_units can't take heads or neurons out of {with_article(config.model_type)}, since "
        f"{config.why_whole}; accepted: models whose layers share no weights, of the families "
        f"{', '.join(others)}"
    )


class UnitNorms(NamedTuple):
    """How much heads and neurons write, as their weights alone say it.

    Shape:
        heads: For each layer (heads,).
        neurons: For each layer (neurons,).
    """

    heads: list[Tensor]
    neurons: list[Tensor]


@torch.no_grad()
def measure_norms(model: Model) -> UnitNorms:
    """Returns the norm of what each head, and each neuron, makes of a layer's input and writes.

    That is the Frobenius norm of the product of a head's values and its part of the output, and of
    a neuron's row of `up` and its column of `down`; one with a gate has that row's norm as a
    further factor. Biases count as the row of an input that is always 1.
    """
    layers = [model.encoder.plain_layer_at(place) for place in range(model.config.num_places)]
    return UnitNorms(
        heads=[_head_norms(layer) for layer in layers],
        neurons=[_neuron_norms(layer) for layer in layers],
    )


def _head_norms(layer: EncoderLayer) -> Tensor:
    attention = layer.attention
    split = (len(attention.heads), attention.head_size, -1)
    reads = _rows(attention.value).view(split)
    writes = attention.output.weight.double().t().reshape(split)
    # The trace of a product in the width of a head, and not one in the width of the model.
    squares = (reads @ reads.mT) * (writes @ writes.mT)
    norms: Tensor = squares.sum(dim=(1, 2)).clamp(min=0).sqrt()
    return norms


def _neuron_norms(layer: EncoderLayer) -> Tensor:
    block = layer.feed_forward
    norms: Tensor = _rows(block.up).norm(dim=1) * block.down.weight.double().norm(dim=0)
    if isinstance(block, GatedFeedForward):
        norms = norms * _rows(block.gate).norm(dim=1)
    return norms


def _rows(linear: nn.Linear) -> Tensor:
    """Returns a linear layer's rows in float64, each with its bias as a last column."""
    weight = linear.weight.double()
    if linear.bias is None:
        return weight
    return torch.cat([weight, linear.bias.double()[:, None]], dim=1)


def choose_units(
    name: str, importances: Sequence[Tensor], kept: float | None, *, scope: Scope
) -> list[list[int]]:
    """Returns the most important heads or neurons of each layer, in the order they stand in.

    Args:
        name: `heads` or `neurons`, for messages.
        importances: Of each layer; the higher, the more important. Of equals the first is kept.
        kept: How many, as a whole number, or which share; None keeps all.
        scope: Whether `kept` is for each layer, or for all together.

    Raises:
        SettingsError: If a layer would be left without, or there are not so many.

    Example:
        >>> two = [torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.0, 5.0, 0.0])]
        >>> choose_units("heads", two, 2, scope="layer")
        [[0, 2], [0, 1]]
        >>> choose_units("heads", two, 0.5, scope="global")
        [[0, 2], [1]]
    """
    sizes = [len(of_layer) for of_layer in importances]
    if kept is None:
        return [list(range(size)) for size in sizes]
    if scope == "layer":
        return [
            find_best(of_layer, _count(name, kept, len(of_layer), where=f"layer {place}"))
            if len(of_layer) > 0  # whose block is gone
            else []
            for place, of_layer in enumerate(importances)
        ]
    least = sum(size > 0 for size in sizes)
    number = _count(name, kept, sum(sizes), where="all layers together", least=least)
    chosen = [set(find_best(of_layer, 1)) for of_layer in importances]
    owners = [(layer, place) for layer, size in enumerate(sizes) for place in range(size)]
    left = number - least
    for index in torch.cat(list(importances)).argsort(descending=True, stable=True).tolist():
        layer, place = owners[index]
        if left and place not in chosen[layer]:
            chosen[layer].add(place)
            left -= 1
    return [sorted(places) for places in chosen]


def find_best(importances: Tensor, number: int) -> list[int]:
    """Returns the most important of a layer, in the order they stand in; of equals the first."""
    best: list[int] = importances.argsort(descending=True, stable=True)[:number].tolist()
    return sorted(best)


def count_share(number: int, share: float) -> int:
    """Returns how many of some units a share of them is, half a unit for a whole one.

    Example:
        >>> count_share(12, 0.5), count_share(3, 0.5), count_share(2, 0.2)
        (6, 2, 0)
    """
    return math.floor(number * share + 0.5)


def _count(name: str, kept: float, size: int, *, where: str, least: int = 1) -> int:
    """Returns how many of `size` are kept, of which there are enough."""
    number = kept if isinstance(kept, int) else count_share(size, kept)
    if not least <= number <= size:
        each = "" if least == 1 else ", so that each layer has one"
        share = math.ceil((least - 0.5) / size * 1e4) / 1e4
        raise SettingsError(
            f"{name} = {kept} keeps {number} of the {size} {name} of {where}; accepted: {least} to "
            f"{size}, or a share from {share:g}{each}"
        )
    return number


def _check(name: str, given: Places | None, sizes: Sequence[int], *, least: int) -> list[list[int]]:
    """Returns what each layer keeps, in the order it stands in."""
    if given is None:
        return [list(range(size)) for size in sizes]
    if len(given) != len(sizes):
        raise SettingsError(
            f"{name} has {len(given)} layers; accepted: as many as the model, {len(sizes)}"
        )
    for layer, (places, size) in enumerate(zip(given, sizes, strict=True)):
        if len(places) < min(least, size):
            raise SettingsError(
                f"{name} leaves layer {layer} none; accepted: at least one of its {size}"
            )
        wrong = [place for place in places if not 0 <= place < size]
        if wrong or len(set(places)) != len(places):
            raise SettingsError(
                f"{name} of layer {layer} are {shorten(list(places))}; accepted: some of 0 to "
                f"{size - 1}, each once"
            )
    return [sorted(places) for places in given]
