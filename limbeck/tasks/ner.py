"""Named entities: a tag for every word of a sentence, scored by whole entities.

Reads CoNLL's columns, or rows with `tokens` and `ner_tags`.

Source:
    Tjong Kim Sang, De Meulder, "Introduction to the CoNLL-2003 Shared Task", CoNLL 2003.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import DataError, did_you_mean, shorten, shorten_names
from limbeck.metrics import Tags
from limbeck.models import AutoModelForTokenClassification
from limbeck.nn import ModelOutput, at_least_float32
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.sources import Data
from limbeck.tasks._base import PADDING, Task
from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._encoded import EncodedExamples, naming_examples, texts_at_a_time
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._held_out import count_held_out, read_rows
from limbeck.tasks._labels import declared_names
from limbeck.tasks._spans import BatchSpans, RowSpans, Spans
from limbeck.tasks._tagged import NerSettings, Sentence, read_tagged
from limbeck.tasks._tags import OUTSIDE
from limbeck.tokenizers import BatchEncoding, Tokenizer

NO_WORD = -1
"""Stands at tokens that are not the first piece of a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRow(EncodedExample):
    """A sentence, or a piece of a long one.

    Attributes:
        words: For each token the number of the word that it is the first piece of, or `NO_WORD`.
    """

    words: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class NerTask(Task):
    """A data set of sentences with a tag for every word; the tags are the labels."""

    predictions = Tags
    auto_model = AutoModelForTokenClassification
    scores_tokens = True
    label_dim = 1

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns sentences into token ids; a long one becomes several rows, so that no word is lost.

        A word's tag stands at its first piece.
        """
        return EncodedExamples.of(self._rows(split.examples, tokenizer, max_length=max_length))

    def spans(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> Spans:
        """Returns where each token stands, and its word."""
        return Spans.of(
            RowSpans.of(row, [len(word) for word in part[owner].words], by_word=True)
            for _, part, encoded in _encode(split.examples, tokenizer, max_length=max_length)
            for row, owner in zip(
                encoded.encodings, encoded["overflow_to_sample_mapping"], strict=True
            )
        )

    def realign(self, logits: Tensor, student: BatchSpans, teacher: BatchSpans) -> Tensor:
        """Gives each token of the student what the teacher says of its word's first piece.

        A special token is given what the teacher says of the one that stands in its place.
        """
        is_same = (student.words[:, :, None] == teacher.words[:, None]) & (
            (student.words[:, :, None] != NO_WORD)
            | (student.begin[:, :, None] == teacher.begin[:, None])
        )
        first = is_same.int().argmax(dim=-1)  # of several, the first
        return logits.gather(2, first[:, None].expand(-1, logits.shape[1], -1))

    def _rows(
        self, sentences: Sequence[Sentence], tokenizer: Tokenizer, *, max_length: int
    ) -> Iterator[WordRow]:
        places = {name: i for i, name in enumerate(self.labels)}
        for start, part, encoded in _encode(sentences, tokenizer, max_length=max_length):
            has_types, owners = "token_type_ids" in encoded, encoded["overflow_to_sample_mapping"]
            last_word = [-1] * len(part)  # of each sentence, in the rows so far
            for row, owner in zip(encoded.encodings, owners, strict=True):
                words = [NO_WORD] * len(row)
                for place, word in enumerate(row.word_ids):
                    if word is not None and word > last_word[owner]:
                        words[place] = last_word[owner] = word
                tags = part[owner].label
                yield WordRow(
                    index=start + int(owner),
                    input_ids=row.ids,
                    token_type_ids=row.type_ids if has_types else None,
                    label=None
                    if tags is None
                    else [
                        IGNORE_INDEX if word == NO_WORD else places[tags[word]] for word in words
                    ],
                    words=words,
                )

    def label_tensor(self, labels: Sequence[Any], batch_shape: torch.Size) -> Tensor:
        """Returns the tags at first pieces and IGNORE_INDEX elsewhere, (batch, sequence)."""
        stacked = np.full(batch_shape, IGNORE_INDEX, dtype=np.int64)
        for number, row in enumerate(labels):
            stacked[number, : len(row)] = row
        return torch.from_numpy(stacked)

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns each token's scores, (batch, labels, sequence)."""
        assert output.logits is not None
        scores = self.in_order(at_least_float32(output.logits)).transpose(1, 2)
        return scores.masked_fill(batch.mask()[:, None] == 0, PADDING)

    def sizes(self, batch: TaskBatch) -> list[int]:
        """Returns each row's number of tokens."""
        return batch.mask().sum(dim=1).tolist()

    def distributions(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """Returns the scores of first pieces, or of all tokens without labels, (tokens, labels)."""
        assert counted is not None
        return logits.transpose(1, 2).flatten(0, 1)[counted]

    def counted(self, batch: TaskBatch) -> Tensor:
        """Returns the flattened places of first pieces, or of tokens where there are no labels."""
        found = batch.mask() == 1 if batch.labels is None else batch.labels != IGNORE_INDEX
        return found.flatten().nonzero().squeeze(1)

    def num_distributions(self, batch: TaskBatch) -> int:
        """Returns the number of first pieces, or of tokens where there are no labels."""
        return len(self.counted(batch))

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the cross-entropy added up over words."""
        assert batch.labels is not None
        return F.cross_entropy(logits, batch.labels, ignore_index=IGNORE_INDEX, reduction="sum")

    def loss_count(self, batch: TaskBatch) -> int:
        """Returns the number of words."""
        assert batch.labels is not None
        return int((batch.labels != IGNORE_INDEX).sum())

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per sentence its words, their tags, and the predicted ones.

        A word without any piece, such as a lone control character, is predicted to be outside.
        """
        predictions = [[OUTSIDE] * len(sentence.words) for sentence in split.examples]
        for row, scores in zip(encoded, logits, strict=True):
            assert isinstance(row, WordRow)
            best = scores.argmax(dim=0).tolist()
            for word, place in zip(row.words, best, strict=True):
                if word != NO_WORD:
                    predictions[row.index][word] = self.labels[place]
        return [
            {
                "index": index,
                "tokens": list(sentence.words),
                "label": None if sentence.label is None else list(sentence.label),
                "prediction": predicted,
            }
            for index, (sentence, predicted) in enumerate(
                zip(split.examples, predictions, strict=True)
            )
        ]


def _encode(
    sentences: Sequence[Sentence], tokenizer: Tokenizer, *, max_length: int
) -> Iterator[tuple[int, Sequence[Sentence], BatchEncoding]]:
    """Yields where a part of the sentences begins, the part, and its rows."""
    tokenizer = tokenizer.for_words()
    for start, part in texts_at_a_time(
        sentences, num_characters=lambda sentence: sum(map(len, sentence.words))
    ):
        with naming_examples(start):
            encoded = tokenizer(
                [list(sentence.words) for sentence in part],
                is_split_into_words=True,
                truncation=True,
                max_length=max_length,
                return_overflowing_tokens=True,
            )
        yield start, part, encoded


def read(
    name: str,
    data: Data,
    *,
    settings: NerSettings,
    labels: Sequence[str] | None = None,
) -> NerTask:
    """Reads tagged sentences.

    Tags come from the settings, else from `labels` (those of a fine-tuned model), else they are
    those of the training split's types, O first.

    Raises:
        DataError: If rows, columns or tags are wrong; the message names file and line.
    """
    given = read_rows(data, settings, document=lambda row: row.values.get(settings.tokens_column))
    numbers = declared_names(given, settings.tags_column)
    splits = {
        split: read_tagged(rows, settings, split=split, numbers=numbers)
        for split, rows in given.items()
    }
    first = splits.get("train") or next(iter(splits.values()))
    held_out = [s for split, rows in given.items() if rows.is_held_out for s in splits[split]]
    known = tuple(settings.labels or labels or _infer([*first, *held_out]))
    for split, sentences in splits.items():
        for row, sentence in zip(given[split].rows, sentences, strict=True):
            unknown = [tag for tag in sentence.label or () if tag not in known]
            if unknown:
                raise DataError(
                    f"{row.place}: unknown tag {shorten(unknown[0])}; known: "
                    f"{shorten_names(known)}.{did_you_mean(unknown[0], known)} Map its type with "
                    "task_options.types, or give all tags in task_options.labels."
                )
    read = {split: Split(split, sentences) for split, sentences in splits.items()}
    return NerTask(
        name=name,
        metric=settings.metric,
        splits=read,
        labels=known,
        num_held_out=count_held_out(given, read),
    )


TASK = TaskDefinition(settings=NerSettings, read=read)


def _infer(sentences: Sequence[Sentence]) -> tuple[str, ...]:
    types = sorted({tag[2:] for s in sentences for tag in s.label or () if tag != OUTSIDE})
    return (OUTSIDE, *(f"{letter}-{kind}" for kind in types for letter in "BI"))
