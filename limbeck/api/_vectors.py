"""Vectors in whatever form they come, as two matrices that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck.errors import SettingsError, shorten

Vectors = npt.NDArray[np.float32] | Tensor | Sequence[Any]


def as_rows(first: Vectors, second: Vectors) -> tuple[Tensor, Tensor]:
    """Returns both as matrices of one type, on one device.

    Raises:
        SettingsError: If they are no vectors, or widths differ.
    """
    one, other = _as_matrix(first), _as_matrix(second)
    if one.shape[-1] != other.shape[-1]:
        raise SettingsError(
            f"vectors of {one.shape[-1]} numbers are compared with vectors of {other.shape[-1]}; "
            "accepted: as many on both sides"
        )
    # The wider of both types: in the first's, 0.9 beside whole numbers would be 0.
    dtype = torch.promote_types(one.dtype, other.dtype)
    return one.to(dtype), other.to(one.device, dtype)


def _as_matrix(vectors: Vectors) -> Tensor:
    try:
        if not isinstance(vectors, np.ndarray | Tensor):
            rows = [torch.as_tensor(vector) for vector in vectors]
            vectors = torch.stack(rows) if rows else torch.empty(0)
        matrix = torch.as_tensor(vectors)
    except (TypeError, ValueError, RuntimeError):  # texts, nothing, rows of different lengths
        raise SettingsError(
            f"{shorten(vectors)} are no vectors; accepted: a matrix, or a list of vectors that are "
            "all as wide, such as encode gives"
        ) from None
    if matrix.dim() not in (1, 2):
        raise SettingsError(
            f"vectors have shape {tuple(matrix.shape)}; accepted: (width,) or (number, width)"
        )
    return matrix[None] if matrix.dim() == 1 else matrix
