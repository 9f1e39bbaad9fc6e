"""A model of another configuration that has a given one's weights, but for some."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.models import Model, ModelConfig, find_class


@torch.no_grad()
def rebuild(model: Model, config: ModelConfig, changed: Mapping[str, Tensor]) -> Model:
    """Returns a model of a configuration, with copies of a model's weights; no weight is drawn.

    Args:
        model: What it is made of; it is left as it is.
        config: The new configuration, of the same family.
        changed: Weights that are not the given model's, by name; they are copied too.
    """
    has_pooler = None if model.kind.has_head else model.pooler is not None
    with torch.device("meta"):
        made = find_class(config.model_type, model.kind)(config, add_pooling_layer=has_pooler)
    weights = {**model.state_dict(), **changed}
    copies = {name: weights[name].clone() for name in made.state_dict()}
    made.load_state_dict(copies, assign=True)
    return made.train(model.training)
