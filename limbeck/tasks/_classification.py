"""Classification of one or two sentences, shared by the tasks of that kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError, did_you_mean
from limbeck.models import AutoModelForSequenceClassification
from limbeck.nn import ModelOutput
from limbeck.tasks._base import (
    EncodedExample,
    Record,
    Split,
    Task,
    TaskBatch,
    at_least_float32,
)
from limbeck.tasks._labels import LabelSet, align_logits, infer_labels
from limbeck.tasks._metrics import classification_scores
from limbeck.tasks._sources import Row, Rows, read_splits
from limbeck.tokenizers import Tokenizer


class ClassificationSettings(Settings):
    """Which columns hold what, and what the labels are."""

    text_column: str = "text"
    """Column with the sentence, or the first of two."""
    text_pair_column: str | None = None
    """Column with the second sentence, for tasks over pairs."""
    label_column: str = "label"
    """Column with the label: text or a whole number; empty, absent or -1 where it is not public."""
    labels: tuple[str, ...] | None = None
    """All labels, in the order of the model's logits; by default those of the model or the data."""
    metric: Literal["accuracy", "macro_f1", "f1"] = "accuracy"
    """Main metric, by which the best epoch is chosen; `f1` is that of label 1 of two."""

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels is not None and (len(labels) < 2 or len(set(labels)) < len(labels)):
            raise ValueError("give at least two labels, each once")
        return labels


@dataclass(frozen=True, slots=True)
class TextExample:
    """One or two sentences and what is said of them.

    Attributes:
        text: The sentence, or the first of two.
        text_pair: The second sentence, or None.
        label: Index of its label, or None where the label is not public.
    """

    text: str
    text_pair: str | None
    label: int | None


@dataclass(frozen=True, kw_only=True)
class ClassificationTask(Task):
    """A data set of sentences or pairs with one label each.

    Attributes:
        labels: The labels, in the order of the logits.
    """

    auto_model = AutoModelForSequenceClassification

    labels: tuple[str, ...]

    def head(self) -> dict[str, Any]:
        """Returns the labels' names, and that each example has one of them."""
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: i for i, name in enumerate(self.labels)},
            "problem_type": "single_label_classification",
        }

    def encode(
        self, split: Split, tokenizer: Tokenizer, *, max_length: int
    ) -> list[EncodedExample]:
        """Turns sentences into token ids; of two, the longer is cut first."""
        return encode_texts(split.examples, tokenizer, max_length=max_length)

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns the labels' scores, (batch, labels)."""
        return at_least_float32(output.logits)

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the cross-entropy added up over the batch."""
        assert batch.labels is not None
        return F.cross_entropy(logits, batch.labels, reduction="sum")

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per example its label, the predicted one, and each label's probability."""
        probabilities = torch.stack(list(logits)).double().softmax(-1)
        return [
            {
                "index": index,
                "label": None if example.label is None else self.labels[example.label],
                "prediction": self.labels[chosen],
                "scores": [round(score, 9) for score in scores],
            }
            for index, (example, chosen, scores) in enumerate(
                zip(
                    split.examples,
                    probabilities.argmax(-1).tolist(),
                    probabilities.tolist(),
                    strict=True,
                )
            )
        ]

    def score(self, split: Split, records: Sequence[Record]) -> dict[str, float]:
        """Returns accuracy with its standard error, F1, and the loss per example."""
        labels = [example.label for example in split.examples]
        predictions = [self.labels.index(record["prediction"]) for record in records]
        scores = classification_scores(labels, predictions, num_labels=len(self.labels))
        given = torch.tensor([record["scores"] for record in records], dtype=torch.float64)
        of_label = given[torch.arange(len(labels)), torch.tensor(labels)]
        loss = -of_label.clamp_min(1e-9).log().mean()
        return {**scores, "loss": float(loss), "num_examples": len(labels)}

    def align(self, logits: Sequence[Tensor], model_labels: Sequence[str]) -> Sequence[Tensor]:
        """Brings a model's logits into the order of the task's labels."""
        stacked = torch.stack(list(logits))
        return list(align_logits(stacked, of_model=model_labels, of_task=self.labels))


