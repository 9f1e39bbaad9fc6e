"""The examples of a fine-tuning, and whether its model can go on from where it is."""

from __future__ import annotations

from dataclasses import replace

import torch

from limbeck.checkpoints import require_weights
from limbeck.errors import SettingsError
from limbeck.methods import start_student
from limbeck.models import ModelConfig, find_class
from limbeck.recipes._machine import require_machine
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.models import match_labels
from limbeck.recipes.finetune.constraints import require_constrainable
from limbeck.recipes.finetune.replacing import require_groups
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers import find_kind
from limbeck.train import Progress


def read_data(settings: FinetuneSettings, progress: Progress) -> TaskData:
    """Reads the task's data, and checks that the model can go on from where it is.

    Raises:
        DataError: If the data can't be used.
        MissingHeadError: If the model is to keep its head and has another one.
        SettingsError: If this machine or the model can't do what the settings ask for.
    """
    require_machine(settings)
    kind = None if settings.teacher is None else find_kind(settings.teacher)
    brings_rows = kind is not None and kind.brings_rows
    data = TaskData.read(
        settings,
        needed=("validation",) if brings_rows else ("train", "validation"),
        optional=("train", "test") if kind is None else ("train", "test", "transfer"),
        use_model_labels=not settings.new_head,
        progress=progress,
    )
    if kind is not None:
        data = kind.add_rows(settings, data, progress)
    data.require_rows_to_learn()
    if not data.task.is_trainable:
        raise SettingsError(
            f"task = '{settings.task}' has nothing to fine-tune: it is evaluated zero-shot, with "
            "limbeck evaluate"
        )
    if settings.initialise == "pretrained":
        require_weights(data.folder)
    try:
        find_class(data.config.model_type, data.task.auto_model.kind)
    except SettingsError as error:
        raise SettingsError(
            f"model = {settings.model} has no head for task = '{settings.task}': {error}"
        ) from None
    if settings.initialise == "pretrained" and not settings.new_head:
        require_head(data.task, data.folder, name=settings.model)
        data = replace(data, task=match_labels(data.task, data.config, name=settings.model))
    student = trained_config(settings, data)
    if settings.replacing is not None:
        require_groups(settings, data.config, student)
    if settings.sparsify is not None or settings.quantise is not None:
        with torch.device("meta"):  # shapes alone
            require_constrainable(data.task.auto_model.from_config(student), settings)
    return data


def trained_config(settings: FinetuneSettings, data: TaskData) -> ModelConfig:
    """Returns the configuration of what is trained, which a student's start may have changed.

    Raises:
        SettingsError: If the start can't be made of the model.
    """
    if not settings.methods:
        return data.config
    # What is trained draws its weights later, by the seed: most methods ask for shapes alone.
    needs_weights = any(method.needs_weights for method in settings.methods)
    with torch.random.fork_rng(devices=()), torch.device("cpu" if needs_weights else "meta"):
        if needs_weights and settings.initialise == "pretrained":
            model = data.task.load_model(data.folder, new_head=settings.new_head)
        else:
            model = data.task.new_model(data.folder)
        try:
            return start_student(model, settings.methods).config
        except SettingsError as error:
            name = "start" if settings.keep_layers is None else "keep_layers"
            raise SettingsError(f"{name}, of {settings.model}: {error}") from error
