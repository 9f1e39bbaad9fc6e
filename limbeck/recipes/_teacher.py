"""The model that a recipe makes smaller: its own score, which the others are held against."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import DataError
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.recipes.evaluate import EvaluateSettings
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.runs import FinetuneRun
from limbeck.runs import Role

FULL = "full model"
"""What a model is called in reports beside what was made of it itself."""


def list_scored_splits(data: TaskData) -> list[str]:
    """Returns the splits that are scored: validation, and test if it has labels."""
    test = data.task.splits.get("test")
    return ["validation", *(["test"] if test is not None and test.is_labelled else [])]


def evaluation_settings(
    settings: TaskSettings,
    *,
    model: str | Path,
    split: str,
    out: Path,
    label: str,
    role: Role,
    device: str,
) -> EvaluateSettings:
    """Returns what `evaluate` is told to score a model on a run's task."""
    # A task that was not given stays one that was not: errors on the data then say so.
    unset = {"task"} - settings.model_fields_set
    shared = settings.model_dump(include=set(TaskSettings.model_fields) - unset)
    return EvaluateSettings.from_values(
        {
            **shared,
            "model": str(model),
            "out": out,
            "split": split,
            "label": label,
            "role": role,
            "device": device,
        }
    )


def teacher_settings(
    settings: TaskSettings, split: str, *, label: str = "teacher"
) -> EvaluateSettings:
    """Returns what `evaluate` is told to score a run's own model.

    Args:
        settings: Of the run.
        split: What is scored.
        label: What reports call it.
    """
    return evaluation_settings(
        settings,
        model=settings.model,
        split=split,
        out=settings.out / "teacher" / split,
        label=label,
        role="teacher",
        device=settings.device,
    )


def require_something_to_keep(teacher: FinetuneRun, split: str, *, name: str) -> None:
    """Refuses a teacher that has learned nothing, before students are made of it.

    Args:
        teacher: Its evaluation.
        split: The split that it was scored on.
        name: Its name, as the user gave it.

    Raises:
        DataError: Says what it scores, and what one and the same answer would.
    """
    metric, score = teacher.result.metric, teacher.scores(split)[0]
    trivial = teacher.result.trivial.get(split)
    help_ = (
        "Are these the labels and the question that are meant?"
        if is_labeller(name)
        else "Was it fine-tuned on this task?"
    )
    if score <= 0:
        raise DataError(
            f"{name} has {metric} {score:.4f} on {split}: no share of that can be kept; accepted: "
            f"a model that scores above 0. {help_}"
        )
    if trivial is None:
        return
    if trivial.favourite is not None:
        raise DataError(
            f"{name} predicts {trivial.favourite} on {split} ({metric} {score:.4f}): there is "
            f"nothing to keep; accepted: a model that tells its examples apart. {help_}"
        )
    if score <= trivial.score:
        raise DataError(
            f"{name} has {metric} {score:.4f} on {split}, where the one answer "
            f"“{trivial.answer}” has {trivial.score:.4f}: there is nothing to keep; accepted: a "
            f"model that scores above that. {help_}"
        )
