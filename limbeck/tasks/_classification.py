"""Classification of one or two sentences, shared by the tasks of that kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from limbeck.errors import SettingsError, shorten_names
from limbeck.metrics import Classes, load_metric
from limbeck.models import AutoModelForSequenceClassification
from limbeck.nn import to_device
from limbeck.sources import Data
from limbeck.tasks._base import Task
from limbeck.tasks._definition import TaskDefinition, with_defaults
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._glue import GlueFile
from limbeck.tasks._held_out import count_held_out
from limbeck.tasks._labels import LabelSet, find_label_sets, infer_labels
from limbeck.tasks._main_metric import ClassMetric
from limbeck.tasks._spans import Spans
from limbeck.tasks._texts import (
    TextEncoding,
    TextSettings,
    pool_windows,
    read_label_rows,
    read_texts,
)
from limbeck.tokenizers import Tokenizer


class ClassificationSettings(TextSettings):
    """Which columns hold what, and what the labels are."""

    labels: tuple[str, ...] | None = None
    """All labels, in the order of the model's logits; by default those of the model or the data.
    Numbers in the data are matched by the name that the data set or the benchmark has for them;
    where they have none, they are places in this list."""
    rename_labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the data to read as others: `rename_labels.neg=NEGATIVE`."""
    metric: ClassMetric = "accuracy"
    """Main metric, by which the best epoch is chosen; `f1` is that of label 1 of two, `accuracy_f1`
    the mean of both."""
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    """What each label's examples count for in the training loss: one number a label, `balanced` for
    the inverse of how often it occurs, or None for all alike."""

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels is not None and (len(labels) < 2 or len(set(labels)) < len(labels)):
            raise ValueError("give at least two labels, each once")
        return labels


@dataclass(frozen=True, kw_only=True)
class ClassificationTask(Task):
    """A data set of sentences or pairs with one label each.

    Attributes:
        encoding: How texts become token ids.
        class_weights: Weight of each label's examples in the loss; all 1 if None.
        glue: What GLUE's server wants, if the task is one of GLUE's.
    """

    predictions = Classes
    auto_model = AutoModelForSequenceClassification
    problem_type = "single_label_classification"

    encoding: TextEncoding
    class_weights: tuple[float, ...] | None = None
    glue: GlueFile | None = None

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns sentences into token ids; of two, the longer is cut first."""
        return self.encoding.encode(split.examples, tokenizer, max_length=max_length)

    def spans(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> Spans:
        """Returns where each token stands."""
        return self.encoding.spans(split.examples, tokenizer, max_length=max_length)

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the cross-entropy added up over the batch, each example with its weight."""
        assert batch.labels is not None
        weights = None
        if self.class_weights is not None:
            weights = to_device(torch.tensor(self.class_weights, dtype=logits.dtype), logits.device)
        return F.cross_entropy(logits, batch.labels, weight=weights, reduction="sum")

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per example its label, the predicted one, and each label's probability."""
        probabilities = pool_windows(encoded, logits).softmax(-1)
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
        """Returns the metrics, and the loss per example."""
        labels = torch.tensor([example.label for example in split.examples])
        given = torch.tensor([record["scores"] for record in records], dtype=torch.float64)
        of_label = given[torch.arange(len(labels)), labels]
        loss = -of_label.clamp_min(1e-9).log().mean()
        return {**super().score(split, records), "loss": float(loss)}

    def submission(self, split: Split, records: Sequence[Record]) -> tuple[str, str] | None:
        """Returns the file for GLUE's server, of a test split whose labels are GLUE's own."""
        if self.glue is None or split.name != "test" or {*self.labels} != {*self.glue.labels}:
            return None
        return self.glue.name, self.glue.write([record["prediction"] for record in records])


