"""What a model is fine-tuned for: how examples are read and encoded, which head, which metrics.

Every public module here is a task and offers a `TaskDefinition` as `TASK`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.errors import DataError, SettingsError
from limbeck.listing import load
from limbeck.sources import Data
from limbeck.tasks._base import PADDING, Task, remove_padding, restore_padding
from limbeck.tasks._batches import TrainBatches, collate, evaluation_batches
from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import SPLITS, EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._labels import LabelSet, has_names
from limbeck.tasks._spans import BatchSpans, Spans, share_characters
from limbeck.tasks._texts import (
    MissingColumnError,
    TextEncoding,
    TextExample,
    TextSettings,
    read_text,
)

__all__ = [
    "PADDING",
    "SPLITS",
    "BatchSpans",
    "EncodedExample",
    "EncodedExamples",
    "LabelSet",
    "Record",
    "Spans",
    "Split",
    "Task",
    "TaskBatch",
    "TaskDefinition",
    "TextEncoding",
    "TextExample",
    "TextSettings",
    "TrainBatches",
    "collate",
    "evaluation_batches",
    "has_names",
    "load_task",
    "read_task",
    "read_text",
    "remove_padding",
    "restore_padding",
    "share_characters",
]


def load_task(name: str) -> TaskDefinition:
    """Returns a task before any data are read.

    Raises:
        SettingsError: If there is no task of that name.
    """
    definition: TaskDefinition = load(__name__, name).TASK
    return definition


def read_task(
    name: str,
    data: Data | None,
    *,
    options: Mapping[str, Any] | None = None,
    labels: Sequence[str] | None = None,
) -> Task:
    """Reads a task's data set.

    Args:
        name: A task's name, as `limbeck list tasks` shows it.
        data: A folder with train, validation and test files, `hf://owner/name[:config]`, or for
            each split one file, glob, `hf://owner/name[:config]#split`, list of dictionaries,
            `datasets.Dataset`, or pandas or polars frame; None for the task's usual data set on
            the Hub.
        options: The task's own options, such as `{"text_column": "review"}`.
        labels: The labels that a fine-tuned model knows, in the order of its logits; they count
            where neither the options nor the task itself fix the labels.

    Raises:
        SettingsError: If the task or an option is unknown.
        DataError: If the data can't be used; the message names file and line.
    """
    definition = load_task(name)
    settings = definition.read_options(options or {})
    if data is None:
        data = definition.hub
        if data is None:
            raise SettingsError(
                f"task = '{name}' has no usual data set; give data=FOLDER, or data.train=FILE and "
                "data.validation=FILE"
            )
    try:
        return definition.read(name.replace("_", "-"), data, settings=settings, labels=labels)
    except MissingColumnError as error:
        if error.option in settings.model_fields_set:
            raise
        raise DataError(
            f"{error} That column is what task = {name} expects; for another kind of data set give "
            "another task=..., as limbeck list tasks shows them."
        ) from None
