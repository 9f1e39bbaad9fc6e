"""What a compression would come to: whether its students can be made, in which steps and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from limbeck.checkpoints import resolve_folder
from limbeck.errors import LimbeckError
from limbeck.recipes._machine import require_machine
from limbeck.recipes._tasks.data import TaskData, read_inputs, require_inputs
from limbeck.recipes._tasks.models import load_fine_tuned
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.finetune.data import trained_config
from limbeck.recipes.finetune.distillation import Distillation
from limbeck.recipes.finetune.forecast import (
    Pace,
    count_rows,
    count_steps,
    describe_time,
    estimate_seconds,
    measure,
    take_sample,
    time_predictions,
)
from limbeck.recipes.finetune.shared_steps import share_steps
from limbeck.train import Progress, choose_device


def require_students(candidates: Sequence[Candidate], data: TaskData) -> None:
    """Refuses students that can't be made or can't learn, rather than after the teacher was scored.

    Raises:
        LimbeckError: As the fine-tuning of the student would, with the student's name.
    """
    for candidate in candidates:
        settings = candidate.settings
        try:
            require_machine(settings)
            folder = resolve_folder(settings.model)
            config, tokenizer = read_inputs(folder)
            require_inputs(settings.max_length, config=config, tokenizer=tokenizer)
            own = replace(
                data, settings=settings, folder=folder, config=config, tokenizer=tokenizer
            )
            trained_config(settings, own)
            Distillation.prepare(settings, own)
        except LimbeckError as error:
            raise type(error)(f"the student '{candidate.name}': {error}") from error


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a compression would come to.

    Attributes:
        steps: Of a seed of each student, by its name; the most, where time ends it.
        seconds: Of each student, all seeds together.
        teacher_seconds: Of the teacher, that is scored and whose outputs all students learn from.
    """

    steps: dict[str, int]
    seconds: dict[str, float]
    teacher_seconds: float

    def to_plan(self) -> dict[str, Any]:
        """Returns what a dry run says of it."""
        total = self.teacher_seconds + sum(self.seconds.values())
        return {
            "steps": self.steps,
            "time": {name: describe_time(seconds) for name, seconds in self.seconds.items()},
            "time_of_all": f"{describe_time(total)}, one after the other, by two steps of each on "
            "this machine; measuring speed at the end comes on top",
            "total_seconds": round(total),
        }


def forecast(
    candidates: Sequence[Candidate], data: TaskData, *, has_model: bool, progress: Progress
) -> Forecast:
    """Measures a step or two of each student, and the teacher's predictions.

    Args:
        candidates: The students.
        data: The teacher's, or the first student's where the teacher is no model.
        has_model: Whether it is one.
        progress: Where it is told what is timed.
    """
    first = take_sample(data.settings, data.task, any_family=True)
    num_rows = count_rows(first)
    row = 0.0
    if has_model:
        teacher = load_fine_tuned(data.task, data.folder, name=data.settings.model)
        row = time_predictions(teacher.to(choose_device(data.settings.device)), first)
    paces = measure_candidates(candidates, data, progress)
    minutes = candidates[0].settings.max_minutes  # the same for all, a setting of `finetune`
    if minutes is not None:
        slowest = max(pace.seconds_per_step for pace in paces.values())
        num_steps = share_steps(minutes, seconds_per_step=slowest)
        candidates = [candidate.within(num_steps) for candidate in candidates]
    steps, seconds = {}, {}
    for candidate in candidates:
        settings = candidate.settings
        steps[candidate.name] = count_steps(settings, num_rows)
        seconds[candidate.name] = estimate_seconds(
            settings, paces[candidate.name], num_rows, teacher_seconds_per_row=row
        )
    cached = any(candidate.settings.teacher_cache is not None for candidate in candidates)
    read = ("train", "transfer", "validation", "test") if cached else ("validation", "test")
    return Forecast(
        steps=steps,
        seconds=seconds,
        teacher_seconds=row * sum(num_rows.get(split, 0) for split in read),
    )


def measure_candidates(
    candidates: Sequence[Candidate], data: TaskData, progress: Progress
) -> dict[str, Pace]:
    """Returns each student's pace by its name."""
    found = {}
    with progress.stage(
        "Timing two steps of each student", total=len(candidates), unit="students"
    ) as stage:
        for candidate in candidates:
            sample = take_sample(candidate.settings, data.task)
            found[candidate.name] = measure(candidate.settings, sample)
            stage.advance()
    return found
