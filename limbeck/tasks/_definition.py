"""What a module of this room offers: options, a reader, and where the usual data are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field, create_model

from limbeck.config import Settings, read_options
from limbeck.sources import Data
from limbeck.tasks._base import Task

SomeSettings = TypeVar("SomeSettings", bound=Settings)


class Reader(Protocol):
    """Reads a task's data set."""

    def __call__(
        self,
        name: str,
        data: Data,
        *,
        settings: Any,
        labels: Sequence[str] | None = None,
    ) -> Task:
        """Returns the task with its data.

        Args:
            name: The task's name, for reports.
            data: A folder, a Hub data set, or a file for each split.
            settings: The task's options, of the class that its definition names.
            labels: Those of a fine-tuned model; they count where nothing else fixes the labels.

        Raises:
            DataError: If the data can't be used; the message names file and line.
        """


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """A task before any data are read; each public module of the room has one as `TASK`.

    Attributes:
        settings: The class of its options.
        read: Reads its data.
        hub: Its usual data set, `hf://owner/name[:config]`; None where there is none.
        folder_cuts: Whether a sentence model's folder says where texts are cut, if none else does.
    """

    settings: type[Settings]
    read: Reader
    hub: str | None = None
    folder_cuts: bool = False

    def read_options(self, values: Mapping[str, Any]) -> Settings:
        """Returns the task's options from what the setting `task_options` holds.

        Raises:
            SettingsError: If an option is unknown or wrong.
        """
        return read_options(self.settings, values, name="task_options")


def with_defaults(settings: type[SomeSettings], **defaults: Any) -> type[SomeSettings]:
    """Returns a class of settings that differs from another in its defaults only.

    Args:
        settings: The other class.
        defaults: By name.

    Example:
        >>> from limbeck.tasks._texts import TextSettings
        >>> with_defaults(TextSettings, text_column="sentence")().text_column
        'sentence'
    """
    fields: dict[str, Any] = {}
    for name, value in defaults.items():
        field = settings.model_fields[name]
        accepted: Any = field.annotation
        for constraint in field.metadata:
            accepted = Annotated[accepted, constraint]
        fields[name] = (accepted, Field(value, description=field.description))
    return create_model(settings.__name__, __base__=settings, __module__=__name__, **fields)
