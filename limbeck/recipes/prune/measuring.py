"""How much a task needs each head and neuron of a model, on the task's own rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

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
from limbeck.recipes.prune.settings import PruneSettings
from limbeck.tasks import Task, TaskBatch, collate
from limbeck.train import Progress


def score_units(
    model: Model, settings: PruneSettings, data: TaskData, *, number: int, progress: Progress
) -> UnitScores:
    """Scores a model's heads and neurons as the settings say.

    Args:
        model: The model, on its device.
        settings: Of the run.
        data: The task's, as the model reads them.
        number: Of the round, from 1; each draws other numbers by chance.
        progress: Where it is shown.
    """
    if settings.importance == "norm" or not settings.chooses_units:  # all stay: none is compared
        return score_by_weights(model, settings)
    seed = settings.seeds[0] + number
    if settings.importance == "random":
        return score_at_random(model, seed=seed)
    batches, with_width = _batches(settings, data, progress), settings.width is not None
    if settings.importance == "taylor":
        losses = ((partial(_loss, data.task, model, b), b.num_examples) for b in batches)
        return score_by_loss(model, losses, with_width=with_width)
    generator = torch.Generator().manual_seed(seed)
    answers = ((partial(_answers, data.task, model, b, generator), b.num_examples) for b in batches)
    return score_by_answers(model, answers, with_width=with_width)


def score_by_weights(model: Model, settings: PruneSettings) -> UnitScores:
    """Scores them by their weights alone, without a row."""
    width = None if settings.width is None else measure_widths(model)
    return UnitScores(*measure_norms(model), width)


def _batches(settings: PruneSettings, data: TaskData, progress: Progress) -> Iterator[TaskBatch]:
    """Yields training rows, the shortest first; those with labels where these are needed."""
    needs_labels = settings.importance == "taylor"
    rows = data.examples["train"] if needs_labels else data.training
    lengths = rows.lengths
    chosen = sorted(
        take_evenly(range(len(rows)), settings.importance_rows), key=lambda i: int(lengths[i])
    )
    size = settings.batch_size
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
