"""Rows of one length run together: for models that would read what is filled in after a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.nn import ModelOutput

Part = tuple[Tensor, ModelOutput]
"""Which rows of a batch were run together, and what the model gave for them."""


def rows_by_length(attention_mask: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yields each length that rows of a batch have, at least 1, and which rows have it.

    Shape:
        attention_mask: (batch, sequence), 1 before all 0.
    """
    lengths = attention_mask.sum(dim=1).clamp_min(1)
    for length in sorted(set(lengths.tolist())):
        yield length, (lengths == length).nonzero().squeeze(1)


def join_rows(parts: Sequence[Part], *, length: int, has_token_scores: bool) -> ModelOutput:
    """Returns the output for a whole batch, 0 where there is nothing but padding.

    Args:
        parts: Together all rows of the batch, each once.
        length: Of the padded batch.
        has_token_scores: Whether `logits` are of each token, and not of the row.
    """
    order = torch.cat([rows for rows, _ in parts]).argsort()

    def join(name: str, *axes: int) -> Tensor | None:
        found = [getattr(output, name) for _, output in parts]
        return _join(found, order, axes, length=length)

    def join_layers(name: str, *axes: int) -> tuple[Tensor, ...] | None:
        layers = [getattr(output, name) for _, output in parts]
        if None in layers:
            return None
        joined = (_join(found, order, axes, length=length) for found in zip(*layers, strict=True))
        return tuple(tensor for tensor in joined if tensor is not None)

    states = join("last_hidden_state", 1)
    assert states is not None
    return ModelOutput(
        last_hidden_state=states,
        pooler_output=join("pooler_output"),
        logits=join("logits", 1) if has_token_scores else join("logits"),
        start_logits=join("start_logits", 1),
        end_logits=join("end_logits", 1),
        hidden_states=join_layers("hidden_states", 1),
        attentions=join_layers("attentions", 2, 3),
    )


def _join(
    found: Sequence[Tensor | None], order: Tensor, axes: Sequence[int], *, length: int
) -> Tensor | None:
    tensors = [tensor for tensor in found if tensor is not None]
    if not tensors:
        return None
    for axis in axes:
        tensors = [_fill(tensor, axis, length=length) for tensor in tensors]
    return torch.cat(tensors).index_select(0, order)


def _fill(tensor: Tensor, axis: int, *, length: int) -> Tensor:
    before = [0, 0] * (tensor.dim() - 1 - axis)
    return F.pad(tensor, [*before, 0, length - tensor.shape[axis]])
