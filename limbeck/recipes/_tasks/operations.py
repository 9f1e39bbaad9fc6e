"""How many operations a model makes of a text."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from limbeck.export import Graph


def count_operations(graph: Graph, *, num_tokens: int) -> int:
    """Returns how many additions and multiplications the matrix products make of one text.

    Args:
        graph: The model.
        num_tokens: Length of the text.
    """
    shapes = copy.deepcopy(graph).to("meta")
    inputs = [tensor.to("meta") for tensor in graph.example(rows=1, tokens=num_tokens)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes(*inputs)
    return int(counter.get_total_flops())
