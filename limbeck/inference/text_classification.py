"""Text classification: a label for each text or pair, as `transformers.pipeline` gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.inference._base import Pipeline, require_positive
from limbeck.models import AutoModelForSequenceClassification

Text = str | Mapping[str, str]
"""A text, or a pair of them: `{"text": ..., "text_pair": ...}`."""

_PAIR_KEYS = ("text", "text_pair")


class TextClassificationPipeline(Pipeline):
    """Gives texts their labels.

    Texts of about the same length share a batch, so that little is padded. What is longer than
    `max_length` tokens is cut.

    Args:
        model: A model with a sequence classification head; it is put on `device` in eval mode.
        tokenizer: Its tokenizer.
        batch_size: Texts that go through the model at a time.
        device: `auto`, `cpu`, `cuda`, ...
        max_length: Longest input in tokens; by default the longest that the model takes.

    Example:
        >>> classify = pipeline("sentiment-analysis", model="runs/sst2/model")  # doctest: +SKIP
        >>> classify("a gorgeous, witty, seductive movie")  # doctest: +SKIP
        [{'label': 'POSITIVE', 'score': 0.998}]
    """

    task = "text-classification"
    auto_model = AutoModelForSequenceClassification

    def __call__(
        self, inputs: Text | Sequence[Text], *, top_k: int | Literal["best"] | None = "best"
    ) -> Any:
        """Classifies one text or many.

        Args:
            inputs: A text, a pair `{"text": ..., "text_pair": ...}`, or a list of these.
            top_k: How many labels to give for each text, the best first; None gives all. With
                `best` each text has its best label alone, not in a list of its own.

        Returns:
            As `transformers.pipeline`: `[{"label", "score"}]` for one text, a list with one such
            dictionary per text for a list; with `top_k`, a list of them in the place of each
            dictionary.

        Raises:
            SettingsError: If an input is neither a text nor a pair, or `top_k` is below 1.
        """
        is_single = isinstance(inputs, str | Mapping)
        texts = [inputs] if isinstance(inputs, str | Mapping) else list(inputs)
        ranked = [self._rank(scores) for scores in self._scores(texts)]
        if top_k == "best":
            best = [labels[0] for labels in ranked]
            return best[0] if isinstance(inputs, Mapping) else best
        if top_k is not None:
            ranked = [labels[: require_positive("top_k", top_k)] for labels in ranked]
        return ranked[0] if is_single else ranked

    @torch.inference_mode()
    def _scores(self, texts: Sequence[Text]) -> list[list[float]]:
        """Returns each label's score for each text, in the order of the texts."""
        results: dict[int, list[float]] = {}
        pairs = [_as_pair(i, text) for i, text in enumerate(texts)]
        for indices, firsts, seconds in self._batches(pairs):
            encoded = self.tokenizer(
                firsts,
                seconds,
                truncation="longest_first",
                max_length=self._max_length,
                padding="longest",
                return_tensors="pt",
            ).to(self.device)
            logits = self.model(**encoded).logits
            assert logits is not None
            scores = self._activate(logits.float()).tolist()
            results.update(zip(indices, scores, strict=True))
        return [results[i] for i in range(len(texts))]

    def _batches(
        self, pairs: Sequence[tuple[str, str | None]]
    ) -> Iterator[tuple[list[int], list[str], list[str] | None]]:
        """Yields indices and texts, singles apart from pairs, the longest first."""
        for has_second in (False, True):
            order = [i for i, (_, second) in enumerate(pairs) if (second is not None) == has_second]
            order.sort(key=lambda i: -len(pairs[i][0]) - len(pairs[i][1] or ""))
            for start in range(0, len(order), self._batch_size):
                indices = order[start : start + self._batch_size]
                firsts = [pairs[i][0] for i in indices]
                seconds = [pairs[i][1] or "" for i in indices]
                yield indices, firsts, seconds if has_second else None

    def _activate(self, logits: Tensor) -> Tensor:
        problem = self.config.problem_type
        if problem == "regression":
            return logits
        if problem == "multi_label_classification" or self.config.num_labels == 1:
            return logits.sigmoid()
        return logits.softmax(-1)

    def _rank(self, scores: Sequence[float]) -> list[dict[str, Any]]:
        labels = [{"label": self.config.id2label[i], "score": s} for i, s in enumerate(scores)]
        return sorted(labels, key=lambda label: -label["score"])


def _as_pair(index: int, text: object) -> tuple[str, str | None]:
    if isinstance(text, str):
        return text, None
    if isinstance(text, Mapping) and "text" in text and set(text) <= set(_PAIR_KEYS):
        first, second = text["text"], text.get("text_pair")
        if isinstance(first, str) and isinstance(second, str | None):
            return first, second
    raise SettingsError(
        f"input {index} is {text!r}; accepted: a text, or a pair such as "
        '{"text": "...", "text_pair": "..."}'
    )
