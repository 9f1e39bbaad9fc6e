"""Values that several rooms agree on."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

IGNORE_INDEX: Final = -100
"""Label of a position that carries no loss."""

PoolingMode: TypeAlias = Literal[
    "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"
]
"""Under the names of sentence-transformers, in the order in which that library joins several."""
POOLING_MODES: Final[tuple[PoolingMode, ...]] = get_args(PoolingMode)

Similarity: TypeAlias = Literal["cosine", "dot", "euclidean", "manhattan"]
"""How alike vectors are: greater is more alike, so that distances count below 0."""
