"""Exact search: for each vector of a query, the documents whose vectors are the nearest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.nn import Similarity, similarity_matrix

_QUERIES_AT_A_TIME = 256
_DOCUMENTS_AT_A_TIME = 2**15  # 32 MB of scores


def search(
    queries: Tensor,
    documents: Tensor,
    *,
    top_k: int,
    similarity: Similarity,
    left_out: Sequence[int | None] | None = None,
) -> Iterator[tuple[list[int], list[float]]]:
    """Finds the nearest documents of each query, of equally near ones those that come first.

    Memory does not grow with the number of queries times that of documents.

    Args:
        queries: Their vectors.
        documents: Theirs.
        top_k: How many to find.
        similarity: How two vectors are compared.
        left_out: For each query, the place of a document that is not looked at, or None.

    Shape:
        queries: (queries, width).
        documents: (documents, width).

    Yields:
        For each query the places of documents, the nearest first, and how near they are.
    """
    if similarity == "cosine":
        queries, documents = (F.normalize(vectors, dim=-1) for vectors in (queries, documents))
        similarity = "dot"
    for start in range(0, len(queries), _QUERIES_AT_A_TIME):
        some = queries[start : start + _QUERIES_AT_A_TIME]
        best = torch.empty(len(some), 0)
        places = torch.empty(len(some), 0, dtype=torch.long)
        for first in range(0, len(documents), _DOCUMENTS_AT_A_TIME):
            here = documents[first : first + _DOCUMENTS_AT_A_TIME]
            scores = similarity_matrix(some, here, similarity)
            new = torch.arange(first, first + scores.shape[1]).expand_as(scores)
            for row, place in enumerate((left_out or ())[start : start + len(some)]):
                if place is not None and first <= place < first + scores.shape[1]:
                    scores[row, place - first] = -torch.inf
            # What was found comes before what is looked at now, so that places still ascend.
            best, places = torch.cat([best, scores], dim=1), torch.cat([places, new], dim=1)
            chosen = _find_highest(best, top_k)
            best, places = best.gather(1, chosen), places.gather(1, chosen)
        for scores_of, places_of in zip(best.tolist(), places.tolist(), strict=True):
            kept = sum(score > -torch.inf for score in scores_of)
            yield places_of[:kept], scores_of[:kept]


def _find_highest(scores: Tensor, count: int) -> Tensor:
    """Returns where the highest are, in order, the first of equal ones first; (rows, count)."""
    count = min(count, scores.shape[1])
    values, places = scores.topk(count, dim=1)
    is_cut = (scores >= values[:, -1:]).sum(dim=1) > count  # between equal ones
    if is_cut.any():
        ordered = scores[is_cut].sort(dim=1, descending=True, stable=True).indices
        places[is_cut] = ordered[:, :count]
    places = places.sort(dim=1).values
    order = scores.gather(1, places).sort(dim=1, descending=True, stable=True).indices
    return places.gather(1, order)
