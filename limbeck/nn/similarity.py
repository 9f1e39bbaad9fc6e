"""How alike vectors are, under the names of sentence-transformers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.nn.constants import Similarity
from limbeck.nn.precision import at_least_float32


def similarity_matrix(first: Tensor, second: Tensor, similarity: Similarity) -> Tensor:
    """Compares each vector with each.

    Shape:
        first: (m, width).
        second: (n, width).
        result: (m, n).
    """
    first, second = at_least_float32(first), at_least_float32(second)
    if similarity in ("euclidean", "manhattan"):
        return -torch.cdist(first, second, p=2.0 if similarity == "euclidean" else 1.0)
    if similarity == "cosine":
        first, second = F.normalize(first, dim=-1), F.normalize(second, dim=-1)
    return first @ second.T


def similarity_of_pairs(first: Tensor, second: Tensor, similarity: Similarity) -> Tensor:
    """Compares each vector with the one at its place.

    Shape:
        first, second: (n, width).
        result: (n,).
    """
    first, second = at_least_float32(first), at_least_float32(second)
    if similarity in ("euclidean", "manhattan"):
        order = 2 if similarity == "euclidean" else 1
        distances: Tensor = torch.linalg.vector_norm(first - second, ord=order, dim=-1)
        return -distances
    if similarity == "cosine":
        first, second = F.normalize(first, dim=-1), F.normalize(second, dim=-1)
    return (first * second).sum(dim=-1)
