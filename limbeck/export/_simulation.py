"""A model that computes as a narrow format does, in torch, and what its outputs lose by that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from limbeck.export._graph import Graph
from limbeck.export._inputs import Batches, run
from limbeck.export._narrowing import Narrowing, Role

Outputs: TypeAlias = Sequence[tuple[Tensor, ...]]
"""What a model gives for some batches."""


@contextmanager
def narrowed(module: nn.Module, narrowing: Narrowing, role: Role) -> Iterator[None]:
    """Gives a module the weights, and where they are narrowed the inputs, of a format."""
    weight = module.weight
    assert isinstance(weight, nn.Parameter)
    kept, hooks = weight.data, []

    def narrow_input(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        first, *others = inputs
        return (narrowing.narrow_input(first), *others)

    weight.data = narrowing.narrow(kept, role=role)
    if isinstance(module, nn.Linear):
        hooks.append(module.register_forward_pre_hook(narrow_input))
    try:
        yield
    finally:
        weight.data = kept
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def run_all(graph: Graph, batches: Batches) -> Outputs:
    """Returns what a model gives for each batch."""
    return [run(graph, batch) for batch in batches]


def measure_loss(exact: Outputs, given: Outputs, batches: Batches) -> float:
    """Returns the squared error of outputs over their own variance, the mean over the outputs.

    Padding does not count.

    Args:
        exact: What the model gives.
        given: What another form of it gives.
        batches: What both were given.
    """
    of_each = [
        _compare(
            [_take_real(one, batch) for one, batch in zip(own, batches, strict=True)],
            [_take_real(one, batch) for one, batch in zip(other, batches, strict=True)],
        )
        for own, other in zip(zip(*exact, strict=True), zip(*given, strict=True), strict=True)
    ]
    return sum(of_each) / len(of_each)


def _compare(exact: Sequence[Tensor], given: Sequence[Tensor]) -> float:
    # By batches, as the scores of all words may be many, and in double precision only for sums.
    mean = sum(map(_sum, exact)) / sum(one.numel() for one in exact)
    spread = sum(_sum((one - mean).square()) for one in exact)
    lost = sum(_sum((two - one).square()) for one, two in zip(exact, given, strict=True))
    return lost / max(spread, torch.finfo(torch.float64).tiny)


def _sum(values: Tensor) -> float:
    return float(values.sum(dtype=torch.float64))


def _take_real(output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Returns of an output for each token what is of no padding, and any other as it is."""
    mask = batch["attention_mask"].bool()
    return output[mask] if output.shape[: mask.ndim] == mask.shape else output
