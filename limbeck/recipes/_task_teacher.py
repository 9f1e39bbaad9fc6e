"""A fine-tuned teacher beside a student on the same task: what the student learns from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limbeck.checkpoints import resolve_folder
from limbeck.errors import SettingsError
from limbeck.losses import Loss, Rows, build_loss
from limbeck.models import AutoConfig, Model
from limbeck.nn import ModelOutput
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.recipes._task_run import TaskData, require_same_labels
from limbeck.tasks import EncodedExample, Task, TaskBatch, collate
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import choose_device


class TaskTeacher:
    """Losses of a student's outputs against a teacher's, on the task's own batches.

    Args:
        task: The task, which says what rows of logits are compared.
        model: The fine-tuned teacher, in eval mode on the student's device.
        losses: By name. Those on logits compare `Task.distributions`, those on hidden states all
            real tokens.
        examples: The training rows as the teacher reads them, where it reads them otherwise than
            the student: with token types; None if it reads the same.
        pad_token_id: Pads these.

    Raises:
        SettingsError: If a loss does not fit what the task predicts.
    """

    def __init__(
        self,
        task: Task,
        model: Model,
        losses: Mapping[str, Loss],
        *,
        examples: Sequence[EncodedExample] | None = None,
        pad_token_id: int = 0,
    ) -> None:
        if task.targets == "real" and "soft_targets" in losses:
            raise SettingsError(
                f"losses.soft_targets compares distributions, but {task.name} predicts numbers; "
                "use losses.logit_mse"
            )
        unknown = [name for name, loss in losses.items() if not loss.uses_teacher]
        if unknown:
            raise SettingsError(
                f"losses.{unknown[0]} compares with no teacher; the labels' loss is always there, "
                "with label_weight"
            )
        self._task = task
        self._model = model
        self._losses = dict(losses)
        self._examples = examples
        self._pad_token_id = pad_token_id

    def counts(self, batch: TaskBatch) -> dict[str, int]:
        """Returns what each loss is averaged over: rows of logits, or real tokens."""
        return {
            name: self._task.num_distributions(batch)
            if loss.needs == "logits"
            else batch.num_tokens
            for name, loss in self._losses.items()
        }

    def terms(
        self, output: ModelOutput, logits: Tensor, batch: TaskBatch, counts: Mapping[str, int]
    ) -> Iterator[tuple[str, float, Tensor]]:
        """Yields each loss's name, weight and share of the step's mean."""
        with torch.no_grad():  # inference tensors can not take part in a backward pass
            expected = self._model(**self._read(batch).inputs())
            expected_logits = self._task.logits(expected, batch)
        mask = batch.mask().flatten().bool()
        for name, loss in self._losses.items():
            if loss.needs == "logits":
                ours = self._task.distributions(logits, batch)
                theirs = self._task.distributions(expected_logits, batch)
            else:
                ours = output.last_hidden_state.flatten(0, -2)[mask]
                theirs = expected.last_hidden_state.flatten(0, -2)[mask]
            labels = torch.full((len(ours),), IGNORE_INDEX, device=ours.device)
            share = loss.sum(Rows(student=ours, teacher=theirs, labels=labels))
            yield name, loss.weight, share / max(counts[name], 1)

    def _read(self, batch: TaskBatch) -> TaskBatch:
        if self._examples is None:
            return batch
        own = collate(self._task, self._examples, batch.positions, pad_token_id=self._pad_token_id)
        return own.to(batch.input_ids.device)


def load_teacher(
    name: str,
    data: TaskData,
    losses: Mapping[str, Mapping[str, Any]],
    *,
    student_width: int,
) -> TaskTeacher:
    """Loads a model that is fine-tuned on the task, with the losses against it.

    Args:
        name: Model folder or Hub id.
        data: The task's data, as the student reads them.
        losses: Settings by name; none for `soft_targets`, or `logit_mse` of numbers.
        student_width: Hidden size of the student.

    Raises:
        SettingsError: If the teacher has other tokens or labels than the student, or is too short
            or of another width for a loss.
        DataError: If its labels are not the task's.
    """
    task, max_length = data.task, data.settings.max_length
    folder = resolve_folder(name)
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    if tokenizer.fingerprint != data.tokenizer.fingerprint:
        raise SettingsError(
            f"the teacher {name} and the student {data.settings.model} have different tokenizers, "
            "so that they can't read the same tokens; choose a student with the teacher's "
            "vocabulary"
        )
    if max_length > config.max_position_embeddings:
        raise SettingsError(
            f"max_length = {max_length}, but the teacher {name} has "
            f"{config.max_position_embeddings} positions; accepted: 8 to "
            f"{config.max_position_embeddings}"
        )
    require_same_labels(task, config, name=f"the teacher {name}")
    built = {n: build_loss(n, v) for n, v in (losses or _default_losses(task)).items()}
    wide = [n for n, loss in built.items() if loss.needs != "logits"]
    if wide and config.hidden_size != student_width:
        raise SettingsError(
            f"losses.{wide[0]} compares hidden states, but the teacher is "
            f"{config.hidden_size} wide and the student {student_width}; leave it out"
        )
    model = task.load_model(folder, new_head=False).to(choose_device(data.settings.device))
    reads_the_same = tokenizer.model_input_names == data.tokenizer.model_input_names
    own = None if reads_the_same else data.encode_training(tokenizer)
    return TaskTeacher(task, model, built, examples=own, pad_token_id=tokenizer.pad_token_id)


def _default_losses(task: Task) -> dict[str, dict[str, Any]]:
    return {"logit_mse" if task.targets == "real" else "soft_targets": {}}
