"""Extractive question answering: the answer is a piece of the text that is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options, require_at_least, require_positive
from limbeck.inference._stream import Steps
from limbeck.inference.engines import Outputs
from limbeck.inference.pipelines._questions import Question, check_question, gather_questions
from limbeck.models._kinds import QUESTION_ANSWERING
from limbeck.nn.spans import Place, ScoredWindow, rank_answers
from limbeck.tokenizers.windows import TextWindow, cut_texts, cut_windows, require_room

_MAX_LENGTH = 384  # what models are fine-tuned with
_STRIDE = 128
_QUESTION = 64
_NUM_CANDIDATES = 20

Answer = dict[str, Any]


@dataclass(frozen=True)
class QuestionAnsweringOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    rare = ("doc_stride", "max_answer_len", "max_question_len", "align_to_words")

    top_k: int = 1
    """Answers to a question."""
    doc_stride: int | None = None
    """Tokens of the text that neighbouring windows share; by default 128, or half of what a
    question leaves where that is less."""
    max_answer_len: int = 30
    """Longest answer in tokens."""
    max_question_len: int | None = None
    """Tokens after which a question is cut; by default 64, or half of a window where that is
    less."""
    handle_impossible_answer: bool = False
    """Whether "" may be an answer, for models that learned when there is none, such as those of
    SQuAD 2."""
    align_to_words: bool = True
    """Whether an answer that is a part of a word becomes the word."""

    def __post_init__(self) -> None:
        require_positive("top_k", self.top_k)
        require_positive("max_answer_len", self.max_answer_len)
        if self.max_question_len is not None:
            require_positive("max_question_len", self.max_question_len)
        if self.doc_stride is not None:
            require_at_least(0, "doc_stride", self.doc_stride)


class QuestionAnsweringPipeline(Pipeline[QuestionAnsweringOptions]):
    """Answers questions with pieces of texts.

    Names and results are those that `transformers` had before its version 5 dropped the pipeline.
    Long texts are read in windows that overlap. The answer is chosen by the sum of its start's and
    its end's logit over all windows, as `limbeck evaluate` chooses it.

    Args:
        engine: Runs a model with a question-answering head.
        tokenizer: Its tokenizer.
        batch_size: Most windows that go through the model at a time; see `Pipeline`.
        max_length: Longest window in tokens, with the question; by default 384, or the longest
            that the engine takes.
        options: See `QuestionAnsweringOptions`.

    Raises:
        SettingsError: If the model has another head, or an argument is out of range.

    Example:
        >>> answer = pipeline("question-answering", model="runs/squad/model")  # doctest: +SKIP
        >>> answer(question="Who lived here?", context="Ada lived here.")  # doctest: +SKIP
        {'score': 0.93, 'start': 0, 'end': 3, 'answer': 'Ada'}
    """

    task = "question-answering"
    kind = QUESTION_ANSWERING
    options_type = QuestionAnsweringOptions
    found, headline = "answers", "answer"
    second, second_about, needs_second = "question", "What to answer from each text.", True
    usual_length = _MAX_LENGTH
    finetune_options = f"task=squad max_length={_MAX_LENGTH} "

    @classmethod
    def read_row(cls, text: str, second: Any) -> Any:
        """Returns the input that a row of a table makes."""
        return {"question": second, "context": text}

    def __call__(
        self,
        inputs: Mapping[str, str] | Iterable[Mapping[str, str]] | None = None,
        *,
        question: str | Iterable[str] | None = None,
        context: str | Iterable[str] | None = None,
        **options: Any,
    ) -> Any:
        """Answers one question or many; options that are not given are as it was made.

        Args:
            inputs: A mapping `{"question": ..., "context": ...}`, or a list, a generator or a data
                set of these.
            question: In their place a question, or a list of them.
            context: Likewise the text that has the answer; one of either may serve many.
            options: See `QuestionAnsweringOptions`; `batch_size`, `max_length` and `on_error` too,
                which are as in `Pipeline`.

        Returns:
            `{"score", "start", "end", "answer"}`, the answer being the context's characters from
            start to end; a list of them, the best first, if `top_k` is more than 1; a list of
            either where a list is given.
            The score is the start's probability times the end's, among context and "no answer".

        Raises:
            DataError: If an input is wrong; the message says which.
            SettingsError: If an option is wrong.
        """
        run, chosen, on_error = self._for_call(options)
        given, is_single = gather_questions(inputs, question=question, context=context)
        lengths = run._lengths(chosen)
        steps = Steps(
            check_question,
            partial(run._cut, lengths=lengths),
            partial(run._answer_questions, options=chosen),
        )
        found: Any = run._answer_all(given, steps, on_error=on_error)
        return found[0] if is_single else found

    def _answer_questions(
        self,
        questions: Sequence[Question],
        windows: Sequence[TextWindow],
        options: QuestionAnsweringOptions,
    ) -> Iterator[Answer | list[Answer]]:
        scores = self._run_tokens([window.encoding for window in windows], _span_logits)
        together = zip(windows, scores, strict=True)
        for index, of_context in groupby(together, key=lambda pair: pair[0].index):
            answers = _rank(list(of_context), questions[index], options)
            yield answers[0] if options.top_k == 1 else answers

    def _lengths(self, options: QuestionAnsweringOptions) -> _Lengths:
        room = self._max_length - self.tokenizer.num_special_tokens(pair=True)
        longest = options.max_question_len or max(1, min(_QUESTION, room // 2))
        stride = options.doc_stride
        if stride is None:
            stride = max(0, min(_STRIDE, (room - longest) // 2))
        require_room(
            self.tokenizer,
            max_length=self._max_length,
            stride=stride,
            max_question_tokens=longest,
            names=("max_question_len", "doc_stride"),
        )
        return _Lengths(longest, stride)

    def _cut(self, questions: Sequence[Question], lengths: _Lengths) -> list[TextWindow]:
        asked = [question.question for question in questions]
        return cut_windows(
            self.tokenizer,
            [question.context for question in questions],
            max_length=self._max_length,
            stride=lengths.stride,
            questions=cut_texts(self.tokenizer, asked, max_tokens=lengths.question),
        )


class _Lengths(NamedTuple):
    """Tokens of the longest question, and those that neighbouring windows share."""

    question: int
    stride: int


def _span_logits(outputs: Outputs) -> FloatArray:
    return np.stack([outputs["start_logits"], outputs["end_logits"]], axis=-1)


def _rank(
    windows: Sequence[tuple[TextWindow, FloatArray]],
    question: Question,
    options: QuestionAnsweringOptions,
) -> list[Answer]:
    """Returns the best answers to one question."""
    offsets = _offsets([window for window, _ in windows], whole_words=options.align_to_words)
    scored = [
        ScoredWindow(logits[:, 0], logits[:, 1], places, window.first, window.last)
        for (window, logits), places in zip(windows, offsets, strict=True)
    ]
    # Aligned answers may be the same words; the best of them counts.
    count = _NUM_CANDIDATES + 2 * options.top_k
    ranked = rank_answers(scored, max_tokens=options.max_answer_len, count=count)
    null = min(scored, key=lambda window: window.null_score)
    if options.handle_impossible_answer or not ranked:  # a context may have no token at all
        ranked.append(((0, 0), null.null_score))
        ranked.sort(key=lambda answer: -answer[1])
    total = _total([window for window, _ in windows], scored, null)
    return [
        {
            "score": float(np.exp(score - total)),
            "start": start,
            "end": end,
            "answer": question.context[start:end],
        }
        for (start, end), score in ranked[: options.top_k]
    ]


def _offsets(windows: Sequence[TextWindow], *, whole_words: bool) -> list[list[Place]]:
    """Returns for each window its tokens' places in the context, or those of their words."""
    places = [list(window.offsets) for window in windows]
    if not whole_words:
        return places
    words: dict[int | None, Place] = {}
    numbers = [window.encoding.word_ids for window in windows]
    for window, of_tokens, of_words in zip(windows, places, numbers, strict=True):
        for place in range(window.first, window.last + 1):
            start, end = of_tokens[place]
            known = words.get(of_words[place], (start, end))
            words[of_words[place]] = (min(start, known[0]), max(end, known[1]))
    for window, of_tokens, of_words in zip(windows, places, numbers, strict=True):
        for place in range(window.first, window.last + 1):
            of_tokens[place] = words[of_words[place]]
    return places


def _total(
    windows: Sequence[TextWindow], scored: Sequence[ScoredWindow], null: ScoredWindow
) -> float:
    """Returns the logarithm of what makes probabilities of scores.

    A token that several windows have counts once, with its highest logit, as its answers do, and
    so does "no answer". A window without an answer then makes no other less likely, and where one
    window holds the whole context this is the softmax of `transformers`.
    """
    num_tokens = max(w.begin + w.last + 1 - w.first for w in windows)
    best: npt.NDArray[np.float64] = np.full((2, num_tokens + 1), -np.inf)
    best[:, -1] = null.start[0], null.end[0]
    for window, logits in zip(windows, scored, strict=True):
        inside = slice(window.first, window.last + 1)
        part = best[:, window.begin : window.begin + window.last + 1 - window.first]
        np.maximum(part, [logits.start[inside], logits.end[inside]], out=part)
    return float(np.logaddexp.reduce(best, axis=1).sum())


PipelineType = QuestionAnsweringPipeline
