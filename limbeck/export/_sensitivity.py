"""Which layers a narrow format hurts most: each narrowed alone, in torch, as the target does it."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from dataclasses import dataclass

from torch import nn

from limbeck.export._graph import Graph
from limbeck.export._inputs import Batches
from limbeck.export._narrowing import Narrowing, Role
from limbeck.export._simulation import measure_loss, narrowed, run_all
from limbeck.nn import Encoder


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What narrowing one module costs.

    Attributes:
        name: The module, by its name within `graph.model`.
        cost: Squared error of the outputs over their own variance, padding aside.
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
    exact = run_all(graph, batches)
    for name, module in list_modules(graph).items():
        if name in skip:
            continue
        with narrowed(module, narrowing, find_role(graph, module)):
            given = run_all(graph, batches)
        yield Sensitivity(name=name, cost=measure_loss(exact, given, batches))


def time_run(graph: Graph, batches: Batches) -> float:
    """Returns the seconds that a run of the model takes, of which each module's cost is one."""
    run_all(graph, batches[:1])  # the first one takes longer
    began = time.perf_counter()
    run_all(graph, batches)
    return time.perf_counter() - began
