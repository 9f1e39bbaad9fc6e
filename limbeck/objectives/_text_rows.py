"""Which positions of a batch of text the losses run over, and an encoder's pass over it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from limbeck.data import MaskedBatch
from limbeck.losses import Loss, Positions
from limbeck.models import AnyModel, Model
from limbeck.nn import EncoderOutput, to_device
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.objectives._looks import Looks


@dataclass(frozen=True, kw_only=True)
class TextRows:
    """Which flattened positions of a batch losses run over.

    Found while the batch is on the CPU: on a device each look at how many there are is a wait.

    Attributes:
        positions: For each kind of positions that a loss names.
        scored: Where the vocabulary head runs, for all losses on logits together.
        chunks: For each chunk of `scored`, which rows of it each kind of positions has; None for
            all of them.

    Shape:
        positions: (rows,) each.
        scored: (rows,)
        chunks: (rows of the chunk,) each.
    """

    positions: Mapping[Positions, Tensor]
    scored: Tensor
    chunks: Sequence[Mapping[Positions, Tensor | None]]

    @classmethod
    def of(cls, batch: MaskedBatch, losses: Collection[Loss], *, chunk_rows: int) -> Self:
        """Finds the rows of some losses in a batch that is on the CPU."""
        selected = {loss.positions: _select(batch, loss.positions) for loss in losses}
        on_logits = sorted({loss.positions for loss in losses if "logits" in loss.needs})
        scored = torch.empty(0, dtype=torch.int64)
        if on_logits:
            scored = _places(torch.stack([selected[kind] for kind in on_logits]).any(dim=0))
        return cls(
            positions={kind: _places(positions) for kind, positions in selected.items()},
            scored=scored,
            chunks=[
                {kind: _places_within(selected[kind][chunk]) for kind in on_logits}
                for chunk in torch.split(scored, chunk_rows)
            ],
        )

    def to(self, device: torch.device) -> Self:
        """Returns the rows on a device."""
        return type(self)(
            positions={kind: to_device(rows, device) for kind, rows in self.positions.items()},
            scored=to_device(self.scored, device),
            chunks=[
                {k: None if rows is None else to_device(rows, device) for k, rows in chunk.items()}
                for chunk in self.chunks
            ],
        )


def find_positions(batch: MaskedBatch, kind: Positions) -> Tensor:
    """Returns which flattened positions of a batch on the CPU are of a kind; shape (rows,)."""
    return _places(_select(batch, kind))


def _select(batch: MaskedBatch, kind: Positions) -> Tensor:
    """Returns whether each flattened position is of a kind."""
    if kind == "masked":
        return batch.labels.flatten() != IGNORE_INDEX
    return batch.is_real.flatten()


def _places(selected: Tensor) -> Tensor:
    return selected.nonzero().squeeze(1)


def _places_within(chunk: Tensor) -> Tensor | None:
    return None if chunk.all() else _places(chunk)


def encode(model: AnyModel, batch: MaskedBatch, *, looks: Looks | None = None) -> EncoderOutput:
    """Runs a model's encoder on a batch, as far as what losses look at; without any, all of it."""
    further: dict[str, Any] = {}
    if looks is not None:
        further["collect"] = looks.collect
        if isinstance(model, Model):  # others know no way to stop
            further["num_layers"] = looks.num_layers
    return model.encode(
        batch.input_ids, batch.attention_mask, position_ids=batch.position_ids, **further
    )


def flatten_states(output: EncoderOutput) -> Tensor:
    """Returns the last hidden state, (batch * sequence, hidden_size)."""
    return output.last_hidden_state.flatten(0, 1)
