"""Sums over many rows without ever holding the full-vocabulary tensors of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

ChunkLoss = Callable[[Tensor, slice], Tensor]


def sum_over_chunks(
    loss: ChunkLoss, hidden: Tensor, *, parameters: Sequence[Tensor], chunk_rows: int
) -> Tensor:
    """Returns the sum of a loss over chunks of rows, holding one chunk's graph at a time.

    The gradients are taken chunk by chunk during the forward pass, so nothing is computed twice;
    in value and gradient the result equals `loss` on all rows at once.

    Args:
        loss: Takes a chunk of `hidden` and the slice it is, returns its weighted sum. All other
            tensors with gradient that it uses must stand in `parameters`.
        hidden: Rows that the loss starts from.
        parameters: Trainable tensors that the loss uses besides `hidden`.
        chunk_rows: Rows at a time.

    Shape:
        hidden: (rows, hidden_size). The result is a scalar.

    Source:
        The idea of taking the gradient in the forward pass: Hsu et al., "Liger Kernel", 2024,
        section 3.2 (FusedLinearCrossEntropy).
    """
    with_gradient = [p for p in parameters if p.requires_grad]
    if not torch.is_grad_enabled() or not (with_gradient or hidden.requires_grad):
        parts = [loss(hidden[rows], rows) for rows in _chunks(len(hidden), chunk_rows)]
        return torch.stack(parts).sum() if parts else hidden.new_zeros(())
    apply: Callable[..., Tensor] = _SumOverChunks.apply
    return apply(loss, chunk_rows, hidden, *with_gradient)


class _SumOverChunks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, loss: ChunkLoss, chunk_rows: int, hidden: Tensor, *parameters: Tensor
    ) -> Tensor:
        sums = [torch.zeros((), dtype=torch.float32, device=hidden.device)]
        hidden_gradient = torch.zeros_like(hidden)
        gradients: list[Tensor | None] = [None] * len(parameters)
        for rows in _chunks(len(hidden), chunk_rows):
            with torch.enable_grad():
                chunk = hidden[rows].detach().requires_grad_()
                chunk_sum = loss(chunk, rows)
                scaled = chunk_sum * _scale_of(hidden)
            chunk_gradient, *parts = torch.autograd.grad(
                scaled, (chunk, *parameters), allow_unused=True
            )
            sums.append(chunk_sum.detach())
            if chunk_gradient is not None:
                hidden_gradient[rows] = chunk_gradient
            gradients = [_add(old, part) for old, part in zip(gradients, parts, strict=True)]
        ctx.gradients = (hidden_gradient, *gradients)
        ctx.scale = _scale_of(hidden)
        return sum(sums[1:], start=sums[0])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        scale = grad_outputs[0] / ctx.scale
        gradients = ctx.gradients
        ctx.gradients = None
        return None, None, *(None if g is None else g.mul_(scale) for g in gradients)


def _scale_of(hidden: Tensor) -> float:
    """Returns what gradients are held multiplied by: the loss scale comes too late for fp16 here.

    With it the largest gradient of a single row at the usual weights is still in fp16's range.
    Under autocast the rows themselves may be float32 while the head computes in fp16.
    """
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    return 1024.0 if dtype == torch.float16 else 1.0


def _add(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    if old is None or new is None:
        return new if old is None else old
    return old + new


def _chunks(num_rows: int, chunk_rows: int) -> list[slice]:
    return [slice(start, start + chunk_rows) for start in range(0, num_rows, chunk_rows)]
