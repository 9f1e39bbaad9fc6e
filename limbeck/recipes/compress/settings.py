"""The settings of `compress`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from limbeck.config import Shown
from limbeck.errors import SettingsError
from limbeck.recipes._secrets import without_secret
from limbeck.recipes._settings import LearningSettings, refuse_percent, take_one
from limbeck.recipes._tasks.settings import TaskSettings

_BOUNDS = ("max_latency_ms", "max_size_mb", "max_memory_mb")


class CompressSettings(LearningSettings, TaskSettings):
    """A fine-tuned model, its task, and what a smaller one has to keep."""

    model: Shown[str]
    """Folder or Hub id of a fine-tuned model; with `student` also another teacher: a file of
    predictions or a server, as `teacher` of `finetune`."""
    out: Shown[Path] = Path("compressed")
    """Run folder; the same command given again goes on where a run stopped."""

    retain: Shown[float] = Field(default=0.97, gt=0, le=1)
    """Share of the model's validation score that a student has to keep; the student's score is the
    median over its seeds."""
    depths: tuple[int, ...] | None = None
    """Depths of the students that are made of the model's own layers, evenly spaced from the first
    on; by default 2/3, 1/2, 1/3 and 1/4 of its depth, or none where `student` is given."""
    widths: tuple[float, ...] | None = None
    """Shares of the heads and inner neurons of each layer, such as 0.5, that further students keep,
    at the full depth and at each of `depths`: those without which the loss on training rows would
    change most. With a bound, 0.5 by default where neither `depths` nor `student` is given."""
    vocabulary: tuple[Literal["whole", "trimmed"], ...] | None = None
    """Vocabularies that students have, one or both: `whole`, or `trimmed` to the pieces that the
    task's own training texts use, which makes the table of words smaller; a search tries the model
    itself so too. By default `whole`, and with `max_size_mb` or `max_memory_mb` both where neither
    `depths` nor `student` is given."""
    min_count: tuple[int, ...] = Field(default=(1,), min_length=1)
    """A piece that the training texts have less often goes, where a vocabulary is trimmed; of
    several numbers each is tried."""
    student: Shown[str | tuple[str, ...] | None] = None
    """One or more encoders, such as generally distilled ones, to try as they are, each with a new
    head."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Every student is trained once for each."""

    max_latency_ms: Shown[float | None] = Field(default=None, gt=0, allow_inf_nan=False)
    """Most milliseconds for one text at a time, tokenisation included: the median over texts of the
    validation split, on this machine's processor. With a bound, students are exported too, and what
    keeps the share within all bounds is searched for."""
    max_size_mb: Shown[float | None] = Field(default=None, gt=0, allow_inf_nan=False)
    """Most megabytes (10^6 bytes) of the files that are run."""
    max_memory_mb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Most megabytes (10^6 bytes) by which a new process grows that loads the model and answers."""
    engine: str | None = None
    """What is to run the model, as `limbeck list engines` shows it; by default what is installed
    of those that run on a processor."""
    targets: tuple[str, ...] | None = None
    """Formats that may be tried: `torch`, which is no export, and those of `limbeck list targets`;
    by default the usual ones of the engines."""
    prefer: Literal["smallest", "fastest"] = "smallest"
    """What is taken of several that keep the contract: the smallest file, or the fastest."""
    budget_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Most hours of training, all students together; one that would not fit is not begun, or is
    left where it is."""

    workers: int = Field(default=1, ge=1)
    """Processes to spread the students over; they share the processor's cores. With `device =
    "auto"` they take the machine's GPUs in turns, one each."""
    finetune: dict[str, Any] = Field(default_factory=dict)
    """Further settings of `finetune` for every student, such as `finetune.patience=2`."""

    _take_one = field_validator(
        "depths", "widths", "vocabulary", "min_count", "targets", mode="before"
    )(take_one)
    _refuse_percent = field_validator("retain", mode="before")(refuse_percent)

    @field_validator("model")
    @classmethod
    def _refuse_secret(cls, name: str) -> str:
        return without_secret(name, setting="model")

    @field_validator("widths")
    @classmethod
    def _check_widths(cls, widths: tuple[float, ...] | None) -> tuple[float, ...] | None:
        given = widths or ()
        if len(set(given)) < len(given) or not all(0 < share < 1 for share in given):
            raise ValueError("give each share once, above 0 and below 1, such as 0.5")
        return widths

    @field_validator("depths")
    @classmethod
    def _check_depths(cls, depths: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if depths is not None and (len(set(depths)) < len(depths) or min(depths, default=1) < 1):
            raise ValueError("give each depth once, and none below 1")
        return depths

    @field_validator("vocabulary")
    @classmethod
    def _check_vocabulary(cls, given: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if given is not None and (not given or len(set(given)) < len(given)):
            raise ValueError("give whole, trimmed or both, each once")
        return given

    @field_validator("min_count")
    @classmethod
    def _check_min_count(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(given)) < len(given) or min(given, default=1) < 1:
            raise ValueError("give each number once, and none below 1")
        return given

    @field_validator("targets")
    @classmethod
    def _check_targets(cls, targets: tuple[str, ...] | None) -> tuple[str, ...] | None:
        names = [name.replace("-", "_") for name in targets or ()]
        if targets is not None and (not names or len(set(names)) < len(names)):
            raise ValueError("give at least one format, and each once")
        return targets

    @model_validator(mode="after")
    def _require_a_search(self) -> Self:
        if self.is_search:
            return self
        if self.budget_hours is not None or self.prefer != "smallest":
            name = "prefer" if self.budget_hours is None else "budget_hours"
            raise SettingsError(
                f"{name} = {getattr(self, name)} is of a search, and nothing asks for one; give "
                f"{', '.join(_BOUNDS)}, engine or targets"
            )
        return self

    @model_validator(mode="after")
    def _require_trimming(self) -> Self:
        if self.min_count != (1,) and "trimmed" not in self.vocabularies:
            raise SettingsError(
                f"min_count = {', '.join(map(str, self.min_count))} chooses among the pieces of a "
                "trimmed vocabulary, and none is tried; add vocabulary=trimmed, or leave it out"
            )
        return self

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """The vocabularies that are tried."""
        if self.vocabulary is not None:
            return self.vocabulary
        is_of_size = self.max_size_mb is not None or self.max_memory_mb is not None
        is_told = self.depths is not None or self.student is not None
        return ("whole", "trimmed") if is_of_size and not is_told else ("whole",)

    @property
    def is_search(self) -> bool:
        """Whether formats and bounds count, not layers alone."""
        names = (*_BOUNDS, "engine", "targets")
        return any(getattr(self, name) is not None for name in names)
