"""What losses compare besides logits: two models' hidden states and attention, row by row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.losses import LayerLoss, Loss, Rows
from limbeck.models import ModelConfig
from limbeck.nn import COLLECTABLE, EncoderOutput, ModelOutput

Output = EncoderOutput | ModelOutput


def collected_for(losses: Mapping[str, Loss]) -> frozenset[str]:
    """Returns what both models have to collect for some losses."""
    return COLLECTABLE & {loss.needs for loss in losses.values()}


def require_comparable(
    losses: Mapping[str, Loss], *, teacher: ModelConfig, student: ModelConfig
) -> None:
    """Refuses losses that can't compare two models.

    Raises:
        SettingsError: If the models differ in width or heads, or have no such layers.
    """
    widths = teacher.hidden_size, student.hidden_size
    heads = teacher.num_attention_heads, student.num_attention_heads
    for name, loss in losses.items():
        if loss.needs in ("last_hidden_state", "hidden_states") and widths[0] != widths[1]:
            raise SettingsError(
                f"losses.{name} compares hidden states, but the teacher's hidden_size is "
                f"{widths[0]} and the student's {widths[1]}; leave this loss out, or take a "
                "student as wide as the teacher"
            )
        if loss.needs == "attention_scores" and heads[0] != heads[1]:
            raise SettingsError(
                f"losses.{name} compares attention head by head, but the teacher has {heads[0]} "
                f"heads and the student {heads[1]}; leave this loss out, or take a student with "
                "as many heads"
            )
        if isinstance(loss, LayerLoss):
            try:
                loss.pair_layers(student.num_hidden_layers, teacher.num_hidden_layers)
            except SettingsError as error:
                raise SettingsError(f"losses.{name}.{error}") from error


def rows_of(
    loss: Loss, *, student: Output, teacher: Output | None, keep: Tensor, labels: Tensor
) -> Rows:
    """Picks what a loss compares of two models' outputs; layers stand one after the other.

    Args:
        loss: Anything but a loss on logits.
        student: What the student gave, with what the loss needs collected.
        teacher: What the teacher gave, or None for a loss that needs no teacher.
        keep: Which positions of the flattened batch count.
        labels: Of these positions.

    Shape:
        keep: (positions,), as an index.
        labels: (positions,).
    """
    ours = _stages(loss, student)
    if teacher is None:
        return Rows(student=_stack(ours, keep), teacher=None, labels=labels.repeat(len(ours)))
    theirs = _stages(loss, teacher)
    if isinstance(loss, LayerLoss):
        # Hidden states begin with the embeddings, which are compared with the embeddings.
        first = 1 if loss.needs == "hidden_states" else 0
        paired = loss.pair_layers(len(ours) - first, len(theirs) - first)
        theirs = (*theirs[:first], *(theirs[number - 1 + first] for number in paired))
    return Rows(
        student=_stack(ours, keep), teacher=_stack(theirs, keep), labels=labels.repeat(len(ours))
    )


def at_least_float32(tensor: Tensor) -> Tensor:
    """Returns half-precision tensors as float32 and others as they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _stages(loss: Loss, output: Output) -> tuple[Tensor, ...]:
    """Returns (batch, sequence, ...) of each layer that the loss looks at."""
    if loss.needs == "last_hidden_state":
        return (output.last_hidden_state,)
    if loss.needs == "hidden_states":
        assert output.hidden_states is not None
        return output.hidden_states
    assert output.attention_scores is not None
    return tuple(scores.transpose(1, 2) for scores in output.attention_scores)


def _stack(stages: tuple[Tensor, ...], keep: Tensor) -> Tensor:
    """Returns (layers * positions, width)."""
    return torch.cat([at_least_float32(stage.flatten(0, 1)[keep].flatten(1)) for stage in stages])
