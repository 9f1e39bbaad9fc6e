"""How a format keeps weights, and inputs of matrix products: in torch, in float again."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

Role: TypeAlias = Literal["matrix", "words", "table"]
"""What a weight is there for: products, looking words up, or looking up anything else."""


class Narrowing:
    """What a precision makes of a model's numbers.

    What it makes of a weight that it made is the same weight, so that one which is trained as a
    format keeps it is written as it is.
    """

    precision: ClassVar[str] = "fp32"
    """Type of the weights: fp32, fp16, int8, int4 or int2."""

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:  # noqa: ARG002
        """Returns a weight as the format keeps it, in float again.

        By default each row of a matrix has a scale of its own in int8. No row depends on another.

        Args:
            weight: The matrix.
            role: What it is there for, as some formats narrow tables in another way.

        Shape:
            weight, result: (rows, columns).
        """
        if self.precision == "fp16":
            return weight.half().to(weight.dtype)
        return narrow_rows(weight, steps=127) if self.precision == "int8" else weight

    def narrow_input(self, given: Tensor) -> Tensor:
        """Returns what a matrix is multiplied by, as the format computes with it.

        By default whole numbers with one scale where weights are in int8.

        Shape:
            given, result: (..., columns).
        """
        return narrow_evenly(given) if self.precision == "int8" else given


def narrow_rows(weight: Tensor, *, steps: int) -> Tensor:
    """Returns a matrix whose rows have whole numbers and a scale each, in float again.

    Args:
        weight: The matrix.
        steps: Largest whole number, in both directions alike.

    Shape:
        weight, result: (rows, columns).
    """
    scales = weight.abs().amax(dim=1, keepdim=True) / steps
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    return (weight / scales).round() * scales


def narrow_evenly(given: Tensor) -> Tensor:
    """Rounds to 256 numbers from the lowest to the highest, as int8 kernels do at run time.

    0 is one of them, so that the range may be off by half a step, and an end is cut.

    Shape:
        given, result: Any, alike.
    """
    low, high = given.amin().clamp(max=0), given.amax().clamp(min=0)
    step = ((high - low) / 255).clamp_min(torch.finfo(given.dtype).tiny)
    zero = (-low / step).round()
    return (((given / step).round() + zero).clamp(0, 255) - zero) * step
