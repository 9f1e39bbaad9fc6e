"""One run of a recipe among several, and what went wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from limbeck import listing
from limbeck.errors import LimbeckError, SettingsError
from limbeck.recipes._inputs import hash_present_models
from limbeck.recipes._settings import RunSettings
from limbeck.runs import ResultRecord, RunRecord
from limbeck.runs.sameness import Changes, find_changes, require_same_run
from limbeck.system_errors import machine_errors
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that is to be made.

    Attributes:
        name: What it is called in progress and errors; no two have the same.
        recipe: The recipe that runs it.
        settings: Of the run.
        after: Name of the job that has to finish first, or None.
        share: Of its steps that are made; below 1 for a run that is left there, and goes on later.
    """

    name: str
    recipe: str
    settings: RunSettings
    after: str | None = None
    share: float = 1.0

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return self.settings.out

    @property
    def takes_any_device(self) -> bool:
        """Whether it may be given one of several GPUs."""
        return getattr(self.settings, "device", None) == "auto"

    @property
    def is_finished(self) -> bool:
        """Whether its folder holds the result of just these settings and models."""
        return self._has_result and not self._changes()

    @property
    def is_begun(self) -> bool:
        """Whether its folder holds a run of just these settings and models, finished or not."""
        return RunRecord.exists(self.folder) and not self._changes()

    def require_same_models(self) -> None:
        """Refuses a result that is of another content of a model than is there now.

        Raises:
            DataError: Names the model and what helps.
        """
        if self._has_result and (inputs := self._changes().inputs):
            record = RunRecord.read(self.folder)
            require_same_run(self.folder, record, Changes(inputs=inputs))

    @property
    def _has_result(self) -> bool:
        return RunRecord.exists(self.folder) and ResultRecord.exists(self.folder)

    def _changes(self) -> Changes:
        inputs = hash_present_models(self.settings.named_models())
        record = RunRecord.read(self.folder)
        return find_changes(record, self.recipe, self.settings, inputs=inputs)

    def to_json(self) -> bytes:
        """Returns the recipe and its settings, for another process.

        Those that were not given stay so: a recipe may take them from a model that remembers.
        """
        given = self.settings.model_dump(mode="json", exclude_unset=True)
        values = {"recipe": self.recipe, "settings": given, "share": self.share}
        return json.dumps(values).encode()


JobT = TypeVar("JobT", bound=Job)


def find_waiting(jobs: Sequence[JobT]) -> list[JobT]:
    """Returns the jobs that are to be run: those not finished, and those after one of them."""
    waiting: dict[str, JobT] = {}
    for job in jobs:
        if job.after in waiting or not job.is_finished:
            waiting[job.name] = job
    return list(waiting.values())


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
        with machine_errors():
            settings = module.SettingsType.from_values(job["settings"])
            if job["share"] < 1:
                module.begin(settings, share=job["share"], progress=progress)
            else:
                module.run(settings, progress=progress)
    except LimbeckError as error:
        why = str(error) or type(error).__name__
        return Failure(why=why, is_of_settings=isinstance(error, SettingsError))
    return None
