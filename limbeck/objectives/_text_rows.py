"""Which positions of a batch of text the losses run over, and an encoder's pass over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from limbeck.data import MaskedBatch
from limbeck.losses import Loss
from limbeck.models import Model
from limbeck.nn import EncoderOutput
from limbeck.nn.constants import IGNORE_INDEX


@dataclass(frozen=True, kw_only=True)
class TextRows:
    """Which flattened positions of a batch carry a label, and which are not padding.

    Shape:
        labels, masked, real: (batch * sequence,)
    """

    labels: Tensor
    masked: Tensor
    real: Tensor

    @classmethod
    def of(cls, batch: MaskedBatch) -> Self:
        """Reads a batch's labels and mask."""
        labels = batch.labels.flatten()
        mask = batch.attention_mask
        real = torch.ones_like(labels, dtype=torch.bool)
        if mask is not None and mask.ndim == 2:
            real = mask.flatten().bool()
        return cls(labels=labels, masked=labels != IGNORE_INDEX, real=real)

    def select(self, loss: Loss) -> Tensor:
        """Returns which positions a loss runs over, as its settings say."""
        return self.masked if loss.positions == "masked" else self.real


def encode(
    model: Model, batch: MaskedBatch, *, collect: frozenset[str] = frozenset()
) -> EncoderOutput:
    """Runs a model's encoder on a batch."""
    return model.encode(
        batch.input_ids, batch.attention_mask, position_ids=batch.position_ids, collect=collect
    )


def flatten_states(output: EncoderOutput) -> Tensor:
    """Returns the last hidden state, (batch * sequence, hidden_size)."""
    return output.last_hidden_state.flatten(0, 1)
