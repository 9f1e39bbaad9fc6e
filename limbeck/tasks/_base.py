"""What a task is to the recipes: the protocol that every task fulfils, and its value types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from limbeck.models import Model
from limbeck.nn import ModelOutput
from limbeck.tokenizers import Tokenizer

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Example:
    """One example as it stands in the data set.

    Attributes:
        text: The sentence, or the first of two.
        text_pair: The second sentence, or None.
        label: Index of its label, or None where the label is not public.
    """

    text: str
    text_pair: str | None
    label: int | None


@dataclass(frozen=True)
class Split:
    """The examples of one split, in the order of the file; either all have a label or none."""

    name: str
    examples: Sequence[Example]

    @property
    def is_labelled(self) -> bool:
        """Whether the split can be scored; one without labels is only predicted."""
        return self.examples[0].label is not None


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """An example as token ids; `label` is what the task's loss compares with."""

    input_ids: Sequence[int]
    token_type_ids: Sequence[int] | None
    label: int | None


@dataclass(frozen=True)
class TaskBatch:
    """Examples padded to the longest among them.

    Attributes:
        input_ids: (batch, sequence) int64.
        attention_mask: (batch, sequence) int64, 1 where real; None if nothing is padded.
        token_type_ids: (batch, sequence) int64, or None for a family without them.
        labels: (batch,) int64, or None where they are not public.
        num_tokens: Real tokens.
    """

    input_ids: Tensor
    attention_mask: Tensor | None
    token_type_ids: Tensor | None
    labels: Tensor | None
    num_tokens: int

    @property
    def num_examples(self) -> int:
        """Rows of the batch."""
        return self.input_ids.shape[0]

    def to(self, device: torch.device) -> Self:
        """Returns the batch with its tensors on `device`."""
        if device == self.input_ids.device:
            return self
        names = ("input_ids", "attention_mask", "token_type_ids", "labels")
        tensors = {name: getattr(self, name) for name in names}
        moved = {
            name: tensor.to(device, non_blocking=True)
            for name, tensor in tensors.items()
            if tensor is not None
        }
        return replace(self, **moved)

    def inputs(self) -> dict[str, Tensor]:
        """Returns the keyword arguments of the model's call."""
        given = {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "token_type_ids": self.token_type_ids,
        }
        return {name: tensor for name, tensor in given.items() if tensor is not None}


class Task(Protocol):
    """One task with its data: everything that `finetune` and `evaluate` need to know of it."""

    @property
    def name(self) -> str:
        """The task's name in settings and reports."""

    @property
    def metric(self) -> str:
        """The main metric: higher is better, and the best epoch is the one where it is highest."""

    @property
    def splits(self) -> Mapping[str, Split]:
        """The splits that the data set has, among train, validation and test."""

    def load_model(self, folder: Path, *, new_head: bool) -> Model:
        """Loads a model folder with this task's head.

        Args:
            folder: The model folder.
            new_head: Initialise the head from torch's generator instead of reading it.
        """

    def new_model(self, folder: Path) -> Model:
        """Returns a model of the architecture in `folder` with random weights."""

    def encode(
        self, split: Split, tokenizer: Tokenizer, *, max_length: int
    ) -> Sequence[EncodedExample]:
        """Turns examples into token ids, cutting them at `max_length`."""

    def logits(self, output: ModelOutput) -> Tensor:
        """Returns what predictions are made from, (batch, ...)."""

    def loss_sum(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns the loss added up over the batch's examples."""

    def score(self, split: Split, logits: Tensor) -> dict[str, float]:
        """Returns the metrics of a labelled split."""

    def predictions(self, split: Split, logits: Tensor) -> list[dict[str, Any]]:
        """Returns one JSON record per example: index, label, prediction, scores."""

    def align(self, logits: Tensor, model_labels: Sequence[str]) -> Tensor:
        """Brings a model's logits into the order of the task's labels."""
