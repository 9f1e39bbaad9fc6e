"""Extractive question answering: the answer is a piece of the text, found window by window."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from limbeck.metrics import Answers, answer_scores, best_threshold
from limbeck.models import AutoModelForQuestionAnswering
from limbeck.nn import ModelOutput, at_least_float32
from limbeck.nn.spans import ScoredWindow, rank_answers
from limbeck.sources import Data, Row
from limbeck.tasks._base import PADDING, Task
from limbeck.tasks._encoded import EncodedExamples, naming_examples, texts_at_a_time
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._held_out import DataSettings, count_held_out, read_rows
from limbeck.tasks._main_metric import AnswerMetric
from limbeck.tasks._spans import NOWHERE, BatchSpans, RowSpans, Spans
from limbeck.tasks._squad_rows import Question, read_questions
from limbeck.tokenizers import Tokenizer
from limbeck.tokenizers.windows import TextWindow, cut_texts, cut_windows, require_room

_NUM_CANDIDATES = 20  # spans of a window that compete with those of the others
_NUM_SHOWN = 3
_METRICS = ("exact_match", "f1")  # in the order of `answer_scores`
_NO_ANSWER = (0, 0)  # the place of the first token, [CLS] in BERT


class QuestionAnsweringSettings(DataSettings):
    """How texts are cut into windows, and which spans can be answers."""

    stride: int = Field(default=128, ge=0)
    """Tokens of the text that neighbouring windows share."""
    max_question_tokens: int = Field(default=64, ge=1)
    """Longer questions are cut."""
    max_answer_tokens: int = Field(default=30, ge=1)
    """Longest answer that is predicted."""
    metric: AnswerMetric = "f1"
    """Main metric, by which the best epoch is chosen."""


class UnanswerableSettings(QuestionAnsweringSettings):
    """How texts are cut into windows, and when there is no answer."""

    null_threshold: float = 0.0
    """A question has no answer if that scores higher than the best answer by more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(EncodedExample):
    """A question with a part of its text.

    Attributes:
        of_text: The first character of each of the whole text's tokens and the one after its last,
            (tokens, 2); shared by all windows and questions of a text.
        first: First token of the text.
        last: Last token of the text; below `first` if it has none.
        begin: Which token of the whole text `first` is.
    """

    of_text: npt.NDArray[np.unsignedinteger[Any]]
    first: int
    last: int
    begin: int

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Each token's first character and the one after its last; (0, 0) before the text."""
        inside = self.of_text[self.begin : self.begin + self.last + 1 - self.first]
        return [(0, 0)] * self.first + [(first, last) for first, last in inside.tolist()]


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringTask(Task):
    """A data set of questions about texts.

    Attributes:
        settings: Of windows and answers.
        null_threshold: See `UnanswerableSettings`; None if every question has an answer.
    """

    predictions = Answers
    auto_model = AutoModelForQuestionAnswering
    scores_tokens = True
    losses_across = frozenset({"soft_targets"})  # others would compare tokens that no score is of

    settings: QuestionAnsweringSettings
    null_threshold: float | None

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns each question and its text into one or several windows.

        Raises:
            SettingsError: If questions and stride leave no room for the text.
        """
        require_room(
            tokenizer,
            max_length=max_length,
            stride=self.settings.stride,
            max_question_tokens=self.settings.max_question_tokens,
            names=("task_options.max_question_tokens", "task_options.stride"),
        )
        return EncodedExamples.of(self._windows(split.examples, tokenizer, max_length=max_length))

    def spans(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> Spans:
        """Returns where the text's tokens and the first one stand; the question's stand nowhere."""
        return Spans.of(
            _place_window(window)
            for window in self._windows(split.examples, tokenizer, max_length=max_length)
        )

    def realign(self, logits: Tensor, student: BatchSpans, teacher: BatchSpans) -> Tensor:
        """Returns the distributions of the first and the last character, by the student's tokens.

        A student's token starts the answer if one of the teacher's does whose first character it
        covers: log sum exp of their scores; likewise with the last character for the end. A token
        that none of the teacher's begins in has probability 0.
        """
        places = teacher.begin, teacher.end - 1
        found = []
        for scores, place in zip(logits.unbind(dim=1), places, strict=True):
            covers = (student.begin[:, :, None] <= place[:, None]) & (
                place[:, None] < student.end[:, :, None]
            )
            covers &= (teacher.begin != NOWHERE)[:, None]
            of_pairs = scores[:, None].masked_fill(~covers, PADDING)
            found.append(of_pairs.logsumexp(dim=-1).masked_fill(~covers.any(dim=-1), PADDING))
        return torch.stack(found, dim=1)

    def _windows(
        self, examples: Sequence[Question], tokenizer: Tokenizer, *, max_length: int
    ) -> Iterator[Window]:
        has_types = "token_type_ids" in tokenizer.model_input_names
        of_texts: dict[str, npt.NDArray[Any]] = {}  # many questions are about one text
        for start, part in texts_at_a_time(
            examples, num_characters=lambda example: len(example.question) + len(example.context)
        ):
            questions = [example.question for example in part]
            with naming_examples(start):
                windows = cut_windows(
                    tokenizer,
                    [example.context for example in part],
                    max_length=max_length,
                    stride=self.settings.stride,
                    questions=cut_texts(
                        tokenizer, questions, max_tokens=self.settings.max_question_tokens
                    ),
                )
            for index, group in groupby(windows, lambda window: window.index):
                example, of_text = part[index], list(group)
                if example.context not in of_texts:
                    of_texts[example.context] = _join_offsets(of_text)
                for window in of_text:
                    yield Window(
                        index=start + index,
                        input_ids=window.encoding.ids,
                        token_type_ids=window.encoding.type_ids if has_types else None,
                        label=_label(window, example),
                        of_text=of_texts[example.context],
                        first=window.first,
                        last=window.last,
                        begin=window.begin,
                    )

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns the scores of starts and ends, (batch, 2, sequence)."""
        assert output.start_logits is not None
        assert output.end_logits is not None
        scores = at_least_float32(torch.stack([output.start_logits, output.end_logits], dim=1))
        return scores.masked_fill(batch.mask()[:, None] == 0, PADDING)

    def sizes(self, batch: TaskBatch) -> list[int]:
        """Returns each row's number of tokens."""
        return batch.mask().sum(dim=1).tolist()

    def distributions(self, logits: Tensor, counted: Tensor | None) -> Tensor:
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
        windows: defaultdict[int, list[ScoredWindow]] = defaultdict(list)
        for window, row in zip(encoded, logits, strict=True):
            assert isinstance(window, Window)
            start, end = row.float().numpy()
            windows[window.index].append(
                ScoredWindow(start, end, window.offsets, window.first, window.last)
            )
        return [
            self._answer(index, question, windows[index])
            for index, question in enumerate(split.examples)
        ]

    def _answer(self, index: int, question: Question, windows: Sequence[ScoredWindow]) -> Record:
        null_score = min(window.null_score for window in windows)
        ranked = rank_answers(
            windows, max_tokens=self.settings.max_answer_tokens, count=_NUM_CANDIDATES
        ) or [((0, 0), null_score)]  # a text without tokens
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
        scores = super().score(split, records)
        if self.null_threshold is None:
            return scores
        has_answer = [bool(record["label"]) for record in records]
        for name, is_wanted in (("has_answer", True), ("no_answer", False)):
            pairs = zip(records, has_answer, strict=True)
            chosen = [record for record, has in pairs if has is is_wanted]
            if chosen:
                of_chosen = super().score(split, chosen)
                scores |= {f"{name}_{metric}": of_chosen[metric] for metric in _METRICS}
        raw = [self._scores(record["answer"], record["label"]) for record in records]
        for name, values in zip(_METRICS, zip(*raw, strict=True), strict=True):
            scores[f"best_{name}"], scores[f"best_{name}_threshold"] = best_threshold(
                [record["answer"] for record in records],
                values,
                [record["null_score_difference"] for record in records],
                has_answer=has_answer,
            )
        return scores

    def submission(self, split: Split, records: Sequence[Record]) -> tuple[str, str]:
        """Returns the answers by id, as evaluate-v1.1.py and evaluate-v2.0.py read them."""
        answers = {record["id"]: record["prediction"] for record in records}
        return "answers.json", json.dumps(answers, indent=0)


