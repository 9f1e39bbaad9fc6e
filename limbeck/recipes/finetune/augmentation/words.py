"""Each word of a row is replaced by itself, with one of its likeliest or nearest words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.recipes.finetune.augmentation.masked_lm import MaskedLM
from limbeck.recipes.finetune.augmentation.rows import Ids
from limbeck.recipes.finetune.augmentation.settings import AugmentSettings

Word: TypeAlias = tuple[int, int, int]
"""Row of a word, its first column, and the one after its last."""


@dataclass(frozen=True, kw_only=True)
class WordDraw:
    """Finds what could stand in each word's place once, for all copies.

    A word of one piece is hidden by itself, and the model says what is likeliest there; for one of
    several pieces those words are taken that lie nearest to the mean of its pieces among the
    model's word embeddings, by their cosine. What takes a word's place is a whole word of one piece
    with a letter in it. Words without a letter, as numbers and punctuation are, stay.

    Source:
        Jiao et al., "TinyBERT", 2020, algorithm 1, whose nearest words are GloVe's, and which
        leaves out a list of English words.
    """

    masked_lm: MaskedLM
    settings: AugmentSettings
    batch_size: int
    _nearest: dict[tuple[int, ...], list[int]] = field(default_factory=dict, init=False, repr=False)

    def __call__(
        self, inputs: Mapping[str, Tensor], rows: Sequence[Ids], numbers: Sequence[int]
    ) -> list[list[Ids]]:
        """Returns the rows that were made, copy by copy."""
        words = [word for row, ids in enumerate(rows) for word in self._find_words(row, ids)]
        single = [word for word in words if word[2] - word[1] == 1]
        choices = dict(zip(single, self._find_likeliest(inputs, single), strict=True))
        several = [word for word in words if word not in choices]
        pieces = [tuple(rows[row][begin:end].tolist()) for row, begin, end in several]
        choices |= dict(zip(several, self._find_nearest(pieces), strict=True))
        of_rows: list[list[Word]] = [[] for _ in rows]
        for word in words:
            of_rows[word[0]].append(word)
        return [
            [
                self._replace(ids, of_rows[row], choices, key=(self.settings.seed, copy, number))
                for row, (ids, number) in enumerate(zip(rows, numbers, strict=True))
            ]
            for copy in range(self.settings.copies)
        ]

    def _replace(
        self,
        ids: Ids,
        words: Sequence[Word],
        choices: Mapping[Word, Sequence[int]],
        *,
        key: tuple[int, int, int],
    ) -> Ids:
        random = np.random.default_rng(key)
        is_replaced = random.random(len(words)) < self.settings.mask_ratio
        ranks = random.random(len(words))
        parts, done = [], 0
        for word, replaced, rank in zip(words, is_replaced, ranks, strict=True):
            if replaced:
                _, begin, end = word
                found = choices[word]
                parts += [ids[done:begin], [found[int(rank * len(found))]]]
                done = end
        return np.concatenate([*parts, ids[done:]]).astype(np.int32)

    def _find_words(self, row: int, ids: Ids) -> list[Word]:
        """Returns the words of a row that have a letter."""
        is_special = np.isin(ids, self.masked_lm.tokenizer.all_special_ids)
        begins = ~self.masked_lm.tokenizer.continuation_mask[ids] | is_special
        begins[:1] = True
        begins[1:] |= is_special[:-1]
        starts = np.flatnonzero(begins).tolist()
        return [
            (row, begin, end)
            for begin, end in zip(starts, [*starts[1:], len(ids)], strict=True)
            if not is_special[begin] and self._has_letter[ids[begin:end]].any()
        ]

    def _find_likeliest(
        self, inputs: Mapping[str, Tensor], words: Sequence[Word]
    ) -> list[list[int]]:
        """Returns what could stand in the place of words of one piece, each alone hidden."""
        found: list[list[int]] = []
        for start in range(0, len(words), self.batch_size):
            part = words[start : start + self.batch_size]
            rows = [row for row, _, _ in part]
            copies = {name: tensor[rows] for name, tensor in inputs.items()}
            places = [(i, begin) for i, (_, begin, _) in enumerate(part)]
            scores = self.masked_lm.score(copies, places)[:, self._candidates]
            found += self._take_best(scores)
        return found

    def _find_nearest(self, words: Sequence[tuple[int, ...]]) -> list[list[int]]:
        """Returns the words of one piece that lie nearest to words of several."""
        new = list(dict.fromkeys(word for word in words if word not in self._nearest))
        for start in range(0, len(new), self.batch_size):
            part = new[start : start + self.batch_size]
            means = torch.stack([self._embeddings[list(word)].mean(0) for word in part])
            with torch.autocast(means.device.type, enabled=False):
                cosines = F.normalize(means, dim=-1) @ self._directions.T
            self._nearest.update(zip(part, self._take_best(cosines), strict=True))
        return [self._nearest[word] for word in words]

    def _take_best(self, scores: Tensor) -> list[list[int]]:
        best = scores.topk(min(self.settings.top_k, scores.shape[1]), dim=-1).indices
        found: list[list[int]] = self._candidates[best].tolist()
        return found

    @cached_property
    def _has_letter(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether a piece has a letter, by its number."""
        tokenizer = self.masked_lm.tokenizer
        texts = tokenizer.batch_decode([[number] for number in range(tokenizer.vocab_size)])
        found = np.array([any(letter.isalpha() for letter in text) for text in texts])
        found[tokenizer.all_special_ids] = False
        return found

    @cached_property
    def _candidates(self) -> Tensor:
        """Numbers of the whole words of one piece."""
        is_whole = self._has_letter & ~self.masked_lm.tokenizer.continuation_mask
        return torch.tensor(np.flatnonzero(is_whole), device=self.masked_lm.model.device)

    @cached_property
    def _embeddings(self) -> Tensor:
        return self.masked_lm.model.encoder.embeddings.word.weight.float()

    @cached_property
    def _directions(self) -> Tensor:
        """The embeddings of the candidates, each of length 1."""
        return F.normalize(self._embeddings[self._candidates], dim=-1)
