"""Models that were fine-tuned before, and whether they fit a task and each other."""

from __future__ import annotations

from pathlib import Path

import torch

from limbeck.errors import MissingHeadError, SettingsError
from limbeck.models import Model, ModelConfig
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import describe_missing_head
from limbeck.tasks import Task
from limbeck.tokenizers import Tokenizer


def load_fine_tuned(task: Task, folder: Path, *, name: str) -> Model:
    """Loads a model with the head that the task needs.

    Raises:
        MissingHeadError: If it has none, or one for another task.
    """
    try:
        return task.load_model(folder, new_head=False)
    except MissingHeadError as error:
        raise MissingHeadError(describe_missing_head(task, name=name)) from error


def require_same_labels(
    task: Task, config: ModelConfig, *, name: str, in_any_order: bool = False
) -> None:
    """Refuses a head whose labels are not the task's, or stand in another order.

    Args:
        task: The task.
        config: The model's configuration.
        name: The model's name, for messages.
        in_any_order: Whether the order may be another.

    Raises:
        DataError: If they are others.
        SettingsError: If they stand in another order, or a model of numbers has several.
    """
    wanted = task.head()
    given = list(config.id2label.values())
    if "num_labels" not in wanted:
        return
    if len(given) == 1 or wanted["num_labels"] == 1:
        if len(given) != wanted["num_labels"]:
            raise SettingsError(
                f"{name} has {len(given)} outputs, but the task {task.name} has "
                f"{wanted['num_labels']}; fine-tune it on this task first"
            )
        return
    places = torch.arange(len(given))
    if not torch.equal(task.align([places], given)[0], places) and not in_any_order:
        raise SettingsError(
            f"the labels of {name} ({', '.join(given)}) stand in another order than the task's; "
            f"set new_head = true, or give task_options.labels = {given}"
        )


def require_same_inputs(
    data: TaskData, config: ModelConfig, tokenizer: Tokenizer, *, name: str
) -> None:
    """Refuses a second model that can't read the token ids that a run's model reads.

    Raises:
        SettingsError: If it has another tokenizer or too few positions.
    """
    if tokenizer.fingerprint != data.tokenizer.fingerprint:
        raise SettingsError(
            f"{name} and the student {data.settings.model} have different tokenizers, so that they "
            "can't read the same tokens; choose a student with the teacher's vocabulary"
        )
    if not config.takes(data.settings.max_length):
        raise SettingsError(
            f"max_length = {data.settings.max_length}, but {name} has {config.max_tokens} "
            f"positions; accepted: 8 to {config.max_tokens}"
        )
