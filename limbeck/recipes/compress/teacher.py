"""The model that is made smaller: its data, and its own score, of which a share is to be kept."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.checkpoints import require_no_exits
from limbeck.errors import DataError
from limbeck.recipes import evaluate
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.models import load_fine_tuned, match_labels
from limbeck.recipes._teacher import (
    list_scored_splits,
    require_something_to_keep,
    teacher_settings,
)
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.labeller import find_labeller, score_labeller
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.report.runs import FinetuneRun, read_finetune_run
from limbeck.runs import EvaluateRecord
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
        teacher_settings(settings, SPLIT),
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
    require_no_exits(data.folder, "students are made of its layers alone")
    require_head(data.task, data.folder, name=settings.model)
    match_labels(data.task, data.config, name=settings.model)
    load_fine_tuned(data.task, data.folder, name=settings.model)
    return data


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
            of_split = teacher_settings(settings, split)
            labeller = find_labeller(candidates, data)
            if labeller is None:
                evaluate.run(of_split, progress=progress)
            else:
                score_labeller(of_split, labeller, data, progress=progress)
    found = read_finetune_run(settings.out / "teacher" / SPLIT)
    require_something_to_keep(found, SPLIT, name=settings.model)
    return found
