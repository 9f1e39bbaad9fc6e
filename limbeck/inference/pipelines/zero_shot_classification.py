"""Zero-shot classification: labels that are named with the call, by a model of inference.

Source:
    Yin, Hay, Roth, "Benchmarking Zero-shot Text Classification: Datasets, Evaluation and Entailment
    Approach", EMNLP 2019, section 5: each label becomes a sentence, and the model says whether the
    text entails it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tokenizers import Encoding

from limbeck.errors import SettingsError, shorten, shorten_names
from limbeck.inference._base import Pipeline
from limbeck.inference._options import Options
from limbeck.inference._scores import softmax
from limbeck.inference._stream import Steps
from limbeck.inference.pipelines._texts import check_text, encode_pairs, logits_of_rows
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION

_TEMPLATE = "This example is {}."


@dataclass(frozen=True)
class ZeroShotClassificationOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    candidate_labels: str | Sequence[str] | None = None
    """The labels: a list of them, or a text with commas between them."""
    hypothesis_template: str = _TEMPLATE
    """The sentence that a label makes, with `{}` in the label's place."""
    multi_label: bool = False
    """Whether each label is right or wrong by itself, so that the scores don't add up to 1."""

    def __post_init__(self) -> None:
        template: object = self.hypothesis_template
        try:
            is_filled = isinstance(template, str) and template.format("x") != template
        except (IndexError, KeyError, ValueError, AttributeError):
            is_filled = False
        if not is_filled:
            raise SettingsError(
                f"hypothesis_template = {shorten(template)}; accepted: a sentence with {{}} in the "
                f"label's place, such as {shorten(_TEMPLATE)}"
            )
        if self.candidate_labels is not None and not self.labels:
            raise SettingsError(
                f"candidate_labels = {shorten(self.candidate_labels)}; accepted: a list of one "
                "label or more, or a text with commas between them"
            )

    @property
    def labels(self) -> list[str]:
        """The labels, none where what is given is no list of texts."""
        given: Any = self.candidate_labels
        if isinstance(given, str):
            return [label.strip() for label in given.split(",") if label.strip()]
        is_list = isinstance(given, Iterable) and not isinstance(given, Mapping)
        labels = list(given) if is_list else []
        return labels if all(isinstance(label, str) for label in labels) else []


class ZeroShotClassificationPipeline(Pipeline[ZeroShotClassificationOptions]):
    """Gives texts the labels that a call names, with a model of natural language inference.

    Each label costs a run of the model on each text. A long text is cut, its label never.

    Args:
        engine: Runs a model with a sequence classification head, one of whose labels begins with
            "entail".
        tokenizer: Its tokenizer.
        batch_size: Most texts with a label that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default the longest that the engine takes.
        options: See `ZeroShotClassificationOptions`.

    Raises:
        SettingsError: If the model has another head, or no label for entailment.

    Example:
        >>> classify = pipeline("zero-shot-classification", "runs/mnli/model")  # doctest: +SKIP
        >>> classify("I lost my phone", candidate_labels=["travel", "loss"])  # doctest: +SKIP
        {'sequence': 'I lost my phone', 'labels': ['loss', 'travel'], 'scores': [0.97, 0.03]}
    """

    task = "zero-shot-classification"
    kind = SEQUENCE_CLASSIFICATION
    is_usual = False
    options_type = ZeroShotClassificationOptions
    found, headline = "labels", "label"
    finetune_options = "task=mnli "

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        labels = self.facts.id2label
        entails = [i for i, label in labels.items() if label.lower().startswith("entail")]
        if not entails or len(labels) < 2:
            raise SettingsError(
                f"the {self.task} pipeline needs a model of natural language inference, and this "
                f"one's labels are {shorten_names(labels.values())}; accepted: labels of which one "
                "begins with 'entail'. Where the model is one of inference, name its labels in "
                "config.json, under id2label and label2id"
            )
        self._entails = entails[0]
        self._contradicts = len(labels) - 1 if self._entails == 0 else 0

    @classmethod
    def list_results(cls, result: Any) -> list[dict[str, Any]]:
        """Returns the labels of a row, the best first."""
        columns = zip(result["labels"], result["scores"], strict=True)
        return [{"label": label, "score": score} for label, score in columns]

    def __call__(
        self,
        sequences: str | Iterable[str],
        candidate_labels: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Classifies one text or many.

        Args:
            sequences: A text, or a list, a generator or a data set of these.
            candidate_labels: The labels, as in the options.
            options: See `ZeroShotClassificationOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            As `transformers.pipeline`: `{"sequence", "labels", "scores"}` for a text, the best
            label first, and a list of these for a list.

        Raises:
            DataError: If an input is no text.
            SettingsError: If there is no label, or an option is wrong.
        """
        given = {**options, "candidate_labels": candidate_labels}
        run, chosen, on_error = self._for_call(given)
        if not chosen.labels:
            raise SettingsError(
                "candidate_labels= is missing; accepted: a list of labels, or a text with commas "
                "between them"
            )
        steps = Steps(
            check_text,
            partial(run._encode, options=chosen),
            partial(run._classify, options=chosen),
        )
        return run._answer(sequences, steps, on_error=on_error)

    def _encode(
        self, texts: Sequence[str], options: ZeroShotClassificationOptions
    ) -> list[Encoding]:
        sentences = [options.hypothesis_template.format(label) for label in options.labels]
        return encode_pairs(
            self.tokenizer,
            [(text, sentence) for text in texts for sentence in sentences],
            max_length=self._max_length,
            truncation="only_first",
        )

    def _classify(
        self,
        texts: Sequence[str],
        rows: Sequence[Encoding],
        options: ZeroShotClassificationOptions,
    ) -> Iterator[dict[str, Any]]:
        labels = options.labels
        self._count_cut(rows, (n for n, _ in enumerate(texts) for _ in labels))
        logits = np.stack(self._run(rows, logits_of_rows)).reshape(len(texts), len(labels), -1)
        if options.multi_label or len(labels) == 1:
            scores = softmax(logits[..., [self._contradicts, self._entails]])[..., 1]
        else:
            scores = softmax(logits[..., self._entails])
        for text, of_text in zip(texts, scores, strict=True):
            order = of_text.argsort()[::-1]
            yield {
                "sequence": text,
                "labels": [labels[i] for i in order],
                "scores": of_text[order].tolist(),
            }


PipelineType = ZeroShotClassificationPipeline
