"""AdamW with the parameter groups that an encoder needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import nn

OWN_RATE = "own_rate"
"""Marks a group whose rate is its own and says nothing of the model's."""


@runtime_checkable
class Layered(Protocol):
    """A module that knows how far up each of its parameters stands."""

    def parameter_depths(self) -> Mapping[str, int]:
        """Returns each parameter's depth by its name: 0 at the bottom, the highest at the top."""


def build_adamw(
    modules: Iterable[nn.Module],
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
    own_rates: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.AdamW:
    """Builds AdamW over all trainable parameters of some modules.

    Biases and normalisation gains (every parameter of fewer than two dimensions) are never
    decayed. Each group carries `peak_learning_rate`, which the loop multiplies by the schedule.

    Args:
        modules: The models, and losses with parameters. A module without a method
            `parameter_depths` stands at the top as a whole.
        learning_rate: Peak learning rate of the topmost parameters.
        betas: Decay rates of the two moments.
        eps: Added to the root of the second moment.
        weight_decay: Decoupled decay of weight matrices and embeddings.
        layer_decay: Each encoder layer gets this many times the learning rate of the one above
            it; the embeddings stand below the first layer, heads above the last. 1 is no decay.
        own_rates: Parameters with a peak learning rate of their own, which are never decayed.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; layer-wise
        decay: Clark et al., "ELECTRA", ICLR 2020, appendix B.
    """
    own_rates = own_rates or {}
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for module in modules:
        depths = module.parameter_depths() if isinstance(module, Layered) else {}
        top = max(depths.values(), default=0)
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            decay = weight_decay if parameter.ndim >= 2 else 0.0
            rate = learning_rate * layer_decay ** (top - depths.get(name, top))
            is_own = parameter in own_rates
            if is_own:
                rate, decay = own_rates[parameter], 0.0
            groups.setdefault((rate, decay, is_own), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rate,
                "peak_learning_rate": rate,
                "weight_decay": decay,
                **({OWN_RATE: True} if is_own else {}),
            }
            for (rate, decay, is_own), parameters in groups.items()
        ],
        lr=learning_rate,
        betas=betas,
        eps=eps,
        fused=True,
    )
