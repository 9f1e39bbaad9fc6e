"""A teacher that is no model: a file of predictions or a server, with a score but no layers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from limbeck.errors import SettingsError
from limbeck.recipes import evaluate
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.finetune.teachers import (
    Labeller,
    ModelTeacher,
    find_kind,
    find_teacher,
    is_labeller,
)
from limbeck.runs import EvaluateRecord, ModelSize
from limbeck.train import Progress


def require_score(name: str) -> None:
    """Refuses what teaches, but has no score of which a share could be kept.

    Raises:
        SettingsError: Says what it is and which command takes it.
    """
    kind = find_kind(name)
    if not issubclass(kind, (Labeller, ModelTeacher)):
        raise SettingsError(
            f"model = {name} is {kind.about}, which has no score to keep a share of; accepted: a "
            "model, a file of predictions, a server that labels. `limbeck finetune model=STUDENT "
            f"teacher={name}` learns from it"
        )


def find_labeller(candidates: Sequence[Candidate], data: TaskData) -> Labeller | None:
    """Returns the students' teacher if it is no model, else None.

    Args:
        candidates: The students, all of the same teacher.
        data: The first one's.
    """
    settings = candidates[0].settings
    if not is_labeller(str(settings.teacher)):
        return None
    teacher = find_teacher(settings, data)
    assert isinstance(teacher, Labeller)
    return teacher


def score_labeller(
    settings: evaluate.EvaluateSettings,
    labeller: Labeller,
    data: TaskData,
    *,
    progress: Progress,
) -> EvaluateRecord:
    """Scores what a teacher says of a split, as `evaluate` scores what a model does.

    Args:
        settings: Of the run that it becomes.
        labeller: The teacher.
        data: The first student's.
        progress: Where it reports.
    """
    started = time.perf_counter()
    split = data.task.splits[settings.split]
    rows = data.examples[settings.split]
    said = labeller.predict(data, settings.split, progress)
    path = Path(settings.model)
    num_bytes = path.stat().st_size if path.is_file() else 0
    return evaluate.keep_predictions(
        settings,
        replace(data, settings=settings),
        predict=lambda: data.task.predict(split, rows, said),
        size=ModelSize(num_layers=0, num_parameters=0, file_bytes=num_bytes),
        adapter=None,
        started=started,
    )
