"""Which layers a narrow format hurts most: each narrowed alone, in torch, as the target does it."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.export._graph import Graph
from limbeck.export._narrowing import Narrowing, Role
from limbeck.nn import Encoder

Batches = Sequence[Mapping[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What narrowing one module costs.

    Attributes:
        name: The module, by its name within `graph.model`.
        cost: Mean squared difference of the outputs, over their own variance.
    """

    name: str
    cost: float


def list_modules(graph: Graph) -> dict[str, nn.Module]:
    """Returns the modules whose weights a target may narrow, by name, each once."""
    return {
        name: module
        for name, module in graph.model.named_modules()
        if isinstance(module, nn.Linear | nn.Embedding)
    }


def find_role(graph: Graph, module: nn.Module) -> Role:
    """Returns what a module's weight is there for."""
    encoder = graph.encoder_model.encoder
    assert isinstance(encoder, Encoder)
    return find_role_within(encoder, module)


def find_role_within(encoder: Encoder, module: nn.Module) -> Role:
    """Returns what the weight of a module of an encoder's model is there for."""
    if not isinstance(module, nn.Embedding):
        return "matrix"
    return "words" if module is encoder.embeddings.word else "table"


def measure_sensitivity(
    graph: Graph, narrowing: Narrowing, batches: Batches, *, skip: Container[str] = ()
) -> Iterator[Sensitivity]:
    """Narrows the modules in turn, all others in float, and yields what each costs.

    Args:
        graph: The model; it is left as it was.
        narrowing: Says how weights are narrowed, and inputs.
        batches: Inputs by name, the attention mask among them.
        skip: Modules of which nobody wants to know.
    """
    expected = [_run(graph, batch) for batch in batches]
    for name, module in list_modules(graph).items():
        if name in skip:
            continue
        costs = []
        with narrowed(module, narrowing, find_role(graph, module)):
            for batch, known in zip(batches, expected, strict=True):
                costs.append(_distance(_run(graph, batch), known))
        yield Sensitivity(name=name, cost=sum(costs) / len(costs))


def time_run(graph: Graph, batches: Batches) -> float:
    """Returns the seconds that a run of the model takes, of which each module's cost is one."""
    for batch in batches[:1]:
        _run(graph, batch)  # the first one takes longer
    began = time.perf_counter()
    for batch in batches:
        _run(graph, batch)
    return time.perf_counter() - began


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


def _run(graph: Graph, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """Returns each output, zero where it is of padding."""
    mask = batch["attention_mask"]
    with torch.no_grad():
        outputs = graph(*(batch[name] for name in graph.input_names))
    return [_blank(output, mask) for output in outputs]


def _blank(output: Tensor, mask: Tensor) -> Tensor:
    if output.shape[:2] != mask.shape or output.ndim < mask.ndim:
        return output
    return output * mask.reshape(*mask.shape, *[1] * (output.ndim - mask.ndim))


def _distance(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Returns the squared difference over the variance, the mean over the outputs."""
    shares = []
    for given, known in zip(outputs, expected, strict=True):
        variance = known.double().var(correction=0).clamp_min(torch.finfo(torch.float64).tiny)
        shares.append(float((given.double() - known.double()).square().mean() / variance))
    return sum(shares) / len(shares)
