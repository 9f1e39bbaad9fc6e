"""Multiple choice: which of several endings goes with a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from limbeck.errors import DataError, SettingsError, shorten
from limbeck.inference._base import Pipeline
from limbeck.inference._options import Options, require_positive
from limbeck.inference._scores import softmax
from limbeck.inference._stream import Steps
from limbeck.inference.pipelines._texts import (
    check_text_of,
    check_texts_of,
    encode_pairs,
    logits_of_rows,
)
from limbeck.models._kinds import MULTIPLE_CHOICE

_FORM = '{"context": "...", "choices": ["...", "..."]}'


class Choice(NamedTuple):
    """A text and what may go on from it."""

    context: str
    choices: list[str]


@dataclass(frozen=True)
class MultipleChoiceOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    top_k: int = 1
    """How many choices to give for each text; with more than 1 they are a list, the best first."""

    def __post_init__(self) -> None:
        require_positive("top_k", self.top_k)


class MultipleChoicePipeline(Pipeline[MultipleChoiceOptions]):
    """Gives the choice that goes best with a text.

    `transformers` has no such pipeline; the scores are the softmax of its models' logits.

    Args:
        engine: Runs a model with a multiple-choice head.
        tokenizer: Its tokenizer.
        batch_size: Most choices that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default the longest that the engine takes.
        options: See `MultipleChoiceOptions`.

    Example:
        >>> choose = pipeline("multiple-choice", model="runs/swag/model")  # doctest: +SKIP
        >>> choose(context="She opens the door.", choices=["She goes in.", "It sings."])
        ... # doctest: +SKIP
        {'index': 0, 'choice': 'She goes in.', 'score': 0.98}
    """

    task = "multiple-choice"
    kind = MULTIPLE_CHOICE
    options_type = MultipleChoiceOptions
    found, headline = "answers", "choice"
    second, second_about, needs_second = "choices", "What may go on from each text.", True
    reads_list = True
    finetune_options = "task=swag "

    @classmethod
    def read_row(cls, text: str, second: Any) -> Any:
        """Returns the input that a row of a table makes."""
        return {"context": text, "choices": second}

    def __call__(
        self,
        inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        *,
        context: str | None = None,
        choices: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Chooses for one text or many; options that are not given are as the pipeline was made.

        Args:
            inputs: `{"context": ..., "choices": [...]}`, or a list, a generator or a data set of
                these. As in training, each choice stands behind the context as the second text.
            context: In their place a text.
            choices: With `context` what may go on from it.
            options: See `MultipleChoiceOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            `{"index", "choice", "score"}` of the best choice, or a list of these if `top_k` is more
            than 1; a list of either where a list is given. The scores of all choices add up to 1.

        Raises:
            DataError: If an input is wrong; the message says which.
            SettingsError: If an option is wrong.
        """
        run, chosen, on_error = self._for_call(options)
        if inputs is None:
            inputs = {"context": context, "choices": choices}
        elif context is not None or choices is not None:
            raise SettingsError(
                "context= and choices= are given besides the inputs; accepted: either these, or "
                f"inputs such as {_FORM}"
            )
        steps = Steps(_as_choice, run._encode, partial(run._choose, options=chosen))
        return run._answer(inputs, steps, on_error=on_error)

    def _encode(self, items: Sequence[Choice]) -> list[Encoding]:
        pairs = [(item.context, choice) for item in items for choice in item.choices]
        return encode_pairs(self.tokenizer, pairs, max_length=self._max_length)

    def _choose(
        self, items: Sequence[Choice], rows: Sequence[Encoding], options: MultipleChoiceOptions
    ) -> Iterator[Any]:
        self._count_cut(rows, (n for n, item in enumerate(items) for _ in item.choices))
        logits = np.concatenate(self._run(rows, logits_of_rows))
        bounds = pairwise(accumulate((len(item.choices) for item in items), initial=0))
        for item, (first, last) in zip(items, bounds, strict=True):
            scores = softmax(logits[first:last])
            ranked = [
                {"index": int(i), "choice": item.choices[i], "score": float(scores[i])}
                for i in np.argsort(-scores, kind="stable")[: options.top_k]
            ]
            yield ranked[0] if options.top_k == 1 else ranked

    def _pad(self, rows: Sequence[Encoding]) -> dict[str, npt.NDArray[np.int64]]:
        """Stacks rows as the only choice of a text each: choices don't see each other anyway."""
        return {name: values[:, None] for name, values in super()._pad(rows).items()}


def _as_choice(index: int, given: object) -> Choice:
    if not isinstance(given, Mapping) or set(given) != set(Choice._fields):
        raise DataError(f"input {index} is {shorten(given)}; accepted: {_FORM}, or a list of these")
    context = check_text_of(index, "context", given["context"])
    return Choice(context, check_texts_of(index, "choices", given["choices"], least=2))


PipelineType = MultipleChoicePipeline
