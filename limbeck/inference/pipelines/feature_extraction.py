"""Feature extraction: the hidden state of each token, as `transformers.pipeline` gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tokenizers import Encoding

from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options
from limbeck.inference._stream import Steps
from limbeck.inference.pipelines._texts import check_text, encode_pairs
from limbeck.models._kinds import ENCODER


@dataclass(frozen=True)
class FeatureExtractionOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    return_tensors: bool = False
    """Whether to give a tensor for each text rather than lists."""


class FeatureExtractionPipeline(Pipeline[FeatureExtractionOptions]):
    """Gives the last hidden state of each token of a text, special tokens included.

    Any model will do: what it has for a head is left out. For one vector a text, see `embeddings`.

    Args:
        engine: Runs a model without a head.
        tokenizer: Its tokenizer.
        batch_size: Most texts that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default the longest that the engine takes.
        options: See `FeatureExtractionOptions`.

    Example:
        >>> extract = pipeline("feature-extraction", model="bert-base-uncased")  # doctest: +SKIP
        >>> extract("a test", return_tensors=True).shape  # doctest: +SKIP
        torch.Size([1, 4, 768])
    """

    task = "feature-extraction"
    kind = ENCODER
    is_usual = False
    reads_below = True
    options_type = FeatureExtractionOptions

    def __call__(self, inputs: str | Iterable[str], **options: Any) -> Any:
        """Gives the states of one text or many.

        Args:
            inputs: A text, or a list, a generator or a data set of these.
            options: See `FeatureExtractionOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            As `transformers.pipeline`: for a text a list of one list with a list of numbers for
            each token, or with `return_tensors` a tensor; for many a list of these.

        Raises:
            DataError: If an input is no text.
            SettingsError: If an option is wrong.

        Shape:
            each: (1, tokens, hidden size).
        """
        run, chosen, on_error = self._for_call(options)
        give = _as_tensor if chosen.return_tensors else _as_lists
        steps = Steps(check_text, run._encode, partial(run._give, give=give))
        return run._answer(inputs, steps, on_error=on_error)

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        pairs = [(text, None) for text in texts]
        return encode_pairs(self.tokenizer, pairs, max_length=self._max_length)

    def _give(
        self, _: object, rows: Sequence[Encoding], give: Callable[[FloatArray], Any]
    ) -> Iterator[Any]:
        self._count_cut(rows)
        return map(give, self._run_tokens(rows, lambda outputs: outputs["last_hidden_state"]))


def _as_lists(states: FloatArray) -> list[Any]:
    return [states.tolist()]


def _as_tensor(states: FloatArray) -> Any:
    import torch

    return torch.from_numpy(states.copy())[None]


PipelineType = FeatureExtractionPipeline
