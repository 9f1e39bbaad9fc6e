"""Text classification: a label for each text or pair, as `transformers.pipeline` gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from tokenizers import Encoding

from limbeck.errors import DataError, SettingsError, did_you_mean, shorten
from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options, require_positive
from limbeck.inference._scores import sigmoid, softmax
from limbeck.inference._stream import Steps
from limbeck.inference.pipelines._texts import Pair, encode_pairs, logits_of_rows
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION
from limbeck.sources import require_whole_characters

Text = str | Mapping[str, str]
"""A text, or a pair of them: `{"text": ..., "text_pair": ...}`."""

Activation = Literal["sigmoid", "softmax", "none"]

_ACTIVATIONS: dict[Activation, Callable[[FloatArray], FloatArray]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "none": lambda logits: logits,
}
_PAIR_KEYS = ("text", "text_pair")


@dataclass(frozen=True)
class TextClassificationOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    rare = ("function_to_apply",)

    means_something = ("top_k",)

    top_k: int | Literal["best"] | None = "best"
    """How many labels to give for each text, the best first; None gives all. With `best` each text
    has its best label alone, not in a list of its own."""
    function_to_apply: Activation | None = None
    """What makes scores of the model's logits: `sigmoid`, `softmax` or `none`; by default what its
    `problem_type` says, else the softmax, or of a single label the sigmoid."""

    def __post_init__(self) -> None:
        if self.top_k not in ("best", None):
            require_positive("top_k", self.top_k)  # type: ignore[arg-type]
        if self.function_to_apply not in (None, *_ACTIVATIONS):
            raise SettingsError(
                f"function_to_apply = {shorten(self.function_to_apply)}; accepted: "
                f"{', '.join(_ACTIVATIONS)}."
                + did_you_mean(str(self.function_to_apply), _ACTIVATIONS)
            )


class TextClassificationPipeline(Pipeline[TextClassificationOptions]):
    """Gives texts their labels.

    Texts of about the same length share a batch, so that little is padded. What is longer than
    `max_length` tokens is cut.

    Args:
        engine: Runs a model with a sequence classification head.
        tokenizer: Its tokenizer.
        batch_size: Most texts that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default the longest that the engine takes.
        options: See `TextClassificationOptions`.

    Example:
        >>> classify = pipeline("sentiment-analysis", model="runs/sst2/model")  # doctest: +SKIP
        >>> classify("a gorgeous, witty, seductive movie")  # doctest: +SKIP
        [{'label': 'POSITIVE', 'score': 0.998}]
    """

    task = "text-classification"
    aliases = ("sentiment-analysis",)
    kind = SEQUENCE_CLASSIFICATION
    options_type = TextClassificationOptions
    found, headline = "labels", "label"
    second, second_about = "text_pair", "The second text of each pair."
    row_options = {"top_k": 1}  # noqa: RUF012
    default_model = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"

    def __call__(
        self,
        inputs: Text | Iterable[Text],
        **options: Any,
    ) -> Any:
        """Classifies one text or many; options that are not given are as the pipeline was made.

        Args:
            inputs: A text, a pair `{"text": ..., "text_pair": ...}`, or a list, a generator or a
                data set of these.
            options: See `TextClassificationOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            As `transformers.pipeline`: `[{"label", "score"}]` for one text, a list with one such
            dictionary per text for a list, a generator of them for a generator or a data set; with
            `top_k`, a list of them in the place of each dictionary.

        Raises:
            DataError: If an input is neither a text nor a pair.
            SettingsError: If an option is wrong.
        """
        run, chosen, on_error = self._for_call(options)
        steps = Steps(_as_pair, run._encode, partial(run._rank_each, options=chosen))
        found = run._answer(inputs, steps, on_error=on_error)
        # A text alone has its answer in a list, unless the call says how many it wants.
        is_asked = options.get("top_k", "best") != "best"
        return [found] if isinstance(inputs, str) and not is_asked else found

    def _encode(self, pairs: Sequence[Pair]) -> list[Encoding]:
        return encode_pairs(self.tokenizer, pairs, max_length=self._max_length)

    def _rank_each(
        self, _: object, rows: Sequence[Encoding], options: TextClassificationOptions
    ) -> Iterator[Any]:
        activate = _ACTIVATIONS[options.function_to_apply or self._usual_activation]
        names = self.facts.id2label
        self._count_cut(rows)
        for logits in self._run(rows, logits_of_rows):
            scores = enumerate(activate(logits).tolist())
            labels = [{"label": names[i], "score": score} for i, score in scores]
            labels.sort(key=lambda label: -label["score"])
            yield labels[0] if options.top_k == "best" else labels[: options.top_k]

    @property
    def _usual_activation(self) -> Activation:
        problem = self.facts.problem_type
        if problem == "regression":
            return "none"
        if problem == "multi_label_classification" or self.facts.num_labels == 1:
            return "sigmoid"
        return "softmax"


def _as_pair(index: int, text: object) -> Pair:
    if isinstance(text, str):
        require_whole_characters(text, f"input {index}")
        return text, None
    if isinstance(text, Mapping) and "text" in text and set(text) <= set(_PAIR_KEYS):
        first, second = text["text"], text.get("text_pair")
        if isinstance(first, str) and isinstance(second, str | None):
            require_whole_characters(first + (second or ""), f"input {index}")
            return first, second
    raise DataError(
        f"input {index} is {shorten(text)}; accepted: a text, or a pair such as "
        '{"text": "...", "text_pair": "..."}; leave out what has none'
    )


PipelineType = TextClassificationPipeline
