"""The tasks of a suite, whose data may be in memory too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck import listing
from limbeck.api._data import GivenData
from limbeck.api._task import settle_task
from limbeck.runs import DATA_FOLDER
from limbeck.train import Progress


@dataclass(frozen=True)
class SuiteTasks:
    """The tasks of a suite, on their way to its settings.

    Attributes:
        settings: The setting `tasks`.
        given: For each task whose data are in memory, these.
        out: The run's folder.
    """

    settings: Mapping[str, Any]
    given: Mapping[str, GivenData]
    out: Path

    @classmethod
    def of(cls, tasks: Mapping[str, Any], *, out: Path, progress: Progress) -> SuiteTasks:
        """Sorts the tasks that a call was given.

        Args:
            tasks: Settings of each, by name.
            out: The run's folder.
            progress: Where it is said what was inferred.

        Raises:
            SettingsError: If the task of rows in memory can't be inferred.
            DataError: If something is no rows.
        """
        known = listing.list_names(listing.ROOMS["tasks"])
        settings, given = dict(tasks), {}
        for name, task in tasks.items():
            if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
                continue
            data = given[name] = GivenData.of(task["data"])
            named = {"task": name} if name in known else {}
            found = settle_task(data, {**named, **task}, model_labels=None, progress=progress)
            settings[name] = {**task, **found, "data": data.setting(out / DATA_FOLDER / name)}
        return cls(settings, given, out)

    def write(self) -> None:
        """Writes the rows in memory into the run's folder."""
        for name, data in self.given.items():
            data.write(self.out / DATA_FOLDER / name, out=self.out)
