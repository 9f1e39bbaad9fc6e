"""The settings of one model on one task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from limbeck.checkpoints import short_name
from limbeck.config import Shown
from limbeck.recipes._settings import PlaceSettings, RunSettings
from limbeck.runs import Role


class TaskSettings(PlaceSettings, RunSettings):
    """A model and a task's data."""

    model: Shown[str]
    """Model folder or Hub id."""
    data: Shown[str | dict[str, str] | None] = None
    """Folder with train, validation and test files, `hf://owner/name[:config]`, or a table with one
    file, glob or `hf://owner/name[:config]#split` per split; by default what the Hub has."""
    out: Shown[Path]
    """Run folder; the same command given again goes on where a run stopped."""
    task: Shown[str] = "sst2"
    """Task, as `limbeck list tasks` shows it. What is not given of task, options and `max_length`,
    `evaluate` and `compress` take as the model was fine-tuned, from its `limbeck.json`."""
    task_options: dict[str, Any] = Field(default_factory=dict)
    """The task's own options, such as its columns: `task_options.text_column=review`; `limbeck init
    TASK` shows them."""

    task_label: str | None = None
    """Name of the task in reports; by default that of `task`."""

    max_length: Shown[int] = Field(default=128, ge=8)
    """Longest input in tokens, special tokens included; longer ones are cut."""
    evaluation_batch_size: int = Field(default=64, ge=1)
    """Examples predicted at a time."""

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        return {"model": self.model}


class TaskRunSettings(TaskSettings):
    """One model of a report on a task."""

    label: str | None = None
    """Name of the model in reports; by default that of the run's folder, or of the model's where it
    is scored only."""
    role: Role | None = None
    """Part of the model in reports; by default `student` where it learns from a `teacher`, else
    `other`."""

    def default_names(self) -> tuple[str, Role]:
        """Returns the label and the role of a model that the settings give none."""
        return short_name(self.model), "other"
