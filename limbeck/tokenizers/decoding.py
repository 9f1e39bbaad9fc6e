"""From ids back to text: checks on the ids, and the spacing of the result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from limbeck.errors import DataError, shorten

_JOINS = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def read_ids(ids: Iterable[int], *, vocab_size: int) -> list[int]:
    """Returns ids from a list, an array or a tensor of one axis.

    Raises:
        DataError: If they are not whole numbers, or one is not in the vocabulary.
    """
    # A tensor may live on a device that NumPy can't read.
    values: Any = ids.tolist() if hasattr(ids, "tolist") else ids
    try:
        array = np.asarray(list(values))
    except (TypeError, ValueError):
        array = np.asarray([None])
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(
            f"the ids are {shorten(str(ids))}; accepted: whole numbers in one row. For several "
            "rows use batch_decode."
        )
    outside = np.flatnonzero((array < 0) | (array >= vocab_size)) if array.size else array
    if outside.size:
        place = int(outside[0])
        raise DataError(
            f"id {int(array[place])} at position {place} is outside the vocabulary of {vocab_size} "
            "pieces; drop such positions (labels use -100 for none) or use the right tokenizer."
        )
    return [int(value) for value in array]


def clean_up(text: str) -> str:
    """Joins English punctuation and short forms to the word before them, as `transformers` does."""
    for found in _JOINS:
        text = text.replace(found, found.strip())
    return text
