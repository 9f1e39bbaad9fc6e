"""SWAG: which of several endings goes on from a sentence? Any number of choices, any columns.

Source:
    Zellers et al., "SWAG: A Large-Scale Adversarial Dataset for Grounded Commonsense Inference",
    EMNLP 2018.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from limbeck.metrics import Classes
from limbeck.models import AutoModelForMultipleChoice
from limbeck.nn import ModelOutput, at_least_float32
from limbeck.sources import Data
from limbeck.tasks._base import PADDING, Task
from limbeck.tasks._choices import ChoiceExample, ChoiceSettings, read_choice
from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._encoded import EncodedExamples, naming_examples, texts_at_a_time
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._held_out import count_held_out, read_rows
from limbeck.tasks._texts import UNLABELLED_SPLITS, require_all_or_none
from limbeck.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class ChoiceTask(Task):
    """A data set of texts with several endings each."""

    predictions = Classes
    metrics = ("accuracy",)
    auto_model = AutoModelForMultipleChoice

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns each text with each of its endings into token ids; the longer is cut first."""
        return EncodedExamples.of(_rows(split.examples, tokenizer, max_length=max_length))

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns the choices' scores, (batch, choices)."""
        is_absent = batch.mask().sum(dim=-1) == 0
        assert output.logits is not None
        return at_least_float32(output.logits).masked_fill(is_absent, PADDING)

    def sizes(self, batch: TaskBatch) -> list[int]:
        """Returns each row's number of choices."""
        return (batch.mask().sum(dim=-1) > 0).sum(dim=-1).tolist()

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the cross-entropy added up over the batch."""
        assert batch.labels is not None
        return F.cross_entropy(logits, batch.labels, reduction="sum")

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per example the right choice, the predicted one, and each one's probability."""
        return [
            {
                "index": index,
                "label": None if example.label is None else str(example.label),
                "prediction": str(int(row.argmax())),
                "scores": [round(score, 9) for score in row.double().softmax(-1).tolist()],
            }
            for index, (example, row) in enumerate(zip(split.examples, logits, strict=True))
        ]

    def details(self, split: Split, records: Sequence[Record]) -> dict[str, Any]:
        """Returns nothing: a choice's place says nothing of what it is."""
        return {}


def _rows(
    examples: Sequence[ChoiceExample], tokenizer: Tokenizer, *, max_length: int
) -> Iterator[EncodedExample]:
    for start, part in texts_at_a_time(
        examples, num_characters=lambda e: sum(len(e.context) + len(x) for x in e.endings)
    ):
        pairs = [(example.context, ending) for example in part for ending in example.endings]
        owners = [place for place, example in enumerate(part) for _ in example.endings]
        with naming_examples(start, owners):
            encoded = tokenizer(
                [first for first, _ in pairs],
                [second for _, second in pairs],
                truncation="longest_first",
                max_length=max_length,
            )
        types = encoded.get("token_type_ids")
        bounds = pairwise(accumulate((len(example.endings) for example in part), initial=0))
        for index, (example, (first, last)) in enumerate(zip(part, bounds, strict=True), start):
            yield EncodedExample(
                index=index,
                input_ids=encoded["input_ids"][first:last],
                token_type_ids=None if types is None else types[first:last],
                label=example.label,
            )


def read(
    name: str,
    data: Data,
    *,
    settings: ChoiceSettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
) -> ChoiceTask:
    """Reads a multiple-choice data set.

    Raises:
        DataError: If rows, columns or labels are wrong; the message names file and line.
    """
    splits: dict[str, Split] = {}
    given = read_rows(data, settings, document=lambda row: row.values.get(settings.context_column))
    for split, rows in given.items():
        is_labelled = split not in UNLABELLED_SPLITS
        examples = [read_choice(row, settings, is_labelled=is_labelled) for row in rows.rows]
        require_all_or_none(split, rows, examples, settings.label_column)
        splits[split] = Split(split, examples)
    return ChoiceTask(
        name=name, metric="accuracy", splits=splits, num_held_out=count_held_out(given, splits)
    )


TASK = TaskDefinition(settings=ChoiceSettings, read=read, hub="hf://allenai/swag:regular")
