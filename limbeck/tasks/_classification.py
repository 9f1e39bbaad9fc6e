"""Classification of one or two sentences, shared by the tasks of that kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError, did_you_mean
from limbeck.models import AutoConfig, AutoModelForSequenceClassification, Model
from limbeck.nn import ModelOutput
from limbeck.tasks._base import EncodedExample, Example, Split, TaskBatch
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


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """A data set of sentences or pairs with one label each.

    Attributes:
        name: The task's name.
        metric: Its main metric.
        labels: The labels, in the order of the logits.
        splits: The splits at hand.
    """

    name: str
    metric: str
    labels: tuple[str, ...]
    splits: Mapping[str, Split]

    def load_model(self, folder: Path, *, new_head: bool) -> Model:
        """Loads a model folder as a classifier over this task's labels."""
        if not new_head:
            return AutoModelForSequenceClassification.from_pretrained(folder)
        return AutoModelForSequenceClassification.from_pretrained(
            folder, new_head=True, **self._head()
        )

    def new_model(self, folder: Path) -> Model:
        """Returns a classifier of the architecture in `folder` with random weights."""
        config = AutoConfig.from_pretrained(folder).replace(**self._head())
        return AutoModelForSequenceClassification.from_config(config)

    def _head(self) -> dict[str, Any]:
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
        pairs = [example.text_pair for example in split.examples if example.text_pair is not None]
        encoded = tokenizer(
            [example.text for example in split.examples],
            pairs or None,
            truncation="longest_first",
            max_length=max_length,
        )
        segments = encoded.get("token_type_ids") or [None] * len(split.examples)
        return [
            EncodedExample(ids, segment_ids, example.label)
            for example, ids, segment_ids in zip(
                split.examples, encoded["input_ids"], segments, strict=True
            )
        ]

    def logits(self, output: ModelOutput) -> Tensor:
        """Returns the labels' scores, (batch, labels), in float32 or wider."""
        assert output.logits is not None
        return output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))

    def loss_sum(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns the cross-entropy added up over the batch."""
        assert batch.labels is not None
        return F.cross_entropy(self.logits(output), batch.labels, reduction="sum")

    def score(self, split: Split, logits: Tensor) -> dict[str, float]:
        """Returns accuracy with its standard error, F1, and the loss per example."""
        labels = [example.label for example in split.examples if example.label is not None]
        scores = classification_scores(
            labels, logits.argmax(-1).tolist(), num_labels=len(self.labels)
        )
        loss = F.cross_entropy(logits.double(), logits.new_tensor(labels).long())
        return {**scores, "loss": float(loss), "num_examples": len(labels)}

    def predictions(self, split: Split, logits: Tensor) -> list[dict[str, Any]]:
        """Returns per example its label, the predicted one, and each label's probability."""
        probabilities = logits.double().softmax(-1)
        return [
            {
                "index": index,
                "label": None if example.label is None else self.labels[example.label],
                "prediction": self.labels[chosen],
                "scores": [round(score, 6) for score in scores],
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

    def align(self, logits: Tensor, model_labels: Sequence[str]) -> Tensor:
        """Brings a model's logits into the order of the task's labels."""
        return align_logits(logits, of_model=model_labels, of_task=self.labels)


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
) -> list[Example]:
    if split != "test":
        _require_column(rows.rows[0], settings.label_column, "label_column")
    examples = []
    for row in rows.rows:
        text = _text(row, settings.text_column, "text_column")
        pair = settings.text_pair_column
        text_pair = None if pair is None else _text(row, pair, "text_pair_column")
        examples.append(Example(text, text_pair, labels.index(row, settings.label_column)))
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
    split: str, rows: Rows, examples: Sequence[Example], label_column: str
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
