"""Numbers said of one or two sentences, shared by the tasks of that kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor

from limbeck.errors import DataError, shorten
from limbeck.metrics import Numbers
from limbeck.models import AutoModelForSequenceClassification
from limbeck.sources import Data, Row
from limbeck.tasks._base import Task
from limbeck.tasks._definition import TaskDefinition, with_defaults
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._held_out import count_held_out
from limbeck.tasks._main_metric import NumberMetric
from limbeck.tasks._spans import Spans
from limbeck.tasks._texts import (
    TextEncoding,
    TextSettings,
    pool_windows,
    read_label_rows,
    read_texts,
)
from limbeck.tokenizers import Tokenizer


class RegressionSettings(TextSettings):
    """Which columns hold what, and between which bounds the numbers lie."""

    minimum: float | None = None
    """Smallest number that the data may have; predictions are not cut at it."""
    maximum: float | None = None
    """Largest number that the data may have."""
    metric: NumberMetric = "pearson_spearman"
    """Main metric, by which the best epoch is chosen."""

    @model_validator(mode="after")
    def _check_bounds(self) -> RegressionSettings:
        if None not in (self.minimum, self.maximum) and self.minimum >= self.maximum:  # type: ignore[operator]
            raise ValueError("minimum must be below maximum")
        return self


@dataclass(frozen=True, kw_only=True)
class RegressionTask(Task):
    """A data set of sentences or pairs with one number each.

    Attributes:
        encoding: How texts become token ids.
        submission_name: The file that GLUE's server takes, if the task is GLUE's.
    """

    predictions = Numbers
    auto_model = AutoModelForSequenceClassification
    targets = "real"

    encoding: TextEncoding
    submission_name: str | None = None

    def head(self) -> dict[str, Any]:
        """Returns that there is one number."""
        return {
            "num_labels": 1,
            "id2label": {0: "LABEL_0"},
            "label2id": {"LABEL_0": 0},
            "problem_type": "regression",
        }

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns sentences into token ids; of two, the longer is cut first."""
        return self.encoding.encode(split.examples, tokenizer, max_length=max_length)

    def spans(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> Spans:
        """Returns where each token stands."""
        return self.encoding.spans(split.examples, tokenizer, max_length=max_length)

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the squared errors added up over the batch."""
        assert batch.labels is not None
        return F.mse_loss(logits[:, 0], batch.labels.to(logits.dtype), reduction="sum")

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per example its number and the predicted one."""
        values = pool_windows(encoded, logits)[:, 0].tolist()
        return [
            {"index": index, "label": example.label, "prediction": value}
            for index, (example, value) in enumerate(zip(split.examples, values, strict=True))
        ]

    def score(self, split: Split, records: Sequence[Record]) -> dict[str, float]:
        """Returns the metrics, the mean squared error among them as the loss."""
        scores = super().score(split, records)
        return {**scores, "loss": scores["mean_squared_error"]}

    def submission(self, split: Split, records: Sequence[Record]) -> tuple[str, str] | None:
        """Returns the file for GLUE's server, of a test split, the numbers within 0 to 5."""
        if self.submission_name is None or split.name != "test":
            return None
        lines = [
            f"{record['index']}\t{min(max(record['prediction'], 0.0), 5.0):.3f}\n"
            for record in records
        ]
        return self.submission_name, "index\tprediction\n" + "".join(lines)


def define_regression(
    *, hub: str | None = None, submission: str | None = None, **defaults: Any
) -> TaskDefinition:
    """Returns a task of this kind.

    Args:
        hub: Its usual data set.
        submission: Name of the file that GLUE's server takes, if it takes one.
        defaults: Of `RegressionSettings`, where they are other ones.
    """
    return TaskDefinition(
        settings=with_defaults(RegressionSettings, **defaults),
        read=partial(read_regression, submission_name=submission),
        hub=hub,
    )


def read_regression(
    name: str,
    data: Data,
    *,
    settings: RegressionSettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
    submission_name: str | None = None,
) -> RegressionTask:
    """Reads a data set of numbers.

    Raises:
        DataError: If rows, columns or numbers are wrong; the message names file and line.
    """
    splits = read_label_rows(data, settings)
    examples = read_texts(splits, settings, read_label=lambda _, row: _number(row, settings))
    return RegressionTask(
        name=name,
        metric=settings.metric,
        splits=examples,
        num_held_out=count_held_out(splits, examples),
        encoding=TextEncoding(settings.long_texts, settings.stride),
        submission_name=submission_name,
    )


def _number(row: Row, settings: RegressionSettings) -> float | None:
    """Returns a row's number; where there are bounds, -1 below them says that it is not public."""
    given = row.values.get(settings.label_column)
    low, high = settings.minimum, settings.maximum
    if given is None or given == "":
        return None
    try:
        value = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if value == -1 and low is not None and low > -1:
        return None
    if not math.isfinite(value):
        raise DataError(
            f"{row.place}: {shorten(given)} in column '{settings.label_column}' is not a finite "
            "number; correct or remove the row"
        )
    if (low is not None and value < low) or (high is not None and value > high):
        shown = " to ".join(
            f"{open_end if bound is None else bound:g}"
            for bound, open_end in ((low, -math.inf), (high, math.inf))
        )
        raise DataError(
            f"{row.place}: {value:g} in column '{settings.label_column}' is out of range; "
            f"accepted: {shown} (task_options.minimum, task_options.maximum)"
        )
    return value
