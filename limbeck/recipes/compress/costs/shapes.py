"""What a model is to whoever runs it, counted without running it: weights and operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from limbeck.export import Graph
from limbeck.models import Model

_NARROW = ("int8", "int4")
_SCALE = 4  # bytes
_BLOCK = 32
"""Weights of a row that have a scale in common, in int4."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model's sizes.

    Attributes:
        num_layers: Encoder layers.
        matrices: Rows and columns of each matrix that inputs are multiplied by.
        tables: Rows and columns of each table that is looked up.
        num_others: Further parameters, which stay in float everywhere.
        flops: Operations on a text, by its tokens; a multiplication and an addition are two.
    """

    num_layers: int
    matrices: tuple[tuple[int, int], ...]
    tables: tuple[tuple[int, int], ...]
    num_others: int
    flops: Mapping[int, int]

    def count_bytes(self, precision: str) -> float:
        """Returns the bytes of all weights in a precision, as the formats here store them.

        What a format has beside its weights does not count.
        """
        number = _bytes_of_number(precision)
        of_tables = sum(
            rows * (columns + _SCALE) if precision in _NARROW else rows * columns * number
            for rows, columns in self.tables
        )
        return self.count_matrix_bytes(precision) + of_tables + number * self.num_others

    def count_matrix_bytes(self, precision: str) -> float:
        """Returns the bytes that are read for every text: those of the matrices."""
        return sum(_count_matrix(rows, columns, precision) for rows, columns in self.matrices)


def _count_matrix(rows: int, columns: int, precision: str) -> float:
    size = rows * columns
    if precision == "int8":  # a scale and a zero point for each output
        return size + rows * (_SCALE + 1)
    if precision == "int4":  # those for each block of a row
        return size / 2 + rows * -(-columns // _BLOCK) * (_SCALE + 0.5)
    return size * _bytes_of_number(precision)


def _bytes_of_number(precision: str) -> int:
    return 2 if precision == "fp16" else 4


def count_shape(model: Model, lengths: Sequence[int]) -> Shape:
    """Counts a model.

    Args:
        model: The model, on the device `meta`, where it has no weights.
        lengths: Tokens of the texts whose operations are counted.
    """
    tables: list[tuple[int, int]] = []
    matrices: list[tuple[int, int]] = []
    num_others, seen = 0, set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if parameter.dim() != 2:
                num_others += parameter.numel()
                continue
            rows, columns = parameter.shape
            (tables if isinstance(module, nn.Embedding) else matrices).append((rows, columns))
    return Shape(
        num_layers=model.config.num_hidden_layers,
        matrices=tuple(matrices),
        tables=tuple(tables),
        num_others=num_others,
        flops={length: _count_flops(model, length) for length in dict.fromkeys(lengths)},
    )


def _count_flops(model: Model, num_tokens: int) -> int:
    graph = Graph(model)
    inputs = (tensor.to("meta") for tensor in graph.example(rows=1, tokens=num_tokens))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        graph(*inputs)
    return int(counter.get_total_flops())
