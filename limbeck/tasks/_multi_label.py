"""Any number of labels at once for one or two sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from limbeck.errors import DataError, SettingsError, did_you_mean
from limbeck.metrics import LabelSets
from limbeck.models import AutoModelForSequenceClassification
from limbeck.sources import Data, Row, SplitRows
from limbeck.tasks._base import Task
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._main_metric import LabelSetMetric
from limbeck.tasks._texts import (
    TextEncoding,
    TextSettings,
    pool_windows,
    read_label_rows,
    read_texts,
)
from limbeck.tokenizers import Tokenizer


class MultiLabelSettings(TextSettings):
    """Which columns hold what, and what the labels are."""

    label_column: str = "labels"
    """Column with the labels: a list of names, or text with `separator` between them."""
    separator: str = Field(default=",", min_length=1)
    """Stands between the labels where they are text; an empty text is no label at all."""
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    """All labels, in the order of the model's logits; by default those of the model or the data."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which a label is predicted."""
    metric: LabelSetMetric = "micro_f1"
    """Main metric, by which the best epoch is chosen."""


@dataclass(frozen=True, kw_only=True)
class MultiLabelTask(Task):
    """A data set of sentences or pairs with any number of labels each.

    Attributes:
        encoding: How texts become token ids.
        threshold: Probability from which a label is predicted.
    """

    predictions = LabelSets
    auto_model = AutoModelForSequenceClassification
    problem_type = "multi_label_classification"

    encoding: TextEncoding
    threshold: float

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns sentences into token ids; of two, the longer is cut first."""
        return self.encoding.encode(split.examples, tokenizer, max_length=max_length)

    def label_tensor(self, labels: Sequence[Any], batch_shape: torch.Size) -> Tensor:
        """Returns 1 where an example has a label, (batch, labels)."""
        stacked = torch.zeros(len(labels), len(self.labels))
        for row, present in enumerate(labels):
            stacked[row, list(present)] = 1
        return stacked

    def distributions(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns each label's yes or no as two logits, (batch * labels, 2)."""
        flat = logits.flatten()
        return torch.stack([flat, torch.zeros_like(flat)], dim=-1)

    def num_distributions(self, batch: TaskBatch) -> int:
        """Returns the number of examples times labels."""
        return batch.num_examples * len(self.labels)

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the binary cross-entropy, averaged over labels, added up over the batch."""
        assert batch.labels is not None
        losses = F.binary_cross_entropy_with_logits(
            logits, batch.labels.to(logits.dtype), reduction="none"
        )
        return losses.mean(dim=-1).sum()

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per example its labels, the predicted ones, and each label's probability."""
        probabilities = pool_windows(encoded, logits).sigmoid().tolist()
        return [
            {
                "index": index,
                "label": None if example.label is None else [self.labels[i] for i in example.label],
                "prediction": [
                    name
                    for name, score in zip(self.labels, scores, strict=True)
                    if score >= self.threshold
                ],
                "scores": [round(score, 9) for score in scores],
            }
            for index, (example, scores) in enumerate(
                zip(split.examples, probabilities, strict=True)
            )
        ]


def read_multi_label(
    name: str,
    data: Data,
    *,
    settings: MultiLabelSettings,
    labels: Sequence[str] | None = None,
) -> MultiLabelTask:
    """Reads a multi-label data set.

    Labels come from the settings, else from `labels` (those of a fine-tuned model), else they are
    the ones that occur in the training split, sorted.

    Raises:
        DataError: If rows, columns or labels are wrong; the message names file and line.
        SettingsError: If a label is given twice.
    """
    splits = read_label_rows(data, settings)
    names = tuple(settings.labels or labels or _infer(splits, settings))
    if len(set(names)) < len(names):
        raise SettingsError(f"task_options.labels = {list(names)}: give each label once")
    places = {label: i for i, label in enumerate(names)}
    return MultiLabelTask(
        name=name,
        metric=settings.metric,
        splits=read_texts(splits, settings, read_label=lambda row: _places(row, settings, places)),
        labels=names,
        encoding=TextEncoding(settings.long_texts, settings.stride),
        threshold=settings.threshold,
    )


def _infer(splits: Mapping[str, SplitRows], settings: MultiLabelSettings) -> list[str]:
    rows = splits.get("train") or next(iter(splits.values()))
    found = {label for row in rows.rows for label in _names(row, settings) or ()}
    if not found:
        raise DataError(
            f"{rows.where}: no row has a label in column '{settings.label_column}'; give all "
            "labels in task_options.labels"
        )
    return sorted(found)


def _places(
    row: Row, settings: MultiLabelSettings, places: Mapping[str, int]
) -> tuple[int, ...] | None:
    names = _names(row, settings)
    unknown = [name for name in names or () if name not in places]
    if unknown:
        raise DataError(
            f"{row.place}: unknown label '{unknown[0]}' in column '{settings.label_column}'; "
            f"known: {', '.join(places)}.{did_you_mean(unknown[0], places)} Correct the row, "
            "or give all labels in task_options.labels."
        )
    return None if names is None else tuple(sorted({places[name] for name in names}))


def _names(row: Row, settings: MultiLabelSettings) -> list[str] | None:
    value = row.values.get(settings.label_column)
    if value is None:
        return None
    if isinstance(value, str):
        return [part.strip() for part in value.split(settings.separator) if part.strip()]
    if isinstance(value, list) and all(type(name) in (str, int) for name in value):
        names = [str(name).strip() for name in value]
        if len(set(names)) == len(names):
            return names
    raise DataError(
        f"{row.place}: {value!r} in column '{settings.label_column}' is no set of labels; "
        f'accepted: a list of those that are true, each once, such as ["a", "b"], or text such as '
        f'"a{settings.separator}b"'
    )