def encode_texts(
    examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int
) -> list[EncodedExample]:
    """Turns sentences or pairs into token ids; of two, the longer is cut first."""
    pairs = [example.text_pair for example in examples if example.text_pair is not None]
    encoded = tokenizer(
        [example.text for example in examples],
        pairs or None,
        truncation="longest_first",
        max_length=max_length,
    )
    segments = encoded.get("token_type_ids") or [None] * len(examples)
    return [
        EncodedExample(index=i, input_ids=ids, token_type_ids=segment_ids, label=example.label)
        for i, (example, ids, segment_ids) in enumerate(
            zip(examples, encoded["input_ids"], segments, strict=True)
        )
    ]


def read_classification(
    name: str,
    data: str | Mapping[str, str],
    *,
    settings: ClassificationSettings,
    labels: Sequence[str] | None = None,
) -> ClassificationTask:
    """Reads a classification data set.

    Labels come from the settings, else from `labels` (those of a fine-tuned model), else from
    the data set's own declaration, else they are the ones that occur in the training split.

    Raises:
        DataError: If rows, columns or labels are wrong; the message names file and line.
        SettingsError: If the metric does not fit the number of labels.
    """
    splits = read_splits(data)
    label_set = LabelSet(settings.labels or labels or _labels_of(splits, settings))
    if settings.metric == "f1" and len(label_set) != 2:
        raise SettingsError(
            f"task_options.metric = 'f1' needs two labels, but the task has {len(label_set)} "
            f"({', '.join(label_set.names)}); use macro_f1"
        )
    return ClassificationTask(
        name=name,
        metric=settings.metric,
        labels=label_set.names,
        splits={
            split: Split(split, _examples(split, rows, settings, label_set))
            for split, rows in splits.items()
        },
    )


def _labels_of(splits: Mapping[str, Rows], settings: ClassificationSettings) -> tuple[str, ...]:
    rows = splits.get("train") or next(iter(splits.values()))
    _require_column(rows.rows[0], settings.label_column, "label_column")
    declared = rows.class_names.get(settings.label_column)
    return declared or infer_labels(rows.rows, settings.label_column)


def _examples(
    split: str, rows: Rows, settings: ClassificationSettings, labels: LabelSet
) -> list[TextExample]:
    if split != "test":
        _require_column(rows.rows[0], settings.label_column, "label_column")
    examples = []
    for row in rows.rows:
        text = _text(row, settings.text_column, "text_column")
        pair = settings.text_pair_column
        text_pair = None if pair is None else _text(row, pair, "text_pair_column")
        examples.append(TextExample(text, text_pair, labels.index(row, settings.label_column)))
    _require_all_or_none(split, rows, examples, settings.label_column)
    return examples


def _text(row: Row, column: str, option: str) -> str:
    _require_column(row, column, option)
    value = row.values[column]
    if not isinstance(value, str):
        raise DataError(
            f"{row.place}: column '{column}' holds {value!r}, not text; correct or remove the row"
        )
    return value


def _require_column(row: Row, column: str, option: str) -> None:
    if column not in row.values:
        raise DataError(
            f"{row.place}: there is no column '{column}'; it has: {', '.join(row.values)}."
            f"{did_you_mean(column, row.values)} Set task_options.{option} to the right one."
        )


def _require_all_or_none(
    split: str, rows: Rows, examples: Sequence[TextExample], label_column: str
) -> None:
    """Only a test split may lack labels, and then all of them."""
    missing = [i for i, example in enumerate(examples) if example.label is None]
    if not missing or (split == "test" and len(missing) == len(examples)):
        return
    raise DataError(
        f"{rows.rows[missing[0]].place}: column '{label_column}' has no label, nor have "
        f"{len(missing) - 1} other rows of {split}. Only a test split may lack labels, and then "
        "all of them; where -1 is a label, list it in task_options.labels."
    )
