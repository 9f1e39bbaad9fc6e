"""What the modules of a model are given while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from limbeck.export._graph import Graph

Batches = Sequence[Mapping[str, Tensor]]
"""Inputs by name, the attention mask among them."""


def run(graph: Graph, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Runs a model on a batch."""
    outputs: tuple[Tensor, ...] = graph(*(batch[name] for name in graph.input_names))
    return outputs


@contextmanager
def watched(
    modules: Iterable[nn.Module], note: Callable[[nn.Module, Tensor], None]
) -> Iterator[None]:
    """Tells what each of some modules is given, whenever one is called."""
    hooks = [
        module.register_forward_pre_hook(lambda module, args: note(module, args[0]))
        for module in modules
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def find_mask(batch: Mapping[str, Tensor]) -> Tensor:
    """Returns which tokens of a batch are no padding; choices are rows of their own.

    Shape:
        result: (rows, sequence).
    """
    return batch["attention_mask"].flatten(end_dim=-2).bool()


def take_real(given: Tensor, mask: Tensor) -> Tensor:
    """Returns the vectors of what a module is given, of tokens those that are no padding.

    Shape:
        given: (rows, sequence, width) of tokens, or (..., width) of anything else.
        mask: (rows, sequence).
        result: (vectors, width).
    """
    return given[mask] if given.shape[:-1] == mask.shape else given.flatten(end_dim=-2)
