"""Text classification: a label for each text or pair, as `transformers.pipeline` gives it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from tokenizers import Encoding

from limbeck.errors import SettingsError, shorten
from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options, require_positive, unknown_option
from limbeck.inference._scores import sigmoid, softmax
from limbeck.inference._stream import OnError, Steps, is_many
from limbeck.inference.engines import Outputs
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION
from limbeck.sources import require_whole_characters

Text = str | Mapping[str, str]
"""A text, or a pair of them: `{"text": ..., "text_pair": ...}`."""

_PAIR_KEYS = ("text", "text_pair")


class TextClassificationPipeline(Pipeline[Options]):
    """Gives texts their labels.

    Texts of about the same length share a batch, so that little is padded. What is longer than
    `max_length` tokens is cut.

    Args:
        engine: Runs a model with a sequence classification head.
        tokenizer: Its tokenizer.
        batch_size: Most texts that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default the longest that the engine takes.

    Example:
        >>> classify = pipeline("sentiment-analysis", model="runs/sst2/model")  # doctest: +SKIP
        >>> classify("a gorgeous, witty, seductive movie")  # doctest: +SKIP
        [{'label': 'POSITIVE', 'score': 0.998}]
    """

    task = "text-classification"
    aliases = ("sentiment-analysis",)
    kind = SEQUENCE_CLASSIFICATION

    def __call__(
        self,
        inputs: Text | Iterable[Text],
        *,
        top_k: int | Literal["best"] | None = "best",
        batch_size: int | None = None,
        on_error: OnError = "raise",
        **options: Any,
    ) -> Any:
        """Classifies one text or many.

        Args:
            inputs: A text, a pair `{"text": ..., "text_pair": ...}`, or a list, a generator or a
                data set of these.
            top_k: How many labels to give for each text, the best first; None gives all. With
                `best` each text has its best label alone, not in a list of its own.
            batch_size: For this call, in place of the pipeline's own.
            on_error: What becomes of a bad input: `raise`, or `skip`, which gives None in the place
                of its result, or a function that is told its number and its error.
            options: There are no others; what `transformers` has is answered with what it is here.

        Returns:
            As `transformers.pipeline`: `[{"label", "score"}]` for one text, a list with one such
            dictionary per text for a list, a generator of them for a generator or a data set; with
            `top_k`, a list of them in the place of each dictionary.

        Raises:
            SettingsError: If an input is neither a text nor a pair, `top_k` is below 1, or there is
                no such option.
        """
        for name in options:
            raise unknown_option(name, ("top_k", "batch_size", "on_error"), task=self.task)
        if batch_size is not None:
            resized = self.with_batch_size(batch_size)
            return resized(inputs, top_k=top_k, on_error=on_error)
        if isinstance(top_k, int):
            require_positive("top_k", top_k)

        def answer(_: object, rows: Sequence[Encoding]) -> Iterator[Any]:
            for scores in self._run(rows, self._activate):
                labels = self._rank(scores.tolist())
                yield labels[0] if top_k == "best" else labels[:top_k]

        steps = Steps(_as_pair, self._encode, answer)
        if is_many(inputs):
            return self._answer_all(inputs, steps, on_error=on_error)
        found: Any = self._answer_all([inputs], steps, on_error=on_error)
        return found if top_k == "best" and isinstance(inputs, str) else found[0]

    def _encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[Encoding]:
        """Returns each text or pair as tokens; the tokenizer takes texts and pairs apart."""
        found: dict[int, Encoding] = {}
        for has_second in (False, True):
            chosen = [
                i for i, (_, second) in enumerate(pairs) if (second is not None) == has_second
            ]
            if chosen:
                encoded = self.tokenizer(
                    [pairs[i][0] for i in chosen],
                    [pairs[i][1] or "" for i in chosen] if has_second else None,
                    truncation="longest_first",
                    max_length=self._max_length,
                )
                found.update(zip(chosen, encoded.encodings, strict=True))
        return [found[i] for i in range(len(pairs))]

    def _activate(self, outputs: Outputs) -> FloatArray:
        problem, logits = self.facts.problem_type, outputs["logits"]
        if problem == "regression":
            return logits
        if problem == "multi_label_classification" or self.facts.num_labels == 1:
            return sigmoid(logits)
        return softmax(logits)

    def _rank(self, scores: Sequence[float]) -> list[dict[str, Any]]:
        labels = [{"label": self.facts.id2label[i], "score": s} for i, s in enumerate(scores)]
        return sorted(labels, key=lambda label: -label["score"])


def _as_pair(index: int, text: object) -> tuple[str, str | None]:
    if isinstance(text, str):
        require_whole_characters(text, f"input {index}")
        return text, None
    if isinstance(text, Mapping) and "text" in text and set(text) <= set(_PAIR_KEYS):
        first, second = text["text"], text.get("text_pair")
        if isinstance(first, str) and isinstance(second, str | None):
            require_whole_characters(first + (second or ""), f"input {index}")
            return first, second
    raise SettingsError(
        f"input {index} is {shorten(text)}; accepted: a text, or a pair such as "
        '{"text": "...", "text_pair": "..."}; leave out what has none'
    )


PipelineType = TextClassificationPipeline
