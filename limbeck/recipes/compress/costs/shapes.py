"""What a model is to whoever runs it, counted without running it: weights and operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from limbeck.export import Graph, find_role
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
        words: Rows and columns of the table that words are looked up in.
        tables: Rows and columns of each other table that is looked up.
        num_others: Further parameters, which stay in float everywhere.
        flops: Operations on a text, by its tokens; a multiplication and an addition are two.
    """

    num_layers: int
    matrices: tuple[tuple[int, int], ...]
    words: tuple[tuple[int, int], ...]
    tables: tuple[tuple[int, int], ...]
    num_others: int
    flops: Mapping[int, int]

    def count_bytes(self, precision: str) -> float:
        """Returns the bytes of all weights in a precision, as the formats here store them.

        What a format has beside its weights does not count.
        """
        count_words = _count_matrix if precision == "int4" else _count_table
        of_words = sum(count_words(rows, columns, precision) for rows, columns in self.words)
        of_tables = sum(_count_table(rows, columns, precision) for rows, columns in self.tables)
        of_others = _bytes_of_number(precision) * self.num_others
        return self.count_matrix_bytes(precision) + of_words + of_tables + of_others

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


def _count_table(rows: int, columns: int, precision: str) -> float:
    if precision in _NARROW:  # in int8 either way, a scale for each row
        return rows * (columns + _SCALE)
    return rows * columns * _bytes_of_number(precision)


def _bytes_of_number(precision: str) -> int:
    return 2 if precision == "fp16" else 4


def count_shape(model: Model, lengths: Sequence[int]) -> Shape:
    """Counts a model.

    Args:
        model: The model, on the device `meta`, where it has no weights.
        lengths: Tokens of the texts whose operations are counted.
    """
    graph = Graph(model)
    sizes: dict[str, list[tuple[int, int]]] = {"matrix": [], "words": [], "table": []}
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
            sizes[find_role(graph, module)].append((rows, columns))
    return Shape(
        num_layers=model.config.num_hidden_layers,
        matrices=tuple(sizes["matrix"]),
        words=tuple(sizes["words"]),
        tables=tuple(sizes["table"]),
        num_others=num_others,
        flops={length: _count_flops(graph, length) for length in dict.fromkeys(lengths)},
    )


def _count_flops(graph: Graph, num_tokens: int) -> int:
    inputs = (tensor.to("meta") for tensor in graph.example(rows=1, tokens=num_tokens))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        graph(*inputs)
    return int(counter.get_total_flops())
