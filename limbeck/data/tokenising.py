"""Documents in, tokens in their split's shards out, a bounded amount of text at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from limbeck.data.documents import divide_text
from limbeck.data.shards import SplitWriter

if TYPE_CHECKING:
    from limbeck.tokenizers import Tokenizer

SEGMENT_CHARACTERS: Final = 16_384
"""Most text given to the tokenizer in one piece. It shares the pieces of a call among its threads
and holds some 150 bytes a token while it works, so a novel must not be one piece."""


@dataclass(frozen=True)
class _Segment:
    text: str
    split: str
    ends_document: bool


class DocumentTokeniser:
    """Collects documents and tokenises them in batches, on all cores.

    Where batches end doesn't change the result.

    Args:
        tokenizer: The tokenizer.
        writers: Where each split's tokens go.
        batch_characters: Text tokenised in one call.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, writers: Mapping[str, SplitWriter], batch_characters: int
    ) -> None:
        self._tokenizer = tokenizer
        self._writers = writers
        self._batch_characters = batch_characters
        self._separator = np.array([tokenizer.separator_id])
        self._pending: list[_Segment] = []
        self._pending_characters = 0
        self._document_tokens = 0
        self.num_empty = 0
        """Documents so far that had characters but no token."""

    def add(self, text: str, *, split: str) -> None:
        """Takes one document, tokenising whenever a batch is full."""
        left = len(text)
        for segment in divide_text(text, max_characters=SEGMENT_CHARACTERS):
            left -= len(segment)
            self._pending.append(_Segment(segment, split, ends_document=left == 0))
            self._pending_characters += len(segment)
            if self._pending_characters >= self._batch_characters:
                self.flush()

    def flush(self) -> None:
        """Tokenises what is pending and appends it to the shards."""
        if not self._pending:
            return
        encoded = self._tokenizer.encode_batch_ids(
            [segment.text for segment in self._pending], add_special_tokens=False
        )
        tokens: dict[str, list[npt.NDArray[np.integer]]] = {name: [] for name in self._writers}
        sizes = dict.fromkeys(self._writers, 0)
        ends: dict[str, list[int]] = {name: [] for name in self._writers}
        for segment, ids in zip(self._pending, encoded, strict=True):
            split = segment.split
            tokens[split].append(ids)
            sizes[split] += len(ids)
            self._document_tokens += len(ids)
            if not segment.ends_document:
                continue
            if self._document_tokens:
                tokens[split].append(self._separator)
                sizes[split] += 1
                ends[split].append(sizes[split])
            else:
                self.num_empty += 1
            self._document_tokens = 0
        for split, writer in self._writers.items():
            if sizes[split]:
                writer.append(np.concatenate(tokens[split]), ends[split])
        self._pending.clear()
        self._pending_characters = 0