def _place_window(window: Window) -> RowSpans:
    """Returns where a window's tokens stand: the first before the text, the question's nowhere."""
    nowhere = [NOWHERE] * len(window.input_ids)
    spans = RowSpans([*nowhere], [*nowhere], nowhere)
    spans.begin[0], spans.end[0] = 0, 1
    for place in range(window.first, window.last + 1):
        begin, end = window.offsets[place]
        spans.begin[place], spans.end[place] = begin + 1, end + 1
    return spans


def _join_offsets(windows: Sequence[TextWindow]) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Returns where each token of a text stands, (tokens, 2), from all of its windows."""
    found: list[tuple[int, int]] = []
    for window in windows:
        inside = window.offsets[window.first : window.last + 1]
        found += inside[len(found) - window.begin :]
    places = np.array(found, dtype=np.uint32).reshape(len(found), 2)
    return places.astype(np.min_scalar_type(places.max(initial=0)))


def _label(window: TextWindow, question: Question) -> tuple[int, int] | None:
    """Returns the answer's first and last token if the window holds it whole."""
    if question.label is None:
        return None
    if not question.label or window.last < window.first:
        return _NO_ANSWER
    return _place(question.label[0], window.offsets, window.first, window.last)


def _place(
    answer: tuple[str, int], offsets: Sequence[tuple[int, int]], first: int, last: int
) -> tuple[int, int]:
    """Returns the tokens of an answer, or that of "no answer" where the window cuts it."""
    begin, end = answer[1], answer[1] + len(answer[0])
    if offsets[first][0] > begin or offsets[last][1] < end:
        return _NO_ANSWER
    start = next(i for i in range(first, last + 1) if offsets[i][1] > begin)
    stop = next(i for i in range(last, first - 1, -1) if offsets[i][0] < end)
    return (start, stop) if start <= stop else _NO_ANSWER


def read_question_answering(
    name: str,
    data: Data,
    *,
    settings: QuestionAnsweringSettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
) -> QuestionAnsweringTask:
    """Reads SQuAD's JSON files, or rows with `id`, `context`, `question` and `answers`.

    Raises:
        DataError: If questions or answers are wrong; the message names file and question.
    """
    threshold = settings.null_threshold if isinstance(settings, UnanswerableSettings) else None
    given = read_rows(data, settings, document=_document)
    splits = {
        split: Split(
            split, read_questions(rows, split=split, with_unanswerable=threshold is not None)
        )
        for split, rows in given.items()
    }
    return QuestionAnsweringTask(
        name=name,
        metric=settings.metric,
        splits=splits,
        num_held_out=count_held_out(given, splits),
        settings=settings,
        null_threshold=threshold,
    )


def _document(row: Row) -> object:
    """Returns the article of a row: several questions, and texts, may be from one."""
    return row.values.get("title") or row.values.get("context") or row.place
