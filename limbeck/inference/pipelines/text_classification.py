"""Text classification: a label for each text or pair, as `transformers.pipeline` gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Encoding

from limbeck.errors import SettingsError, shorten
from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options, require_positive, unknown_option
from limbeck.inference.engines import Outputs
from limbeck.models import AutoModelForSequenceClassification

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
        batch_size: Texts that go through the model at a time; by default 32, or the most that the
            engine takes.
        max_length: Longest input in tokens; by default the longest that the engine takes.

    Example:
        >>> classify = pipeline("sentiment-analysis", model="runs/sst2/model")  # doctest: +SKIP
        >>> classify("a gorgeous, witty, seductive movie")  # doctest: +SKIP
        [{'label': 'POSITIVE', 'score': 0.998}]
    """

    task = "text-classification"
    aliases = ("sentiment-analysis",)
    kind = AutoModelForSequenceClassification.kind

    def __call__(
        self,
        inputs: Text | Sequence[Text],
        *,
        top_k: int | Literal["best"] | None = "best",
        batch_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Classifies one text or many.

        Args:
            inputs: A text, a pair `{"text": ..., "text_pair": ...}`, or a list of these.
            top_k: How many labels to give for each text, the best first; None gives all. With
                `best` each text has its best label alone, not in a list of its own.
            batch_size: For this call, in place of the pipeline's own.
            options: There are no others; what `transformers` has is answered with what it is here.

        Returns:
            As `transformers.pipeline`: `[{"label", "score"}]` for one text, a list with one such
            dictionary per text for a list; with `top_k`, a list of them in the place of each
            dictionary.

        Raises:
            SettingsError: If an input is neither a text nor a pair, `top_k` is below 1, or there is
                no such option.
        """
        for name in options:
            raise unknown_option(name, ("top_k", "batch_size"), task=self.task)
        if batch_size is not None:
            return self.with_batch_size(batch_size)(inputs, top_k=top_k)
        # What is neither, such as a gap of a table, is named by the check below.
        is_single = isinstance(inputs, str | Mapping) or not isinstance(inputs, Iterable)
        texts = [inputs] if is_single else list(inputs)
        pairs = [_as_pair(i, text) for i, text in enumerate(texts)]
        ranked = [
            self._rank(scores.tolist())
            for chunk in self._chunks(pairs)
            for scores in self._run(self._encode(chunk), self._activate)
        ]
        if top_k == "best":
            best = [labels[0] for labels in ranked]
            return best[0] if isinstance(inputs, Mapping) else best
        if top_k is not None:
            ranked = [labels[: require_positive("top_k", top_k)] for labels in ranked]
        return ranked[0] if is_single else ranked

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
        problem, logits = self.facts.problem_type, torch.from_numpy(outputs["logits"])
        if problem == "regression":
            return outputs["logits"]
        if problem == "multi_label_classification" or self.facts.num_labels == 1:
            return np.asarray(logits.sigmoid())
        return np.asarray(logits.softmax(-1))

    def _rank(self, scores: Sequence[float]) -> list[dict[str, Any]]:
        labels = [{"label": self.facts.id2label[i], "score": s} for i, s in enumerate(scores)]
        return sorted(labels, key=lambda label: -label["score"])


def _as_pair(index: int, text: object) -> tuple[str, str | None]:
    if isinstance(text, str):
        return text, None
    if isinstance(text, Mapping) and "text" in text and set(text) <= set(_PAIR_KEYS):
        first, second = text["text"], text.get("text_pair")
        if isinstance(first, str) and isinstance(second, str | None):
            return first, second
    raise SettingsError(
        f"input {index} is {shorten(text)}; accepted: a text, or a pair such as "
        '{"text": "...", "text_pair": "..."}; leave out what has none'
    )


PipelineType = TextClassificationPipeline
