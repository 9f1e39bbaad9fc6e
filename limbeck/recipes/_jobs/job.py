"""One run of a recipe among several, and what went wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from limbeck import listing
from limbeck.errors import LimbeckError
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


class Failures(dict[str, str]):
    """What went wrong, by the job's name."""

    def note(self, job: Job, why: str, progress: Progress) -> None:
        """Keeps why a job failed."""
        self[job.name] = why
        progress.log(f"{job.name}: failed: {why}")

    def blocks(self, job: Job) -> bool:
        """Notes a job as failed that waits for one that has failed."""
        if job.after not in self:
            return False
        self[job.name] = f"not run, since '{job.after}' failed"
        return True

    def __str__(self) -> str:
        return "; ".join(f"{name}: {why}" for name, why in self.items())


def run_job(content: bytes, *, progress: Progress) -> str | None:
    """Runs what `Job.to_json` says, and returns why it failed, None if it did not."""
    job = json.loads(content)
    recipe, settings = job.values()
    module = listing.load("limbeck.recipes", recipe)
    try:
        module.run(module.SettingsType.from_values(settings), progress=progress)
    except LimbeckError as error:
        return str(error) or type(error).__name__
    return None