def define_classification(
    *,
    hub: str | None = None,
    split_suffix: str = "",
    submission: str | None = None,
    submits_numbers: bool = False,
    **defaults: Any,
) -> TaskDefinition:
    """Returns a task of this kind.

    Args:
        hub: Its usual data set.
        split_suffix: What the names of its splits may end in.
        submission: Name of the file that GLUE's server takes, if it takes one.
        submits_numbers: Whether that file has a label's number instead of its name.
        defaults: Of `ClassificationSettings`, where they are other ones.
    """
    glue = None
    if submission is not None:
        glue = GlueFile(submission, defaults["labels"], as_numbers=submits_numbers)
    return TaskDefinition(
        settings=with_defaults(ClassificationSettings, **defaults),
        read=partial(read_classification, split_suffix=split_suffix, glue=glue),
        hub=hub,
    )


def read_classification(
    name: str,
    data: Data,
    *,
    settings: ClassificationSettings,
    labels: Sequence[str] | None = None,
    split_suffix: str = "",
    glue: GlueFile | None = None,
) -> ClassificationTask:
    """Reads a classification data set.

    Labels come from the settings, else from `labels` (those of a fine-tuned model), else from
    the data set's own declaration, else they are the ones that occur in the training split.
    Numbers of classes are matched by the names that the data set declares for them, else by those
    that the task itself has for them.

    Raises:
        DataError: If rows, columns or labels are wrong; the message names file and line.
        SettingsError: If the metric does not fit the number of labels.
    """
    splits = read_label_rows(data, settings, split_suffix=split_suffix)
    column, own = settings.label_column, type(settings).model_fields["labels"].default
    label_sets = find_label_sets(
        splits,
        column,
        given=None if settings.labels == own else settings.labels,
        own=own,
        of_model=labels,
        renamed=settings.rename_labels,
        infer=lambda rows: infer_labels(rows, column, renamed=settings.rename_labels),
    )
    label_set = next(iter(label_sets.values()))
    if len(label_set) < 2:
        raise SettingsError(
            f"task_options.rename_labels leaves {shorten_names(label_set.names)} alone, and a "
            "classifier needs two labels"
        )
    form = load_metric(settings.metric).form_of(Classes)
    assert form is not None
    if form.num_labels not in (None, len(label_set)):
        raise SettingsError(
            f"task_options.metric = '{settings.metric}' needs {form.num_labels} labels, but the "
            f"task has {len(label_set)} ({shorten_names(label_set.names)}); use macro_f1"
        )
    examples = read_texts(
        splits, settings, read_label=lambda split, row: label_sets[split].index(row, column)
    )
    return ClassificationTask(
        name=name,
        metric=settings.metric,
        splits=examples,
        num_held_out=count_held_out(splits, examples),
        labels=label_set.names,
        encoding=TextEncoding(settings.long_texts, settings.stride),
        class_weights=_class_weights(settings, label_set, examples.get("train")),
        glue=glue,
    )


def _class_weights(
    settings: ClassificationSettings, labels: LabelSet, train: Split | None
) -> tuple[float, ...] | None:
    """Returns weights whose mean over the training examples is 1, so that the loss keeps its scale.

    Source:
        "balanced": scikit-learn's `compute_class_weight`, n / (k * count), after King and Zeng,
        "Logistic Regression in Rare Events Data", 2001.
    """
    given = settings.class_weights
    if given is None or train is None:
        return None
    counts = [0] * len(labels)
    for example in train.examples:
        counts[example.label] += 1
    if given == "balanced":
        given = tuple(1 / count if count else 0.0 for count in counts)
    if len(given) != len(labels) or min(given) < 0 or not any(given):
        raise SettingsError(
            f"task_options.class_weights = {list(given)}: give one number of at least 0 for each "
            f"of the {len(labels)} labels ({shorten_names(labels.names)}), or 'balanced'"
        )
    mean = sum(w * count for w, count in zip(given, counts, strict=True)) / sum(counts)
    return tuple(weight / mean for weight in given)
