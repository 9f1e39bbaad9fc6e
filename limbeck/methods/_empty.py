"""Taking out of a model what writes nothing: heads and neurons whose weights pruning made zero."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from limbeck.methods.prune_units import keep_units, require_cuttable
from limbeck.models import Model
from limbeck.nn import EncoderLayer, FeedForward


@torch.no_grad()
def drop_empty_units(model: Model) -> Model:
    """Returns a smaller model that computes the same; the given one is left as it is.

    A head goes whose columns of the output projection are zero, and one whose values read nothing:
    it adds the same to every token, since attention's weights add up to 1, and the bias takes that
    in. So does a neuron, likewise. A layer may be left without heads, or neurons.

    Args:
        model: Any model whose layers can be cut.

    Raises:
        SettingsError: If the family's layers can't be cut.
    """
    require_cuttable(model.config)
    made = copy.deepcopy(model)
    heads, neurons = [], []
    for place in range(model.config.num_places):
        layer = made.encoder.plain_layer_at(place)
        heads.append(_list_kept(_find_full_heads(layer)))
        neurons.append(_list_kept(_find_full_neurons(layer)))
    return keep_units(made, heads=heads, neurons=neurons, drop_blocks=True)


def _find_full_heads(layer: EncoderLayer) -> Tensor:
    """Marks a layer's heads that write something that hangs on the text; others go to the bias."""
    attention = layer.attention
    value, output = attention.value, attention.output
    by_head = (len(attention.heads), -1) if attention.heads else (0, 0)
    writes = output.weight.T.reshape(by_head).any(dim=1)
    reads = value.weight.reshape(by_head).any(dim=1)
    constant = writes & ~reads
    if value.bias is not None and constant.any():
        if output.bias is None:
            return writes
        of_heads = value.bias * constant.repeat_interleave(attention.head_size)
        output.bias.add_(output.weight @ of_heads)
    return writes & reads


def _find_full_neurons(layer: EncoderLayer) -> Tensor:
    """Marks a layer's neurons likewise; one with a gate stays where it writes at all."""
    block = layer.feed_forward
    writes = block.down.weight.any(dim=0)
    if not isinstance(block, FeedForward):
        return writes
    reads = block.up.weight.any(dim=1)
    constant = writes & ~reads
    if constant.any():
        block.down.bias.add_(block.down.weight @ (block.activation(block.up.bias) * constant))
    return writes & reads


def _list_kept(is_kept: Tensor) -> list[int]:
    places: list[int] = is_kept.nonzero().flatten().tolist()
    return places
