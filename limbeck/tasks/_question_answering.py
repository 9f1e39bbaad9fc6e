"""Extractive question answering: the answer is a piece of the text, found window by window."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from tokenizers import Encoding
from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import SettingsError
from limbeck.models import AutoModelForQuestionAnswering
from limbeck.nn import ModelOutput
from limbeck.tasks._base import (
    PADDING,
    EncodedExample,
    Record,
    Split,
    Task,
    TaskBatch,
    at_least_float32,
)
from limbeck.tasks._sources import read_splits
from limbeck.tasks._spans import best_spans
from limbeck.tasks._squad_metrics import answer_scores, best_threshold
from limbeck.tasks._squad_rows import Question, read_questions
from limbeck.tokenizers import Tokenizer

_NUM_CANDIDATES = 20  # spans of a window that compete with those of the others
_NUM_SHOWN = 3
_NO_ANSWER = (0, 0)  # the place of [CLS]


class QuestionAnsweringSettings(Settings):
    """How texts are cut into windows, and which spans can be answers."""

    stride: int = Field(default=128, ge=0)
    """Tokens of the text that neighbouring windows share."""
    max_question_tokens: int = Field(default=64, ge=1)
    """Longer questions are cut."""
    max_answer_tokens: int = Field(default=30, ge=1)
    """Longest answer that is predicted."""


class UnanswerableSettings(QuestionAnsweringSettings):
    """How texts are cut into windows, and when there is no answer."""

    null_threshold: float = 0.0
    """A question has no answer if that scores higher than the best answer by more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(EncodedExample):
    """A question with a part of its text.

    Attributes:
        offsets: Each token's first character and the one after its last, in its own text.
        first: First token of the text.
        last: Last token of the text.
    """

    offsets: Sequence[tuple[int, int]]
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringTask(Task):
    """A data set of questions about texts.

    Attributes:
        settings: Of windows and answers.
        null_threshold: See `UnanswerableSettings`; None if every question has an answer.
    """

    auto_model = AutoModelForQuestionAnswering

    settings: QuestionAnsweringSettings
    null_threshold: float | None

    def head(self) -> dict[str, Any]:
        """Returns nothing: the head has a start and an end, whatever the data."""
        return {}

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> list[Window]:
        """Turns each question and its text into one or several windows.

        Raises:
            SettingsError: If questions and stride leave no room for the text.
        """
        room = max_length - tokenizer.num_special_tokens(pair=True)
        needed = self.settings.max_question_tokens + self.settings.stride
        if needed >= room:
            raise SettingsError(
                f"max_length = {max_length} has no room for questions of "
                f"{self.settings.max_question_tokens} tokens and a stride of "
                f"{self.settings.stride}; give at least {needed + max_length - room + 1}, or lower "
                "task_options.max_question_tokens or task_options.stride"
            )
        encoded = tokenizer(
            self._cut_questions(split.examples, tokenizer),
            [example.context for example in split.examples],
            truncation="only_second",
            max_length=max_length,
            stride=self.settings.stride,
            return_overflowing_tokens=True,
        )
        has_types = "token_type_ids" in encoded
        owners = encoded["overflow_to_sample_mapping"]
        return [
            _window(row, int(index), split.examples[index], has_types=has_types)
            for row, index in zip(encoded.encodings, owners, strict=True)
        ]

    def _cut_questions(self, questions: Sequence[Question], tokenizer: Tokenizer) -> list[str]:
        limit = self.settings.max_question_tokens
        texts = [question.question for question in questions]
        encoded = tokenizer(texts, add_special_tokens=False)
        return [
            text[: row.offsets[limit - 1][1]] if len(row.ids) > limit else text
            for text, row in zip(texts, encoded.encodings, strict=True)
        ]

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns the scores of starts and ends, (batch, 2, sequence)."""
        assert output.start_logits is not None
        assert output.end_logits is not None
        scores = at_least_float32(torch.stack([output.start_logits, output.end_logits], dim=1))
        return scores.masked_fill(batch.mask()[:, None] == 0, PADDING)

    def sizes(self, batch: TaskBatch) -> list[int]:
        """Returns each row's number of tokens."""
        return batch.mask().sum(dim=1).tolist()

    def distributions(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the distribution of the start and that of the end, (2 * batch, sequence)."""
        return logits.flatten(0, 1)

    def num_distributions(self, batch: TaskBatch) -> int:
        """Returns two for each row."""
        return 2 * batch.num_examples

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the mean of the start's and the end's cross-entropy, added up over rows."""
        assert batch.labels is not None
        return F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="sum") / 2

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per question its answer, a piece of the original text, and the next best ones."""
        windows: defaultdict[int, list[tuple[Window, Tensor]]] = defaultdict(list)
        for window, row in zip(encoded, logits, strict=True):
            assert isinstance(window, Window)
            windows[window.index].append((window, row))
        return [
            self._answer(index, question, windows[index])
            for index, question in enumerate(split.examples)
        ]

    def _answer(
        self, index: int, question: Question, windows: Sequence[tuple[Window, Tensor]]
    ) -> Record:
        candidates: dict[tuple[int, int], float] = {}
        null_score = math.inf
        for window, row in windows:
            start, end = row.float().numpy()
            null_score = min(null_score, float(start[0] + end[0]))
            if window.last < window.first:  # a text without tokens
                continue
            for span in best_spans(
                start,
                end,
                first=window.first,
                last=window.last,
                max_tokens=self.settings.max_answer_tokens,
                count=_NUM_CANDIDATES,
            ):
                place = (window.offsets[span.start][0], window.offsets[span.end][1])
                candidates[place] = max(span.score, candidates.get(place, -math.inf))
        ranked = sorted(candidates.items(), key=lambda item: -item[1]) or [((0, 0), null_score)]
        (first, last), score = ranked[0]
        answer = question.context[first:last]
        record: Record = {
            "index": index,
            "id": question.id,
            "label": None if question.label is None else [text for text, _ in question.label],
            "prediction": answer,
            "start": first,
            "end": last,
            "score": round(score, 6),
            "n_best": [
                {"text": question.context[a:b], "score": round(value, 6)}
                for (a, b), value in ranked[:_NUM_SHOWN]
            ],
        }
        if self.null_threshold is not None:
            difference = null_score - score
            record |= {"answer": answer, "null_score_difference": round(difference, 6)}
            if difference > self.null_threshold:
                record |= {"prediction": "", "start": 0, "end": 0}
        if record["label"] is not None:
            exact, f1 = self._scores(record["prediction"], record["label"])
            record |= {"exact_match": exact, "f1": f1}
        return record

    def _scores(self, prediction: str, gold: Sequence[str]) -> tuple[float, float]:
        return answer_scores(prediction, gold, with_unanswerable=self.null_threshold is not None)

    def score(self, split: Split, records: Sequence[Record]) -> dict[str, float]:
        """Returns exact match and F1, 0 to 1, and where there may be no answer what that adds."""
        exact = np.array([record["exact_match"] for record in records])
        f1 = np.array([record["f1"] for record in records])
        spread = float(f1.std(ddof=1)) if len(f1) > 1 else 0.0
        scores = {
            "exact_match": float(exact.mean()),
            "f1": float(f1.mean()),
            "f1_standard_error": spread / math.sqrt(len(f1)),
            "num_examples": len(records),
        }
        if self.null_threshold is None:
            return scores
        has_answer = np.array([bool(record["label"]) for record in records])
        for name, chosen in (("has_answer", has_answer), ("no_answer", ~has_answer)):
            if chosen.any():
                scores[f"{name}_exact_match"] = float(exact[chosen].mean())
                scores[f"{name}_f1"] = float(f1[chosen].mean())
        best, threshold = best_threshold(
            [self._scores(record["answer"], record["label"])[1] for record in records],
            [record["null_score_difference"] for record in records],
            has_answer=has_answer.tolist(),
        )
        return {**scores, "best_f1": best, "best_f1_threshold": threshold}


def _window(row: Encoding, index: int, question: Question, *, has_types: bool) -> Window:
    """Makes a window of an encoded pair, labelled with the answer's place if it holds it whole."""
    sequences = row.sequence_ids
    in_text = [place for place, number in enumerate(sequences) if number == 1]
    first, last = (in_text[0], in_text[-1]) if in_text else (0, -1)
    label: tuple[int, int] | None = None
    if question.label is not None:
        label = _NO_ANSWER
        if question.label and in_text:
            label = _place(question.label[0], row.offsets, first, last)
    return Window(
        index=index,
        input_ids=row.ids,
        token_type_ids=row.type_ids if has_types else None,
        label=label,
        offsets=row.offsets,
        first=first,
        last=last,
    )


