"""What a suite has to run: which tasks have data, and one fine-tuning for each model on each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import DataError, SettingsError
from limbeck.files import sha256_of_texts
from limbeck.recipes import evaluate
from limbeck.recipes._jobs import Job
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.recipes.finetune.distillation import learns_from_logits
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.suite.settings import (
    ABOUT_TEACHER,
    SuiteModel,
    SuiteSettings,
    SuiteTask,
)
from limbeck.runs import ExamplesRecord
from limbeck.tasks import Split, Task, read_task

_HUB = "hf://"


@dataclass(frozen=True, kw_only=True)
class SuiteJob(Job):
    """One model on one task.

    Attributes:
        settings: Of the run.
        task: Name of the task in the suite.
        label: The model's label.
        teacher: Label of the model that this one learns from on the same task, or None.
    """

    settings: TaskSettings
    task: str
    label: str
    teacher: str | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a suite would run.

    Attributes:
        jobs: Each after the one that it waits for.
        missing: Tasks that can't be run for lack of data, and why.
        broken: Tasks whose data are there and can't be read, and why.
        examples: For each task, the SHA-256 over the examples and labels of each split.
        tasks: Those that can be run, with their examples.
    """

    jobs: tuple[SuiteJob, ...]
    missing: dict[str, str]
    broken: dict[str, str]
    examples: dict[str, dict[str, str]]
    tasks: dict[str, Task]

    def job(self, name: str) -> SuiteJob:
        """Returns the job of a name."""
        return next(job for job in self.jobs if job.name == name)


def make_plan(settings: SuiteSettings) -> Plan:
    """Looks at the data of every task and says what has to run.

    Raises:
        SettingsError: If settings for the runs are wrong.
    """
    jobs: list[SuiteJob] = []
    missing: dict[str, str] = {}
    broken: dict[str, str] = {}
    examples: dict[str, dict[str, str]] = {}
    tasks: dict[str, Task] = {}
    for name in settings.task_names():
        entry = settings.tasks.get(name, SuiteTask())
        data = entry.data or _find_data(settings.data, name)
        if data is None and settings.data is not None:
            missing[name] = _describe_absence(settings.data, name)
            continue
        try:
            task = read_task(entry.task or name, data, options=entry.task_options)
        except DataError as error:
            (missing if _lacks_train(data) else broken)[name] = str(error)
            continue
        lacking = _lacking_split(task, settings.split)
        if lacking is not None:
            missing[name] = lacking
            continue
        tasks[name] = task
        examples[name] = {split: _hash(part) for split, part in task.splits.items()}
        for label, model in settings.by_teachers().items():
            job = _make_job(settings, name, entry, data, task, label=label, model=model)
            if job is not None:
                jobs.append(job)
    return Plan(jobs=tuple(jobs), missing=missing, broken=broken, examples=examples, tasks=tasks)


def require_same_examples(plan: Plan, folder: Path) -> None:
    """Refuses to go on where finished runs are of other examples than the data have now.

    Args:
        plan: What is to be run.
        folder: Where each task has a folder for its runs, which keeps what its examples are.

    Raises:
        DataError: If a split's are others; a split that came up later is none.
    """
    finished = {job.task for job in plan.jobs if job.is_finished}
    for name, now in plan.examples.items():
        of_task = folder / folder_name(name)
        before = {}
        if name in finished and ExamplesRecord.exists(of_task):
            before = ExamplesRecord.read(of_task).splits
        for split, found in now.items():
            if before.get(split, found) != found:
                raise DataError(
                    f"the {split} examples of {name} are others than those of its finished runs; "
                    f"give another out=..., or remove {of_task} to run them again"
                )
        ExamplesRecord(splits={**before, **now}).write(of_task)


def _hash(split: Split) -> str:
    return sha256_of_texts(repr(example) for example in split.examples)


