"""The model that is made smaller: its data, and its own score, of which a share is to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.errors import DataError
from limbeck.recipes import evaluate
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.models import load_fine_tuned, match_labels
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.labeller import find_labeller, score_labeller
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.runs import FinetuneRun, read_finetune_run
from limbeck.runs import EvaluateRecord, Role
from limbeck.train import Progress

SPLIT = "validation"
"""The split that chooses."""


def read_teacher_data(settings: CompressSettings, progress: Progress) -> TaskData:
    """Reads the task's data, and checks that the model was fine-tuned on the task.

    Raises:
        DataError: If the data can't be used, or their labels are not the model's.
        MissingHeadError: If the model has no head for the task.
    """
    data = TaskData.read(
        _settings_of(settings, SPLIT),
        needed=(SPLIT,),
        optional=("train", "test", "transfer"),  # those of the students, to tell if they change
        use_model_labels=True,
        any_family=True,
        progress=progress,
    )
    if "train" not in data.task.splits:
        raise DataError(
            f"data = {settings.data!r} has no train split, which the students need (it has: "
            f"{', '.join(data.task.splits)}); give it with data.train=FILE"
        )
    require_head(data.task, data.folder, name=settings.model)
    match_labels(data.task, data.config, name=settings.model)
    load_fine_tuned(data.task, data.folder, name=settings.model)
    return data


def list_scored_splits(data: TaskData) -> list[str]:
    """Returns the splits that are scored: validation, and test if it has labels."""
    test = data.task.splits.get("test")
    return [SPLIT, *(["test"] if test is not None and test.is_labelled else [])]


def evaluate_teacher(
    settings: CompressSettings,
    data: TaskData,
    candidates: Sequence[Candidate],
    progress: Progress,
) -> FinetuneRun:
    """Scores the teacher on validation, and on test if that can be scored, unless done before.

    Raises:
        DataError: If it has learned nothing.
    """
    for split in list_scored_splits(data):
        if not EvaluateRecord.exists(settings.out / "teacher" / split):
            progress.log(f"scoring {settings.model} on {split}")
            of_split = _settings_of(settings, split)
            labeller = find_labeller(candidates, data)
            if labeller is None:
                evaluate.run(of_split, progress=progress)
            else:
                score_labeller(of_split, labeller, data, progress=progress)
    found = read_finetune_run(settings.out / "teacher" / SPLIT)
    _require_something_to_keep(found, name=settings.model)
    return found


def evaluation_settings(
    settings: CompressSettings,
    *,
    model: str | Path,
    split: str,
    out: Path,
    label: str,
    role: Role,
    device: str,
) -> evaluate.EvaluateSettings:
    """Returns what `evaluate` is told to score a model on the run's task."""
    # A task that was not given stays one that was not: errors on the data then say so.
    unset = {"task"} - settings.model_fields_set
    shared = settings.model_dump(include=set(TaskSettings.model_fields) - unset)
    return evaluate.EvaluateSettings.from_values(
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


def _settings_of(settings: CompressSettings, split: str) -> evaluate.EvaluateSettings:
    return evaluation_settings(
        settings,
        model=settings.model,
        split=split,
        out=settings.out / "teacher" / split,
        label="teacher",
        role="teacher",
        device=settings.device,
    )


def _require_something_to_keep(teacher: FinetuneRun, *, name: str) -> None:
    """Refuses a teacher that has learned nothing, before students are made of it."""
    metric, score = teacher.result.metric, teacher.scores(SPLIT)[0]
    trivial = teacher.result.trivial.get(SPLIT)
    help_ = (
        "Are these the labels and the question that are meant?"
        if is_labeller(name)
        else "Was it fine-tuned on this task?"
    )
    if score <= 0:
        raise DataError(
            f"{name} has {metric} {score:.4f} on {SPLIT}: no share of that can be kept; accepted: "
            f"a model that scores above 0. {help_}"
        )
    if trivial is None:
        return
    if trivial.favourite is not None:
        raise DataError(
            f"{name} predicts {trivial.favourite} on {SPLIT} ({metric} {score:.4f}): there is "
            f"nothing to keep; accepted: a model that tells its examples apart. {help_}"
        )
    if score <= trivial.score:
        raise DataError(
            f"{name} has {metric} {score:.4f} on {SPLIT}, where the one answer "
            f"“{trivial.answer}” has {trivial.score:.4f}: there is nothing to keep; accepted: a "
            f"model that scores above that. {help_}"
        )
