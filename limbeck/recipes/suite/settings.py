"""Settings of a suite: which tasks, which models, and what all runs share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from limbeck.checkpoints import short_name
from limbeck.config import Settings, Shown
from limbeck.errors import did_you_mean
from limbeck.recipes._tasks.folders import require_own_folders
from limbeck.recipes.finetune.settings import FinetuneSettings

GLUE = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")
"""The nine tasks of GLUE, over which the published averages run.

Source: Wang et al., "GLUE", ICLR 2019.
"""

# What the suite itself decides for every run.
_OF_THE_SUITE = (
    "data",
    "label",
    "model",
    "out",
    "role",
    "seeds",
    "task",
    "task_label",
    "task_options",
    "teacher",
    "teacher_cache",
)

ABOUT_TEACHER = ("augment", "intermediate", "label_weight", "losses")
"""Settings of `limbeck finetune` that say how to learn from a teacher."""


def _check_finetune(values: dict[str, Any]) -> dict[str, Any]:
    taken = sorted(set(values) & set(_OF_THE_SUITE))
    if taken:
        raise ValueError(
            f"'{taken[0]}' is for the suite to decide, in its own settings; here stand the other "
            "settings of limbeck finetune"
        )
    return values


class _WithFinetune(Settings):
    """Settings with a table `finetune`, which the keys of that table are not to stand beside."""

    @model_validator(mode="before")
    @classmethod
    def _check_level(cls, values: Any) -> Any:
        too_high = (
            set(values) & set(FinetuneSettings.model_fields) - set(_OF_THE_SUITE)
            if isinstance(values, dict)
            else set()
        )
        for name in sorted(too_high - set(cls.model_fields)):
            raise ValueError(
                f"there is no setting '{name}' here, but limbeck finetune has one: write "
                f"finetune.{name}"
            )
        return values


class SuiteTask(_WithFinetune):
    """One task of the suite."""

    task: str | None = None
    """Task, as `limbeck list tasks` shows it; by default the name of this table."""
    data: str | dict[str, str] | None = None
    """As for `limbeck finetune`; by default the task's folder or configuration in the suite's
    `data`."""
    task_options: dict[str, Any] = Field(default_factory=dict)
    """The task's own options."""
    finetune: dict[str, Any] = Field(default_factory=dict)
    """Settings of `limbeck finetune` for this task, over those of the suite. Those on learning from
    a teacher, such as `augment`, are for the models that have one."""

    _check = field_validator("finetune")(_check_finetune)


class SuiteModel(_WithFinetune):
    """One model of the suite."""

    model: str | None = None
    """Model folder or Hub id; None starts on each task from the model's `teacher` there, with its
    head, as in `{ teacher = "LABEL", finetune = { keep_layers = 3 } }`."""
    starts_from: str | None = None
    """Label of another model of the suite: what this one starts from on each task, with its head,
    and learns from the labels alone, as BERT-of-Theseus does with `replacing`."""
    role: Literal["teacher", "student", "baseline", "other"] = "student"
    """Part of the model in the report; exactly one is the teacher."""
    teacher: str | None = None
    """Label of another model of the suite: what this one learns from on each task, its best seed
    there; None learns from the labels alone."""
    finetune: dict[str, Any] = Field(default_factory=dict)
    """Settings of `limbeck finetune` for this model, over those of the task, such as
    `keep_layers = 3` or `initialise = "random"`."""

    _check = field_validator("finetune")(_check_finetune)

    @property
    def earlier(self) -> str | None:
        """Label of the model whose runs come before this one's; None if none has to."""
        return self.teacher or self.starts_from


