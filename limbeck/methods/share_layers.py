"""Share layers: groups of layers run with the weights of one, as ALBERT's do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.methods._method import MethodSettings
from limbeck.methods._rebuild import rebuild
from limbeck.models import Model


class ShareLayersSettings(MethodSettings):
    """Settings of `share_layers`."""

    method: Literal["share_layers"] = "share_layers"
    groups: int = Field(default=1, ge=1)
    """How many groups of layers there are, one after another; each has the weights of one layer."""
    take: Literal["mean", "first", "last"] | tuple[int, ...] = "mean"
    """What a group starts as: the `mean` of its layers, its `first` or `last`; or a layer for each
    group, 0-based, such as [0, 6]."""


SettingsType = ShareLayersSettings


def apply(model: Model, settings: ShareLayersSettings) -> Model:
    """Makes a model whose layers share weights in groups; the model is left as it is.

    It has fewer parameters and is as slow as before, since as many layers run. What it computes is
    another thing until it has learned from the model. Groups are those of `num_hidden_groups` in
    its configuration, of any family; `transformers` knows them of ALBERT alone.

    Args:
        model: Any model whose layers are alike.
        settings: The groups, and what they start as.

    Raises:
        SettingsError: If there are no fewer groups than now, the family's layers are not alike, or
            a listed layer does not exist.

    Source:
        Lan et al., "ALBERT", 2020, section 3.1, "Cross-layer parameter sharing"; there the weights
        are new.
    """
    if model.config.layer_shapes is not None:
        raise SettingsError(
            "share_layers makes one layer of several, and this model's differ in heads and inner "
            "neurons; accepted: a model whose layers are all alike"
        )
    groups, now = settings.groups, len(model.encoder.layers)
    if groups >= now:
        raise SettingsError(
            f"groups = {groups}: {now} layers have weights of their own; accepted: "
            + (f"1 to {now - 1}" if now > 1 else "a model of which several have")
        )
    try:
        config = model.config.replace(num_hidden_groups=groups)
    except SettingsError as error:
        raise SettingsError(f"share_layers: {error}") from error
    layers = [layer.state_dict() for layer in map(model.encoder.layer_at, range(len(config.order)))]
    changed: dict[str, Tensor] = {}
    for group, places in enumerate(_choose(settings, config.order)):
        mean = _average([layers[place] for place in places])
        changed |= {f"encoder.layers.{group}.{name}": tensor for name, tensor in mean.items()}
    return rebuild(model, config, changed)


def _choose(settings: ShareLayersSettings, order: Sequence[int]) -> list[list[int]]:
    """Returns for each group the layers of whose weights it starts as the mean.

    Raises:
        SettingsError: If the listed layers are not one for each group.
    """
    members = [
        [place for place, own in enumerate(order) if own == g] for g in range(max(order) + 1)
    ]
    if settings.take == "mean":
        return members
    if isinstance(settings.take, str):
        return [[places[0 if settings.take == "first" else -1]] for places in members]
    taken = settings.take
    if len(taken) != len(members) or not all(0 <= layer < len(order) for layer in taken):
        raise SettingsError(
            f"take = {list(taken)} with groups = {len(members)}; accepted: mean, first, last, or "
            f"{len(members)} of the layers 0 to {len(order) - 1}, one for each group"
        )
    return [[layer] for layer in taken]


def _average(layers: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([one[name] for one in layers]).mean(dim=0) for name in layers[0]}
