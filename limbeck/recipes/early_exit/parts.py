"""The examples that exits learn from, those that choose the bound, and those that are reported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from limbeck.errors import DataError, SettingsError
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.models import match_labels
from limbeck.recipes._teacher import FULL, evaluation_settings, list_scored_splits
from limbeck.recipes.early_exit.settings import EarlyExitSettings
from limbeck.report import figures
from limbeck.tasks import Split
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A task's data, divided.

    Attributes:
        data: All of them.
        choosing: What the bound is chosen on, as `validation`.
        reported: What is reported, its only split.
    """

    data: TaskData
    choosing: TaskData
    reported: TaskData

    @classmethod
    def read(cls, settings: EarlyExitSettings, progress: Progress) -> Self:
        """Reads the data, and checks that the model answers the task.

        Raises:
            DataError: If they can't be used, or their labels are not the model's.
            MissingHeadError: If the model has no head for the task.
            SettingsError: If the task has more than one answer a text.
        """
        shared = evaluation_settings(
            settings,
            model=settings.model,
            split="validation",
            out=settings.out,
            label=FULL,
            role="teacher",
            device=settings.device,
        )
        data = TaskData.read(
            shared,
            needed=("train", "validation"),
            optional=("test", "transfer"),
            use_model_labels=True,
            progress=progress,
        )
        if data.task.auto_model.kind is not SEQUENCE_CLASSIFICATION:
            raise SettingsError(
                f"task = '{settings.task}' has no one answer a text that could be sure while the "
                "others of the text are not, by which an input would leave; accepted: tasks that "
                "classify or rate texts or pairs"
            )
        require_head(data.task, data.folder, name=settings.model)
        data = replace(data, task=match_labels(data.task, data.config, name=settings.model))
        validation = data.task.splits["validation"]
        if list_scored_splits(data)[-1] == "test":
            return cls(data=data, choosing=_only(data, validation), reported=_only(data, "test"))
        return cls._halve(data, validation)

    @classmethod
    def _halve(cls, data: TaskData, validation: Split) -> Self:
        """Divides validation where there is no other split with labels."""
        if len(validation.examples) < 2:
            raise DataError(
                f"data = {data.settings.data!r} has one validation example and no labelled test, "
                "and a bound is chosen on other examples than it is reported on; accepted: two or "
                "more"
            )
        halves = (Split("validation", validation.examples[start::2]) for start in (0, 1))
        choosing, reported = (_only(data, half) for half in halves)
        return cls(data=data, choosing=choosing, reported=reported)

    @property
    def split(self) -> str:
        """Name of the split that is reported."""
        (name,) = self.reported.examples
        return name

    @property
    def num_tokens(self) -> int:
        """Mean length of the rows that are reported, in tokens."""
        return max(1, round(float(self.reported.examples[self.split].lengths.mean())))

    def describe(self) -> str:
        """Says which examples the bound was chosen on."""
        number = figures.count(len(self.choosing.task.splits["validation"].examples))
        if self.split == "test":
            return f"on the {number} validation examples"
        return f"on every second validation example ({number})"

    def describe_reported(self) -> str:
        """Says in a sentence which examples are reported."""
        if self.split == "test":
            return "The report is on test."
        return "The report is on the others, since there is no labelled test."


def _only(data: TaskData, split: str | Split) -> TaskData:
    """Returns a task's data with one split alone."""
    if isinstance(split, str):
        found, encoded = data.task.splits[split], data.examples[split]
    else:
        found = split
        encoded = data.task.encode(found, data.tokenizer, max_length=data.settings.max_length)
    task = replace(data.task, splits={found.name: found})
    return replace(data, task=task, examples={found.name: encoded})
