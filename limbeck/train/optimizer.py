"""AdamW with the parameter groups that an encoder needs."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import nn

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_BELOW_LAYERS = re.compile(r"(?:^|\.)embeddings\.")


def build_adamw(
    modules: Iterable[nn.Module],
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
) -> torch.optim.AdamW:
    """Builds AdamW over all trainable parameters of some modules.

    Biases and normalisation gains (every parameter of fewer than two dimensions) are never
    decayed. Each group carries `peak_learning_rate`, which the loop multiplies by the schedule.

    Args:
        modules: The models, and losses with parameters.
        learning_rate: Peak learning rate of the topmost parameters.
        betas: Decay rates of the two moments.
        eps: Added to the root of the second moment.
        weight_decay: Decoupled decay of weight matrices and embeddings.
        layer_decay: Each encoder layer gets this many times the learning rate of the one above
            it; the embeddings stand below the first layer, heads above the last. 1 is no decay.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; layer-wise
        decay: Clark et al., "ELECTRA", ICLR 2020, appendix B.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in modules:
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        depth = 1 + max((_height(name, 0) for name, _ in named), default=0)
        for name, parameter in named:
            decay = weight_decay if parameter.ndim >= 2 else 0.0
            rate = learning_rate * layer_decay ** (depth - _height(name, depth))
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "peak_learning_rate": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ],
        lr=learning_rate,
        betas=betas,
        eps=eps,
        fused=True,
    )


def _height(name: str, top: int) -> int:
    """Returns 0 for embeddings, 1 + i for layer i, `top` for everything above the layers."""
    layer = _LAYER.search(name)
    if layer:
        return 1 + int(layer.group(1))
    return 0 if _BELOW_LAYERS.search(name) else top