def _make_job(
    settings: SuiteSettings,
    name: str,
    entry: SuiteTask,
    data: str | dict[str, str] | None,
    task: Task,
    *,
    label: str,
    model: SuiteModel,
) -> SuiteJob | None:
    """Returns a model's run; None where a task has nothing to train and the model needs it."""
    folder = settings.out / "runs" / folder_name(name)
    shared = {**settings.finetune, **entry.finetune}
    if model.teacher is None:
        shared = {key: value for key, value in shared.items() if key not in ABOUT_TEACHER}
    given = {**shared, **model.finetune}
    earlier = None if model.earlier is None else str(folder / folder_name(model.earlier) / "model")
    values: dict[str, Any] = {
        "model": model.model or earlier,
        "data": data,
        "out": folder / folder_name(label),
        "task": entry.task or name,
        "task_options": entry.task_options,
        "task_label": name,
        "label": label,
        "role": model.role,
    }
    where = f"models.{label} on {name}"
    if task.is_trainable:
        taught: dict[str, Any] = {}
        if model.teacher is not None:
            taught["teacher"] = earlier
            losses = build_task_losses(task, given.get("losses", {}))
            if learns_from_logits(losses):  # one pass of the teacher for all seeds and epochs
                taught["teacher_cache"] = settings.out / "teachers"
        if model.model is None:
            given = {"new_head": False, **given}
        made = FinetuneSettings.from_values(
            {**given, **values, **taught, "seeds": settings.seeds}, where=where
        )
        return SuiteJob(
            name=_job_name(name, label),
            recipe="finetune",
            settings=made,
            after=None if model.earlier is None else _job_name(name, model.earlier),
            task=name,
            label=label,
            teacher=model.teacher,
        )
    if _has_changed_weights(model):
        return None
    known = {key: given[key] for key in given if key in evaluate.EvaluateSettings.model_fields}
    evaluated = evaluate.EvaluateSettings.from_values(
        {**known, **values, "split": settings.split}, where=where
    )
    return SuiteJob(
        name=_job_name(name, label),
        recipe="evaluate",
        settings=evaluated,
        task=name,
        label=label,
        teacher=None,
    )


def _job_name(task: str, label: str) -> str:
    return f"{task}, {label}"


def _has_changed_weights(model: SuiteModel) -> bool:
    """Tells whether a model begins from other weights than a folder of its own has."""
    changes = model.finetune
    return (
        model.model is None
        or changes.get("keep_layers") is not None
        or bool(changes.get("start"))
        or changes.get("initialise") == "random"
    )


def _find_data(data: str | None, name: str) -> str | None:
    """Returns where a task's data are: the folder whose name is the task's, dashes or not.

    None where there is no such folder, or no data are given and the task's usual ones count.
    """
    if data is None:
        return None
    if data.startswith(_HUB):
        return f"{data}:{name}"
    if not Path(data).is_dir():
        raise SettingsError(
            f"data = '{data}' is not a folder; give one with a subfolder for each task, or a Hub "
            f"data set ({_HUB}owner/name)"
        )
    found = [entry for entry in sorted(Path(data).iterdir()) if _plain(entry.name) == _plain(name)]
    return str(found[0]) if found else None


def _describe_absence(data: str, name: str) -> str:
    return f"there is no folder '{name}' in {data}; set tasks.{name}.data if it has another name"


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _lacks_train(data: str | dict[str, str] | None) -> bool:
    """Tells whether local data have no training file at all, rather than a damaged one."""
    if isinstance(data, dict):
        return "train" not in data
    folder = None if data is None or data.startswith(_HUB) else Path(data)
    if folder is None or not folder.is_dir():
        return False
    return not any(entry.name.startswith("train") for entry in folder.iterdir())


def _lacking_split(task: Task, split: str) -> str | None:
    """Says what a task lacks to be run, or returns None."""
    needed = ("train", "validation", split) if task.is_trainable else (split,)
    lacking = [name for name in needed if name not in task.splits]
    if lacking:
        return f"its data have no {lacking[0]} split (they have: {', '.join(task.splits)})"
    if not task.splits[split].is_labelled:
        return f"its {split} split has no labels, so nothing can be scored"
    return None
