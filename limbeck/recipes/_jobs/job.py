"""One run of a recipe among several, and what went wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from limbeck import listing
from limbeck.errors import LimbeckError, SettingsError
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.runs import ResultRecord, RunRecord
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that is to be made.

    Attributes:
        name: What it is called in progress and errors; no two have the same.
        recipe: The recipe that runs it.
        settings: Of the run.
        after: Name of the job that has to finish first, or None.
    """

    name: str
    recipe: str
    settings: TaskSettings
    after: str | None = None

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return self.settings.out

    @property
    def is_finished(self) -> bool:
        """Whether its folder holds the result of exactly these settings."""
        if not (RunRecord.exists(self.folder) and ResultRecord.exists(self.folder)):
            return False
        before = RunRecord.read(self.folder).settings_of(type(self.settings))
        return before == self.settings.model_dump(mode="json")

    def to_json(self) -> bytes:
        """Returns the recipe and its settings, for another process."""
        values = {"recipe": self.recipe, "settings": self.settings.model_dump(mode="json")}
        return json.dumps(values).encode()


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a job failed.

    Attributes:
        why: In words.
        is_of_settings: Whether its settings were wrong, which no other try mends.
    """

    why: str
    is_of_settings: bool = False


class Failures(dict[str, str]):
    """What went wrong, by the job's name.

    Attributes:
        of_settings: Names of the jobs whose settings were wrong.
    """

    def __init__(self, *args: Mapping[str, str], **kwargs: str) -> None:
        super().__init__(*args, **kwargs)
        self.of_settings: set[str] = set()

    @property
    def are_of_settings(self) -> bool:
        """Whether all are settings that were wrong."""
        return self.of_settings == self.keys()

    def note(self, job: Job, failure: Failure, progress: Progress) -> None:
        """Keeps why a job failed."""
        self[job.name] = failure.why
        if failure.is_of_settings:
            self.of_settings.add(job.name)
        progress.log(f"{job.name}: failed: {failure.why}")

    def blocks(self, job: Job) -> bool:
        """Notes a job as failed that waits for one that has failed."""
        if job.after not in self:
            return False
        self[job.name] = f"not run, since '{job.after}' failed"
        return True

    def __str__(self) -> str:
        return "; ".join(f"{name}: {why}" for name, why in self.items())


def run_job(content: bytes, *, progress: Progress) -> Failure | None:
    """Runs what `Job.to_json` says, and returns why it failed, None if it did not."""
    job = json.loads(content)
    module = listing.load("limbeck.recipes", job["recipe"])
    try:
        module.run(module.SettingsType.from_values(job["settings"]), progress=progress)
    except LimbeckError as error:
        why = str(error) or type(error).__name__
        return Failure(why=why, is_of_settings=isinstance(error, SettingsError))
    return None
