"""Token classification, such as named entities, as `transformers.pipeline` gives it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from typing import Any

from limbeck.errors import DataError, SettingsError, did_you_mean, shorten
from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options, require_at_least
from limbeck.inference._scores import softmax
from limbeck.inference._stream import Steps, is_many
from limbeck.inference.engines import Outputs
from limbeck.inference.pipelines._entities import STRATEGIES, Entity, Piece, Strategy, find_entities
from limbeck.models._kinds import TOKEN_CLASSIFICATION
from limbeck.sources import require_whole_characters
from limbeck.tokenizers.windows import TextWindow, cut_windows

_STRIDE = 128  # of windows with room enough


@dataclass(frozen=True)
class TokenClassificationOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    rare = ("ignore_labels", "stride")

    aggregation_strategy: Strategy = "none"
    """`none`, `simple`, `first`, `average` or `max`. `none` gives tokens, `simple` joins neighbours
    of one type; the others first give each word one label: that of its first token, of the mean
    over its tokens, or of its most certain token. Limbeck's `ner` task trains a word's first token,
    so that its models are read with `first`."""
    ignore_labels: Sequence[str] = ("O",)
    """Labels that are left out."""
    stride: int | None = None
    """Tokens that neighbouring windows share; by default 128, or half of a window where that is
    less."""

    def __post_init__(self) -> None:
        if self.aggregation_strategy not in STRATEGIES:
            raise SettingsError(
                f"aggregation_strategy = {self.aggregation_strategy!r}; accepted: "
                f"{', '.join(STRATEGIES)}."
                + did_you_mean(str(self.aggregation_strategy), STRATEGIES)
            )
        labels: object = self.ignore_labels
        if not isinstance(labels, list | tuple | set | frozenset) or not all(
            isinstance(label, str) for label in labels
        ):
            example = labels if isinstance(labels, str) else "O"
            raise SettingsError(
                f"ignore_labels = {shorten(labels)}; accepted: a list of labels, such as "
                f"[{shorten(example)}]"
            )
        if self.stride is not None:
            require_at_least(0, "stride", self.stride)


@dataclass(frozen=True)
class _Text:
    """A text, and where its words begin if they are given."""

    whole: str
    starts: Sequence[int] | None = None

    @classmethod
    def of_words(cls, words: Sequence[str]) -> _Text:
        ends = accumulate(len(word) + 1 for word in words)
        return cls(" ".join(words), [0, *ends][:-1])

    def word_at(self, place: int, *, otherwise: int) -> int:
        """Returns the number of the word at a character; `otherwise` where none are given."""
        return otherwise if self.starts is None else bisect_right(self.starts, place) - 1


class TokenClassificationPipeline(Pipeline[TokenClassificationOptions]):
    """Finds the entities of texts, or gives each token its label.

    No text is cut: one that is longer than `max_length` tokens is read in windows that overlap, and
    each token counts in the window where it has most text on both sides. Entities are put
    together afterwards, whatever the windows.

    Args:
        engine: Runs a model with a token classification head.
        tokenizer: Its tokenizer.
        batch_size: Most windows that go through the model at a time; see `Pipeline`.
        max_length: Longest window in tokens; by default the longest that the engine takes.
        options: See `TokenClassificationOptions`.

    Raises:
        SettingsError: If the model has another head, or an argument is out of range.

    Example:
        >>> find = pipeline("ner", "runs/ner/model", aggregation_strategy="first")  # doctest: +SKIP
        >>> find("Ada lived in London")  # doctest: +SKIP
        [{'entity_group': 'PER', 'score': 0.99, 'word': 'ada', 'start': 0, 'end': 3},
         {'entity_group': 'LOC', 'score': 0.98, 'word': 'london', 'start': 13, 'end': 19}]
    """

    task = "token-classification"
    aliases = ("ner",)
    kind = TOKEN_CLASSIFICATION
    options_type = TokenClassificationOptions
    found = "entities"
    # Limbeck's own models have learned from the first token of each word.
    row_options = {"aggregation_strategy": "first"}  # noqa: RUF012
    finetune_options = "task=ner "

    def __call__(
        self,
        inputs: str | Iterable[str] | Iterable[Sequence[str]],
        *,
        is_split_into_words: bool = False,
        **options: Any,
    ) -> Any:
        """Labels one text or many; what is not given is as the pipeline was made.

        Args:
            inputs: A text, or a list, a generator or a data set of texts.
            is_split_into_words: The inputs are the words of a text, or a list of such lists: each
                of them gets one label, and places are those in the words with a blank between them.
            options: See `TokenClassificationOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            As `transformers.pipeline`, a list of dictionaries for a text, a list of such lists for
            a list, or for words, and a generator of them for a generator or a data set: `entity`,
            `score`, `index`, `word`, `start`, `end` for each token with the strategy `none`;
            otherwise `entity_group`, `score`, `word`, `start`, `end` for each entity. `word` is
            spelt as the vocabulary has it; `text[start:end]` is the text's own spelling. `index`
            counts the text's tokens from 1.

        Raises:
            DataError: If an input is no text.
            SettingsError: If an argument is out of range.
        """
        run, chosen, on_error = self._for_call(options)
        steps = Steps(
            _check_words if is_split_into_words else _check_text,
            partial(run._cut, options=chosen),
            partial(run._find, options=chosen),
        )
        if is_split_into_words:
            is_one = not is_many(inputs) or _is_one_list_of_words(inputs)
            return run._answer_all([inputs] if is_one else inputs, steps, on_error=on_error)
        return run._answer(inputs, steps, on_error=on_error)

    def _cut(self, texts: Sequence[_Text], options: TokenClassificationOptions) -> list[TextWindow]:
        stride = options.stride
        if stride is None:
            room = self._max_length - self.tokenizer.num_special_tokens()
            stride = max(0, min(_STRIDE, room // 2))
        whole = [text.whole for text in texts]
        return cut_windows(self.tokenizer, whole, max_length=self._max_length, stride=stride)

    def _find(
        self,
        given: Sequence[_Text],
        windows: Sequence[TextWindow],
        options: TokenClassificationOptions,
    ) -> Iterator[list[Entity]]:
        scores = self._run_tokens([window.encoding for window in windows], _probabilities)
        together = zip(windows, scores, strict=True)
        for index, of_text in groupby(together, key=lambda pair: pair[0].index):
            entities = find_entities(
                self._pieces(given[index], list(of_text)),
                strategy=options.aggregation_strategy,
                labels=self.facts.id2label,
                join=self.tokenizer.convert_tokens_to_string,
            )
            yield [
                entity
                for entity in entities
                if entity.get("entity", entity.get("entity_group")) not in options.ignore_labels
            ]

    def _pieces(self, text: _Text, windows: Sequence[tuple[TextWindow, FloatArray]]) -> list[Piece]:
        """Returns each token of a text, as the window sees it in which it is farthest inside."""
        best: dict[int, tuple[float, Piece]] = {}
        unknown = self.tokenizer.config.special_tokens.get("unk_token")
        for number, (window, scores) in enumerate(windows):
            row = window.encoding
            columns = zip(row.tokens, window.offsets, row.word_ids, scores, strict=True)
            for place, (token, (start, end), word, of_token) in enumerate(columns):
                if not window.first <= place <= window.last:
                    continue
                left = place - window.first if number > 0 else math.inf
                right = window.last - place if number < len(windows) - 1 else math.inf
                index = window.begin + place - window.first
                if index in best and best[index][0] >= min(left, right):
                    continue
                spelling = text.whole[start:end] if token == unknown else token
                number_of_word = text.word_at(start, otherwise=-1 if word is None else word)
                piece = Piece(spelling, of_token, start, end, index + 1, number_of_word)
                best[index] = (min(left, right), piece)
        return [piece for _, (_, piece) in sorted(best.items())]


def _probabilities(outputs: Outputs) -> FloatArray:
    return softmax(outputs["logits"])


def _is_one_list_of_words(inputs: object) -> bool:
    """Tells whether inputs are the words of one text, and not lists of them."""
    return isinstance(inputs, Sequence) and all(isinstance(word, str) for word in inputs)


def _check_words(index: int, words: object) -> _Text:
    given = list(words) if isinstance(words, Sequence) and not isinstance(words, str) else []
    if not given or not all(isinstance(word, str) and word.strip() for word in given):
        raise DataError(
            f"input {index} is {shorten(words)}; accepted with is_split_into_words: a list of "
            "words that are not empty, or a list of such lists"
        )
    return _Text.of_words(given)


def _check_text(index: int, text: object) -> _Text:
    if not isinstance(text, str):
        raise DataError(
            f"input {index} is {shorten(text)}; accepted: a text, or a list of texts; words "
            "with is_split_into_words=True"
        )
    require_whole_characters(text, f"input {index}")
    return _Text(text)


PipelineType = TokenClassificationPipeline
