"""What the targets for phones share: attention written out, and lengths within bounds."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from limbeck.export._graph import Graph

LONGEST = 512
"""Longest row in tokens if nothing else is asked for. Both formats set memory aside for the longest
row, and attention's scores grow with the square of it: 8192 tokens of ModernBERT would be 3 GB."""


def longest_row(graph: Graph) -> int:
    """Returns how many tokens a row has at most, by default."""
    return min(graph.config.max_tokens or graph.config.max_position_embeddings, LONGEST)


def make_example(graph: Graph, *, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """Returns inputs of a shape, of multiple choice with one choice a row.

    Choices are scored each by itself, so that a file that takes one takes any number of them.
    """
    example = graph.example(rows=rows, tokens=tokens)
    if not graph.kind.has_choices:
        return example
    # A new tensor: the strides of the part would be read as its shape on the way.
    return tuple(torch.zeros(rows, 1, tokens, dtype=t.dtype) + t[:, :1] for t in example)


class WrittenOut(TorchFunctionMode):
    """Traces some functions as the steps that they are made of, while it is active.

    Attention: what exporters make of it by themselves guards against rows in which nothing may be
    seen, by four steps over all scores that phones' runtimes have no fast kernels for. Our masks
    are finite, so that there is nothing to guard against.

    Args:
        gelu: Also the GELU that is made of a hyperbolic tangent.
    """

    def __init__(self, *, gelu: bool = False) -> None:
        super().__init__()
        self._gelu = gelu

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replaces these functions, and leaves all others as they are."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            func = _attend
        elif self._gelu and func is F.gelu and kwargs.get("approximate") == "tanh":
            func, kwargs = _gelu, {}
        return func(*args, **kwargs)


def _gelu(x: Tensor) -> Tensor:
    """Source: Hendrycks, Gimpel 2016, https://arxiv.org/abs/1606.08415, section 2."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    assert not dropout_p, "an exported model is in evaluation mode"
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query * scale, key.transpose(-2, -1))
    scores = scores if attn_mask is None else scores + attn_mask
    return torch.matmul(scores.softmax(dim=-1), value)


@contextmanager
def quiet_python() -> Iterator[None]:
    """Keeps back what exporters warn of and log: deprecations among themselves, missing kernels.

    Nothing of it is about the user's model; what goes wrong is an exception.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
