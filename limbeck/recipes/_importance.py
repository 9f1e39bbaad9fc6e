"""How much a task needs each head and neuron of a model, on the task's own rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from limbeck.data.sampling import take_evenly
from limbeck.methods._importance import (
    UnitScores,
    randomly_signed,
    score_at_random,
    score_by_answers,
    score_by_loss,
)
from limbeck.methods.prune_units import measure_norms
from limbeck.methods.prune_width import measure_widths
from limbeck.models import Model
from limbeck.recipes._tasks.data import TaskData
from limbeck.tasks import Task, TaskBatch, collate
from limbeck.train import Progress

Importance: TypeAlias = Literal["taylor", "fisher", "norm", "random"]
"""What tells which heads and neurons stay; `prune` says what each is."""
USUAL_ROWS: Final = 1024
"""Training rows that importance is measured on where nobody says how many."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How heads and neurons are told apart.

    Attributes:
        importance: What is measured of each.
        num_rows: Training rows that it is measured on, taken evenly from all.
        batch_size: Rows at a time.
        seed: Decides what is drawn.
        with_width: Whether dimensions of the hidden states are told apart, too.
    """

    importance: Importance
    num_rows: int = USUAL_ROWS
    batch_size: int
    seed: int
    with_width: bool = False


def score_units(
    model: Model, ranking: Ranking, data: TaskData, *, progress: Progress
) -> UnitScores:
    """Scores a model's heads and neurons.

    Args:
        model: The model, on its device.
        ranking: How they are told apart.
        data: The task's, as the model reads them.
        progress: Where it is shown.
    """
    with_width = ranking.with_width
    if ranking.importance == "norm":
        return score_by_weights(model, with_width=with_width)
    if ranking.importance == "random":
        return score_at_random(model, seed=ranking.seed)
    batches = _batches(ranking, data, progress)
    if ranking.importance == "taylor":
        losses = ((partial(_loss, data.task, model, b), b.num_examples) for b in batches)
        return score_by_loss(model, losses, with_width=with_width)
    generator = torch.Generator().manual_seed(ranking.seed)
    answers = ((partial(_answers, data.task, model, b, generator), b.num_examples) for b in batches)
    return score_by_answers(model, answers, with_width=with_width)


def score_by_weights(model: Model, *, with_width: bool) -> UnitScores:
    """Scores them by their weights alone, without a row."""
    return UnitScores(*measure_norms(model), measure_widths(model) if with_width else None)


def _batches(ranking: Ranking, data: TaskData, progress: Progress) -> Iterator[TaskBatch]:
    """Yields training rows, the shortest first; those with labels where these are needed."""
    rows = data.examples["train"] if ranking.importance == "taylor" else data.training
    lengths = rows.lengths
    chosen = sorted(take_evenly(range(len(rows)), ranking.num_rows), key=lambda i: int(lengths[i]))
    size = ranking.batch_size
    with progress.stage("Measuring importance", total=len(chosen), unit="row") as stage:
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            yield collate(data.task, rows, part, pad_token_id=data.tokenizer.pad_token_id)
            stage.advance(len(part))


def _loss(task: Task, model: Model, batch: TaskBatch) -> Tensor:
    batch = batch.to(model.device)
    return task.loss_sum(task.logits(model(**batch.inputs()), batch), batch)


def _answers(task: Task, model: Model, batch: TaskBatch, generator: torch.Generator) -> Tensor:
    counted = task.counted(batch)
    batch = batch.to(model.device)
    logits = task.logits(model(**batch.inputs()), batch)
    if counted is not None:
        counted = counted.to(model.device)
    rows = task.distributions(logits, counted)
    return randomly_signed(rows, are_numbers=task.targets == "real", generator=generator)
