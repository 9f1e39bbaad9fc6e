"""Any number of labels at once for one or two sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from limbeck.errors import DataError, SettingsError, shorten
from limbeck.metrics import LabelSets
from limbeck.models import AutoModelForSequenceClassification
from limbeck.sources import Data, Row
from limbeck.tasks._average import average_yes_and_no
from limbeck.tasks._base import Task
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._held_out import count_held_out
from limbeck.tasks._labels import LabelSet, as_label, find_label_sets, rename, sort_labels
from limbeck.tasks._lists import is_meant_as_list, parse_list
from limbeck.tasks._main_metric import LabelSetMetric
from limbeck.tasks._spans import Spans
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
    """Column with the labels: a list of names, or text with `separator` between them; a list that
    was written as text, `['a', 'b']`, is read as the list."""
    separator: str = Field(default=",", min_length=1)
    """Stands between the labels where they are text; an empty text is no label at all."""
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    """All labels, in the order of the model's logits; by default those of the model or the data.
    Numbers in the data are matched by the name that the data set has for them; where it has none,
    they are places in this list."""
    rename_labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the data to read as others: `rename_labels.neg=NEGATIVE`."""
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

    def spans(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> Spans:
        """Returns where each token stands."""
        return self.encoding.spans(split.examples, tokenizer, max_length=max_length)

    def label_tensor(self, labels: Sequence[Any], batch_shape: torch.Size) -> Tensor:
        """Returns 1 where an example has a label, (batch, labels)."""
        stacked = torch.zeros(len(labels), len(self.labels))
        for row, present in enumerate(labels):
            stacked[row, list(present)] = 1
        return stacked

    def distributions(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """Returns each label's yes or no as two logits, (batch * labels, 2)."""
        flat = logits.flatten()
        return torch.stack([flat, torch.zeros_like(flat)], dim=-1)

    def average(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Returns the logits of several models together: of each label the mean of its chances."""
        return average_yes_and_no(logits, weights)

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

    Labels come from the settings, else from `labels` (those of a fine-tuned model), else from the
    data set's own declaration, else they are the ones that occur in the training split, sorted.
    Numbers are matched by the names that the data set declares for them.

    Raises:
        DataError: If rows, columns or labels are wrong; the message names file and line.
        SettingsError: If a label is given twice.
    """
    given, column = settings.labels, settings.label_column
    if given is not None and len(set(given)) < len(given):
        raise SettingsError(f"task_options.labels = {shorten(list(given))}: give each label once")
    splits = read_label_rows(data, settings)
    label_sets = find_label_sets(
        splits,
        column,
        given=given,
        own=None,
        of_model=labels,
        renamed=settings.rename_labels,
        infer=lambda rows: _infer(rows, settings),
    )
    examples = read_texts(
        splits, settings, read_label=lambda split, row: _places(row, settings, label_sets[split])
    )
    return MultiLabelTask(
        name=name,
        metric=settings.metric,
        splits=examples,
        num_held_out=count_held_out(splits, examples),
        labels=next(iter(label_sets.values())).names,
        encoding=TextEncoding(settings.long_texts, settings.stride),
        threshold=settings.threshold,
    )


def _infer(rows: Sequence[Row], settings: MultiLabelSettings) -> list[str]:
    found = {as_label(str(label)) for row in rows for label in _labels(row, settings) or ()}
    if not found:
        raise DataError(
            f"{rows[0].place.rpartition(',')[0]}: no row has a label in column "
            f"'{settings.label_column}'; give all labels in task_options.labels"
        )
    return sort_labels(rename(found, settings.rename_labels))


def _places(row: Row, settings: MultiLabelSettings, label_set: LabelSet) -> tuple[int, ...] | None:
    given = _labels(row, settings)
    if given is None:
        return None
    places = set()
    for label in given:
        text, is_number = as_label(str(label)), not isinstance(label, str)
        place = label_set.place(text, is_number=is_number)
        if place is None:
            raise label_set.unknown(text, row, settings.label_column, is_number=is_number)
        places.add(place)
    return tuple(sorted(places))


def _labels(row: Row, settings: MultiLabelSettings) -> Sequence[str | int | float] | None:
    """Returns a row's labels as the data have them, names and numbers; None if not public."""
    value = row.values.get(settings.label_column)
    if value is None:
        return None
    if isinstance(value, str):
        if not is_meant_as_list(value):
            return [part.strip() for part in value.split(settings.separator) if part.strip()]
        value = parse_list(value)  # no labels named "['good'" and "'dull']"
    if isinstance(value, list) and all(_can_be_label(label) for label in value):
        texts = [as_label(str(label)) for label in value]
        if len(set(texts)) == len(texts):
            return value
    raise DataError(
        f"{row.place}: {shorten(row.values[settings.label_column])} in column "
        f"'{settings.label_column}' is no set of labels; accepted: a list of those that are true, "
        f'each once, such as ["a", "b"], or text such as "a{settings.separator}b"'
    )


def _can_be_label(value: object) -> bool:
    return type(value) in (str, int) or (isinstance(value, float) and value.is_integer())
