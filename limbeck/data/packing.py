"""Packed rows: a split's token stream cut into rows of full length, without padding.

A row is as many tokens of the stream as fit, framed as the tokenizer frames a text: `[CLS] ...
[SEP]` in BERT. Rows follow one another without gap or overlap, over the ends of documents; after
each document the stream has a separator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from limbeck.data.corpus import TokenSplit
from limbeck.errors import DataError, SettingsError

if TYPE_CHECKING:
    from limbeck.tokenizers import Tokenizer

Ids = npt.NDArray[np.int64]


class PackedRows:
    """The rows of a split.

    Args:
        split: Token stream.
        tokenizer: Gives the special tokens at a row's ends.
        sequence_length: Tokens of a row, those included.

    Raises:
        DataError: If the split doesn't fill one row.
        SettingsError: If a row has no room for a token.
    """

    def __init__(self, split: TokenSplit, *, tokenizer: Tokenizer, sequence_length: int) -> None:
        frame = tokenizer.frame
        self._content = sequence_length - frame.num_tokens
        if self._content < 1:
            raise SettingsError(
                f"sequence_length={sequence_length} leaves no room between the {frame.num_tokens} "
                f"special tokens of a row; at least {frame.num_tokens + 1}"
            )
        self._split = split
        self._length = sequence_length
        self._begin = len(frame.before)
        self._empty = np.array(frame.input_ids([0] * self._content), dtype=np.int64)
        self.num_rows = split.num_tokens // self._content
        """Full rows; the tokens after the last one belong to none."""
        if not self.num_rows:
            fix = f"lower it to {split.num_tokens + frame.num_tokens} or less, or give more text"
            if split.name == "heldout":
                fix = "build the corpus anew with a larger heldout_ratio, or from more text"
            raise DataError(
                f"sequence_length={sequence_length} is longer than the split '{split.name}' of "
                f"{split.num_tokens} tokens; {fix}"
            )

    def read(self, rows: Ids) -> Ids:
        """Returns rows by number.

        Shape: rows (num,); result (num, sequence_length).
        """
        tokens = np.tile(self._empty, (len(rows), 1))
        inside = slice(self._begin, self._begin + self._content)
        for place, row in enumerate(rows.tolist()):
            start = row * self._content
            tokens[place, inside] = self._split.read(start, start + self._content)
        return tokens

    def read_documents(self, rows: Ids) -> tuple[Ids, Ids]:
        """Returns which document of its row each token belongs to, and its position in that.

        Special tokens at a row's beginning belong to its first document, those at its end to its
        last; positions begin at 0 with every document.

        Shape: rows (num,); both results (num, sequence_length).
        """
        begins = np.zeros((len(rows), self._length), dtype=np.int64)
        for place, row in enumerate(rows.tolist()):
            start = row * self._content
            # an end at the row's very end leaves no token for another document
            ends = self._split.document_ends(start, start + self._content - 1)
            begins[place, ends - start + self._begin] = 1
        documents = np.cumsum(begins, axis=1)
        here = np.broadcast_to(np.arange(self._length), begins.shape)
        latest = np.maximum.accumulate(np.where(begins == 1, here, 0), axis=1)
        return documents, here - latest