class SuiteSettings(_WithFinetune):
    """Several models, several tasks, several seeds."""

    suite: Shown[Literal["glue", "custom"]] = "glue"
    """`glue` has nine tasks, `custom` those of the table `tasks`."""
    models: Shown[dict[str, SuiteModel]] = Field(min_length=1)
    """By label; or a list of model folders and Hub ids, or text with commas between them, of which
    the first is the teacher and the others are students. Three models by label, of which the third
    starts on each task from three layers of what the first became there:
    `models.large = { model = "bert-base-uncased", role = "teacher" }`,
    `models.general = { model = "distilbert-base-uncased" }`,
    `models.half = { teacher = "large", finetune = { keep_layers = 3 } }`."""
    data: Shown[str | None] = None
    """Folder with a subfolder for each task, or a Hub data set with a configuration for each, such
    as `hf://nyu-mll/glue`; by default each task's usual one."""
    out: Shown[Path]
    """Run folder; the same command given again runs what has not finished."""
    tasks: dict[str, SuiteTask] = Field(default_factory=dict)
    """By name: what is special to a task, or further tasks."""
    only: Shown[tuple[str, ...] | None] = None
    """Names of the tasks to run; None runs all whose data are at hand."""
    seeds: Shown[tuple[int, ...]] = Field(default=(0, 1, 2), min_length=1)
    """One fine-tuning each, of every model on every task."""
    split: Shown[Literal["validation", "test"]] = "validation"
    """Split to report. Published GLUE figures are on validation, which also chooses the best
    epoch; a test split has to have labels."""
    finetune: Shown[dict[str, Any]] = Field(default_factory=dict)
    """Settings of `limbeck finetune` for all runs, such as `epochs` and `learning_rate`; those on
    learning from a teacher count for the models that have one."""
    workers: Shown[int] = Field(default=1, ge=1)
    """Processes to spread the runs over; they share the processor's cores. With `device = "auto"`
    they take the machine's GPUs in turns, one each: give as many workers as GPUs, or a multiple."""
    measure: bool = True
    """Measure the models' speed at the end, on the CPU, one process alone."""

    _check = field_validator("finetune")(_check_finetune)

    @field_validator("models", mode="before")
    @classmethod
    def _list_to_table(cls, models: Any) -> Any:
        if isinstance(models, str):
            models = [name.strip() for name in models.split(",")]
        if not isinstance(models, list | tuple) or not all(isinstance(m, str) for m in models):
            return models
        names = [short_name(model) for model in models]
        labels = names if len(set(names)) == len(names) else models
        roles = ["teacher", *["student"] * (len(models) - 1)]
        return {
            label: {"model": model, "role": role}
            for label, model, role in zip(labels, models, roles, strict=True)
        }

    @model_validator(mode="after")
    def _check_names(self) -> SuiteSettings:
        teachers = [label for label, model in self.models.items() if model.role == "teacher"]
        if len(teachers) != 1:
            raise ValueError(
                f"models: exactly one has to have role = 'teacher', but {len(teachers)} have"
                + (f" ({', '.join(teachers)})" if teachers else f" (of {', '.join(self.models)})")
            )
        for what, names in (("models", self.models), ("tasks", self.task_names())):
            require_own_folders(names, where=what)
        for label, model in self.models.items():
            self._check_teacher(label, model)
        self._check_has_learner()
        unknown = [name for name in self.only or () if name not in self.task_names(everything=True)]
        if unknown:
            names = self.task_names(everything=True)
            raise ValueError(
                f"only: '{unknown[0]}' is no task of the suite.{did_you_mean(unknown[0], names)} "
                f"Accepted: {', '.join(names) or 'none, since there is no table tasks'}"
            )
        if not self.task_names():
            raise ValueError("suite = 'custom' needs its tasks in the table tasks")
        return self

    def _check_teacher(self, label: str, model: SuiteModel) -> None:
        if model.model is None and model.earlier is None:
            raise ValueError(
                f"models.{label} says neither which model it is nor which teacher's layers it "
                "starts from; give model = a folder or Hub id, or teacher = another's label"
            )
        others = [name for name in ("model", "teacher") if getattr(model, name) is not None]
        if model.starts_from is not None and others:
            raise ValueError(
                f"models.{label} has both starts_from and {others[0]}; leave one of them out: what "
                "learns from a teacher of the suite starts from it where it has no model"
            )
        chain, above = [label], model.earlier
        while above is not None:
            if above not in self.models:
                setting = "teacher" if model.teacher else "starts_from"
                raise ValueError(
                    f"models.{label}.{setting} = '{above}' is not the label of a model."
                    f"{did_you_mean(above, self.models)} Accepted: {', '.join(self.models)}"
                )
            if above in chain:
                raise ValueError(f"models: teachers go in a circle: {', '.join([*chain, above])}")
            chain.append(above)
            above = self.models[above].earlier

    def _check_has_learner(self) -> None:
        """Refuses settings on learning from a teacher where no model has one."""
        if any(model.teacher for model in self.models.values()):
            return
        tables = {"finetune": self.finetune} | {
            f"tasks.{name}.finetune": task.finetune for name, task in self.tasks.items()
        }
        for table, values in tables.items():
            for name in values:
                if name in ABOUT_TEACHER:
                    raise ValueError(
                        f"{table}.{name} is for models that learn from a teacher, but none does; "
                        "set models.LABEL.teacher to the label of another model"
                    )

    def task_names(self, *, everything: bool = False) -> tuple[str, ...]:
        """Returns the tasks that are asked for, or all of the suite, in its order."""
        of_suite = GLUE if self.suite == "glue" else ()
        names = (*of_suite, *(name for name in self.tasks if name not in of_suite))
        if everything or self.only is None:
            return names
        return tuple(name for name in names if name in self.only)

    def by_teachers(self) -> Mapping[str, SuiteModel]:
        """Returns the models, each after the one it learns or starts from."""
        ordered: dict[str, SuiteModel] = {}
        while len(ordered) < len(self.models):
            for label, model in self.models.items():
                if model.earlier is None or model.earlier in ordered:
                    ordered.setdefault(label, model)
        return ordered
