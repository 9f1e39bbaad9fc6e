"""Arithmetic that half precision is too coarse for."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Returns half-precision tensors as float32 and others as they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
