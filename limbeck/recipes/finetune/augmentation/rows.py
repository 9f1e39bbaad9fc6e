"""The rows that are made, and how they become rows to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from limbeck.tasks import EncodedExample, EncodedExamples

Ids: TypeAlias = npt.NDArray[np.int32]
Made: TypeAlias = list[tuple[int, Ids]]
"""Rows that were made: which training row each is made of, and its token ids."""


class Draw(Protocol):
    """Makes rows of rows."""

    def __call__(
        self, inputs: Mapping[str, Tensor], rows: Sequence[Ids], numbers: Sequence[int]
    ) -> list[list[Ids]]:
        """Returns the rows that were made, copy by copy.

        Args:
            inputs: The rows as the masked LM reads them, padded.
            rows: The same without padding.
            numbers: Which training rows they are, which decides what is drawn.
        """


def fill_again(rows: EncodedExamples, made: Made, *, special: Sequence[int]) -> EncodedExamples:
    """Returns the rows that were made of some rows, without labels.

    Args:
        rows: Those that they were made of.
        made: What was made.
        special: Ids of special tokens, which stand in a made row as they did before.
    """
    return EncodedExamples.of(_fill(rows[i], ids, special) for i, ids in made)


def _fill(row: EncodedExample, ids: Ids, special: Sequence[int]) -> EncodedExample:
    types = row.token_type_ids
    if types is not None and len(ids) != len(row.input_ids):
        # Texts are told apart by the special tokens between them.
        of_parts = dict(zip(_parts(row.input_ids, special), types, strict=True))
        types = [of_parts[part] for part in _parts(ids, special)]
    return replace(row, input_ids=ids.tolist(), token_type_ids=types, label=None)


def _parts(ids: Sequence[int] | Ids, special: Sequence[int]) -> list[tuple[int, bool]]:
    """Returns for each token after how many special ones it stands, and whether it is one."""
    is_special = np.isin(ids, special)
    return list(zip(np.cumsum(is_special).tolist(), is_special.tolist(), strict=True))
