"""Prune width: take some dimensions out of the hidden states, the same in all layers.

What is left is a smaller dense model. Heads keep their width, so that side by side they are wider
than the hidden states (`head_dim` in `config.json`). It is not what the model would compute with
zeros in the other dimensions: norms take mean and variance of fewer numbers. So it has to learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from limbeck import listing
from limbeck.errors import SettingsError, shorten, with_article
from limbeck.methods._method import MethodSettings
from limbeck.methods._rebuild import rebuild
from limbeck.methods.prune_units import Kept, count_share, find_best
from limbeck.models import Model, ModelConfig, find_architecture, find_class


class PruneWidthSettings(MethodSettings):
    """Settings of `prune_width`."""

    needs_weights: ClassVar[bool] = True

    method: Literal["prune_width"] = "prune_width"
    width: Kept | None = None
    """Dimensions of the hidden states that are kept: a share of them, as 0.75, or how many."""


SettingsType = PruneWidthSettings


def apply(model: Model, settings: PruneWidthSettings) -> Model:
    """Makes a model of the dimensions with the largest weights; the model is left as it is.

    Which those are is read from the weights: for each matrix that reads or writes hidden states, a
    dimension's part of the sum of squares. `limbeck prune` measures it on a task's rows instead.

    Args:
        model: Any model whose heads may be wider than its hidden states.
        settings: How many are kept.

    Raises:
        SettingsError: If nothing is to go, or nothing would be left, or the family can't have it.

    Source:
        Xia, Zhong and Chen, "Structured Pruning Learns Compact and Accurate Models", ACL 2022,
        section 3.1, for one mask on the hidden states of all layers; magnitude as in Li et al.,
        "Pruning Filters for Efficient ConvNets", 2017, section 3.
    """
    if settings.width is None:
        raise SettingsError(
            "prune_width takes dimensions out of hidden states; give width, such as width = 0.75"
        )
    number = count_width(model.config, settings.width)
    return keep_width(model, find_best(measure_widths(model), number))


def count_width(config: ModelConfig, kept: float) -> int:
    """Returns how many dimensions of the hidden states are kept.

    Args:
        config: Of the model.
        kept: How many, as a whole number, or which share.

    Raises:
        SettingsError: If it is none or all of them, or the family can't have it.
    """
    require_narrowable(config)
    size = config.hidden_size
    number = kept if isinstance(kept, int) else count_share(size, kept)
    if not 1 <= number < size:
        raise SettingsError(
            f"width = {kept} keeps {number} of the {size} dimensions of hidden states; accepted: 1 "
            f"to {size - 1}, or a share of them"
        )
    return number


def require_narrowable(config: ModelConfig) -> None:
    """Refuses a model whose hidden states can't be narrower than its heads.

    Raises:
        SettingsError: Says why they can't, and in which families they can.
    """
    if config.why_wide is None:
        return
    families = listing.list_names("limbeck.models")
    others = [n for n in families if find_architecture(n).config_type.why_wide is None]
    raise SettingsError(
        f"prune_width can't take dimensions out of {with_article(config.model_type)}, since "
        f"{config.why_wide}; accepted: models of the families {', '.join(others)}"
    )


@torch.no_grad()
def keep_width(model: Model, places: Sequence[int]) -> Model:
    """Returns a model of some dimensions of the hidden states; the given one is left as it is.

    What is left are exact copies of its weights. It computes what the model would with zeros in the
    other dimensions of all that writes hidden states, and norms over the kept ones alone.

    Args:
        model: Any model whose heads may be wider than its hidden states.
        places: Which of the dimensions, each once.

    Raises:
        SettingsError: If there is no such dimension, or none, or all are kept.

    Example:
        >>> from limbeck import BertConfig, BertModel
        >>> with torch.device("meta"):
        ...     model = BertModel(BertConfig(num_hidden_layers=1))
        >>> narrow = keep_width(model, range(512))
        >>> narrow.config.hidden_size, narrow.config.head_dim
        (512, 64)
    """
    size = model.config.hidden_size
    kept = sorted(set(places))
    if len(kept) != len(places) or (kept and not 0 <= kept[0] <= kept[-1] < size):
        raise SettingsError(
            f"places are {shorten(list(places))}; accepted: some of 0 to {size - 1}, each once"
        )
    count_width(model.config, len(kept))
    index = torch.tensor(kept, device=model.device)
    changed = {}
    for name, dims in _find_dims(model, len(kept)).items():
        tensor = model.state_dict()[name]
        for dim in dims:
            tensor = tensor.index_select(dim, index)
        changed[name] = tensor
    return rebuild(model, _narrow(model.config, len(kept)), changed)


@torch.no_grad()
def measure_widths(model: Model) -> Tensor:
    """Returns how much each dimension of the hidden states has of the weights.

    Shape:
        result: (hidden_size,)
    """
    require_narrowable(model.config)
    total = torch.zeros(model.config.hidden_size, dtype=torch.float64, device=model.device)
    state = model.state_dict()
    for name, dims in _find_dims(model, model.config.hidden_size - 1).items():
        squares = state[name].double().square()
        if squares.ndim > 1:  # gains and biases say little of what passes
            for dim in dims:
                part = squares.sum(dim=[d for d in range(squares.ndim) if d != dim])
                total += part / part.sum().clamp(min=torch.finfo(part.dtype).tiny)
    return total


def _find_dims(model: Model, width: int) -> Mapping[str, list[int]]:
    """Returns of each weight on hidden states the dimensions in which it has these."""
    has_pooler = None if model.kind.has_head else model.pooler is not None
    config = _narrow(model.config, width)
    with torch.device("meta"):
        narrow = find_class(config.model_type, model.kind)(config, add_pooling_layer=has_pooler)
    shapes = {name: tensor.shape for name, tensor in narrow.state_dict().items()}
    return {
        name: dims
        for name, tensor in model.state_dict().items()
        if (dims := [d for d, size in enumerate(tensor.shape) if size != shapes[name][d]])
    }


def _narrow(config: ModelConfig, width: int) -> ModelConfig:
    """Returns the configuration of hidden states of another width, all else as wide as before."""
    changes = {"hidden_size": width, "head_dim": config.head_size}
    changes["intermediate_size"] = config.intermediate_size  # which may be told by the width
    if getattr(config, "embedding_size", None) == config.hidden_size:
        changes["embedding_size"] = width
    return config.replace(**changes)
