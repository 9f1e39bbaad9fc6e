"""Examples of a data set: as they are read, encoded, and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from limbeck.nn import to_device

SPLITS = ("train", "validation", "test", "transfer")
"""Names of splits; `transfer` is unlabelled text that a teacher labels."""

Record = dict[str, Any]
"""One prediction as it is written down: plain JSON."""


class Example(Protocol):
    """One example as it stands in the data set; every kind of task has its own."""

    @property
    def label(self) -> Any:
        """What is to be predicted, or None where it is not public."""

    def shown(self) -> dict[str, Any]:
        """Returns what stands beside its prediction, for people who look for errors."""


@dataclass(frozen=True)
class Split:
    """The examples of one split, in the order of the file; either all have a label or none."""

    name: str
    examples: Sequence[Any]

    @property
    def is_labelled(self) -> bool:
        """Whether the split can be scored; one without labels is only predicted."""
        return self.examples[0].label is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedExample:
    """An example, or one window of it, as token ids.

    Attributes:
        index: Which example of the split it comes from.
        input_ids: Token ids; for multiple choice a list of them for each choice.
        token_type_ids: As `input_ids`, or None for a family without them.
        label: What the task's loss compares with, or None.
    """

    index: int
    input_ids: Sequence[Any]
    token_type_ids: Sequence[Any] | None
    label: Any

    @property
    def num_tokens(self) -> int:
        """Length of the (longest) row."""
        if self.input_ids and isinstance(self.input_ids[0], Sequence):
            return max(len(row) for row in self.input_ids)
        return len(self.input_ids)


@dataclass(frozen=True)
class TaskBatch:
    """Examples padded to the longest among them.

    Attributes:
        input_ids: (batch, sequence) int64; (batch, choices, sequence) for multiple choice.
        attention_mask: As `input_ids`, int64, 1 where real; None if nothing is padded.
        token_type_ids: As `input_ids`, or None for a family without them.
        labels: (batch, ...), or None where they are not public.
        num_tokens: Real tokens.
        positions: Where the rows stand among the encoded examples they were taken from.
    """

    input_ids: Tensor
    attention_mask: Tensor | None
    token_type_ids: Tensor | None
    labels: Tensor | None
    num_tokens: int
    positions: Sequence[int]

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
        moved: dict[str, Any] = {
            name: to_device(tensor, device)
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

    def mask(self) -> Tensor:
        """Returns the attention mask, of ones if nothing is padded."""
        if self.attention_mask is not None:
            return self.attention_mask
        return torch.ones_like(self.input_ids)