def _place(
    answer: tuple[str, int], offsets: Sequence[tuple[int, int]], first: int, last: int
) -> tuple[int, int]:
    """Returns the tokens of an answer, or that of "no answer" where the window cuts it."""
    begin, end = answer[1], answer[1] + len(answer[0])
    if not answer[0] or offsets[first][0] > begin or offsets[last][1] < end:
        return _NO_ANSWER
    start = next(i for i in range(first, last + 1) if offsets[i][1] > begin)
    stop = next(i for i in range(last, first - 1, -1) if offsets[i][0] < end)
    return (start, stop) if start <= stop else _NO_ANSWER


def read_question_answering(
    name: str,
    data: str | Mapping[str, str],
    *,
    settings: QuestionAnsweringSettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
) -> QuestionAnsweringTask:
    """Reads SQuAD's JSON files, or rows with `id`, `context`, `question` and `answers`.

    Raises:
        DataError: If questions or answers are wrong; the message names file and question.
    """
    threshold = settings.null_threshold if isinstance(settings, UnanswerableSettings) else None
    return QuestionAnsweringTask(
        name=name,
        metric="f1",
        splits={
            split: Split(
                split,
                read_questions(
                    rows,
                    with_unanswerable=threshold is not None,
                    with_answers=split != "transfer",
                ),
            )
            for split, rows in read_splits(data).items()
        },
        settings=settings,
        null_threshold=threshold,
    )
