"""Which characters each token of a row covers: how two vocabularies are laid side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from tokenizers import Encoding
from torch import Tensor

from limbeck.nn import to_device
from limbeck.tasks._columns import Ragged, join, pack

NOWHERE = -1
"""Stands for a token that covers no character, and for no token."""


class RowSpans(NamedTuple):
    """Of each token of a row, where it begins and ends, and its word.

    The texts of an example stand on one line of characters, before, between and after them a place
    each for what is special: a special token covers the place that it stands in.
    """

    begin: list[int]
    end: list[int]
    words: list[int]

    @classmethod
    def of(cls, encoding: Encoding, lengths: Sequence[int], *, by_word: bool) -> Self:
        """Reads where the tokens of an encoded text, pair, or list of words stand.

        Args:
            encoding: From the tokenizer.
            lengths: Characters of each text, or of each word.
            by_word: Whether it is a list of words.
        """
        starts = [1]  # after the place before the first text
        for length in lengths:
            starts.append(starts[-1] + length + 1)
        num_read, found = 0, cls([], [], [])
        parts = encoding.word_ids if by_word else encoding.sequence_ids
        for part, (begin, end) in zip(parts, encoding.offsets, strict=True):
            if part is None:
                place = starts[num_read] - 1
                found._add(place, place + 1, NOWHERE)
            else:
                num_read = len(lengths) if by_word else part + 1
                found._add(starts[part] + begin, starts[part] + end, part if by_word else NOWHERE)
        return found

    def _add(self, begin: int, end: int, word: int) -> None:
        self.begin.append(begin)
        self.end.append(end)
        self.words.append(word)


@dataclass(frozen=True)
class BatchSpans:
    """Of each token of some rows, where it begins and ends, and its word; `NOWHERE` after a row.

    Shape: (batch, sequence) each.
    """

    begin: Tensor
    end: Tensor
    words: Tensor

    def count(self, row: int) -> int:
        """Returns the number of a row's tokens that stand somewhere."""
        return int((self.begin[row] != NOWHERE).sum())

    def lack_words(self, teacher: BatchSpans) -> Tensor:
        """Returns which rows have a word of which the teacher has no piece, (batch,)."""
        is_found = (self.words[:, :, None] == teacher.words[:, None]).any(dim=-1)
        return (~is_found & (self.words != NOWHERE)).any(dim=-1)

    def to(self, device: torch.device) -> Self:
        """Returns the same on a device."""
        return type(self)(*(to_device(t, device) for t in (self.begin, self.end, self.words)))


class Spans:
    """The spans of many rows."""

    def __init__(self, columns: Sequence[Ragged]) -> None:
        self._columns = columns

    @classmethod
    def of(cls, rows: Iterable[RowSpans]) -> Spans:
        """Packs rows, at least one."""
        columns = []
        for values in zip(*rows, strict=True):
            column = pack(list(values))
            assert isinstance(column, Ragged)
            columns.append(column)
        return cls(columns)

    @classmethod
    def join(cls, parts: Sequence[Spans]) -> Spans:
        """Returns the rows of all parts, one part after the other."""
        columns = []
        for number in range(3):
            column = join([part._columns[number] for part in parts])
            assert isinstance(column, Ragged)
            columns.append(column)
        return cls(columns)

    def __len__(self) -> int:
        return len(self._columns[0])

    def batch(self, chosen: Sequence[int]) -> BatchSpans:
        """Returns some rows, filled up to the longest."""
        padded = (column.pad(chosen, fill=NOWHERE)[0] for column in self._columns)
        return BatchSpans(*map(torch.from_numpy, padded))


def share_characters(student: BatchSpans, teacher: BatchSpans) -> Tensor:
    """Returns how much each of a teacher's tokens counts for each of a student's.

    With c(s, t) the number of characters that both tokens cover, it is c(s, t) / sum_u c(s, u): the
    mean over the teacher's tokens that overlap the student's, each by its share of it. All 0 where
    none does. A row that both divide alike is laid token by token, also where several tokens cover
    one character.

    Shape: (batch, student's tokens, teacher's tokens), float32.
    """
    begin = torch.maximum(student.begin[:, :, None], teacher.begin[:, None])
    end = torch.minimum(student.end[:, :, None], teacher.end[:, None])
    common = (end - begin).clamp_min(0).float()
    weights = common / common.sum(dim=-1, keepdim=True).clamp_min(1)
    width = min(student.begin.shape[1], teacher.begin.shape[1])
    is_alike = torch.ones(len(weights), dtype=torch.bool)
    for ours, theirs in ((student.begin, teacher.begin), (student.end, teacher.end)):
        is_alike &= (ours[:, :width] == theirs[:, :width]).all(dim=1)
        is_alike &= (ours[:, width:] == NOWHERE).all(dim=1)
        is_alike &= (theirs[:, width:] == NOWHERE).all(dim=1)
    one_by_one = torch.eye(weights.shape[1], weights.shape[2])
    is_token = (student.begin != NOWHERE)[:, :, None]
    return torch.where(is_alike[:, None, None], one_by_one * is_token, weights)
