"""What a suite would come to: whether its runs can be made, in which steps and time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.losses import require_fit
from limbeck.recipes._machine import require_machine
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes._tasks.models import require_same_inputs
from limbeck.recipes.finetune.data import trained_config
from limbeck.recipes.finetune.forecast import (
    Pace,
    count_rows,
    count_steps,
    count_tokens,
    describe_time,
    estimate_seconds,
    measure,
    take_sample,
    within,
)
from limbeck.recipes.finetune.intermediate import build_layer_losses
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.shared_steps import SharedSteps, decide_steps, share_steps
from limbeck.recipes.suite.jobs import Plan, SuiteJob
from limbeck.recipes.suite.settings import SuiteSettings
from limbeck.train import Progress


def require_runs(plan: Plan) -> None:
    """Refuses runs that can't be made, rather than after the hours that the others take.

    What a run starts or learns from may have yet to be made by another one: then that one's model
    is looked at.

    Raises:
        LimbeckError: As the fine-tuning would, with the model and the task.
    """
    for job in _to_train(plan):
        if job.is_finished:
            continue
        try:
            sample = _sample(job, plan)
            require_machine(sample.settings)
            student = trained_config(_settings(sample), sample)
            if job.after is None or job.teacher is None:
                continue
            teacher = _sample(plan.job(job.after), plan)
            config = trained_config(_settings(teacher), teacher)
            name = f"the teacher '{job.teacher}'"
            require_same_inputs(sample, config, teacher.tokenizer, name=name)
            losses = build_task_losses(sample.task, _settings_of(job).losses)
            require_fit(losses, student=student, teacher=config)
            phase = _settings_of(job).of_intermediate()
            if phase is not None:
                layers = build_layer_losses(phase, sample.task)
                require_fit(layers, student=student, teacher=config)
        except LimbeckError as error:
            raise type(error)(f"models.{job.label} on {job.task}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class RunForecast:
    """What one run would come to.

    Attributes:
        num_steps: Of each seed.
        seconds: Of all seeds.
    """

    num_steps: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.num_steps:,} steps a seed, {describe_time(self.seconds)}"


def forecast(settings: SuiteSettings, plan: Plan) -> dict[str, RunForecast]:
    """Returns what the runs that are left would come to, by their names.

    Each model is measured on the first of its tasks, and its pace on others taken by the length of
    their texts.
    """
    paces, samples = _measure(plan)
    found = {}
    for name, pace in paces.items():
        job = plan.job(name)
        if job.is_finished:
            continue
        made, num_rows = _settings_of(job), count_rows(samples[name])
        limit = _shared_limit(settings, job)
        if limit is not None:
            slowest = _slowest(paces, plan, job.task)
            made = within(made, share_steps(limit, seconds_per_step=slowest))
        row = 0.0 if job.after is None else paces[job.after].seconds_per_row
        once = 0.0 if made.teacher_cache is None else row * num_rows["train"]
        seconds = estimate_seconds(made, pace, num_rows, teacher_seconds_per_row=row)
        found[name] = RunForecast(num_steps=count_steps(made, num_rows), seconds=seconds + once)
    return found


def apply_decided(settings: SuiteSettings, plan: Plan) -> Plan:
    """Returns the plan with the steps that an earlier start decided on in place of minutes."""
    known = SharedSteps.find(settings.out)
    jobs = []
    for job in plan.jobs:
        minutes = _shared_limit(settings, job)
        decided = None if minutes is None else known.of(job.task, minutes=minutes)
        if decided is not None:
            job = replace(job, settings=within(_settings_of(job), decided))
        jobs.append(job)
    return replace(plan, jobs=tuple(jobs))


def share_minutes(settings: SuiteSettings, plan: Plan, progress: Progress) -> Plan:
    """Returns the plan with the same steps for all models where a time was asked for.

    Args:
        settings: Of the suite; a model that has a limit of its own keeps it.
        plan: What would run.
        progress: Where it is said.
    """
    jobs = []
    for job in plan.jobs:
        minutes = _shared_limit(settings, job)
        if minutes is not None:
            num_steps = decide_steps(
                settings.out,
                job.task,
                minutes=minutes,
                measure=partial(_measure_task, plan, job.task),
                progress=progress,
            )
            job = replace(job, settings=within(_settings_of(job), num_steps))
        jobs.append(job)
    return replace(plan, jobs=tuple(jobs))


def _measure_task(plan: Plan, task: str) -> float:
    of_task = replace(plan, jobs=tuple(job for job in plan.jobs if job.task == task))
    return _slowest(_measure(of_task)[0], of_task, task)


def _measure(plan: Plan) -> tuple[dict[str, Pace], dict[str, TaskData]]:
    """Returns the pace and a sample of each run that is to train, by its name."""
    first: dict[str, Pace] = {}
    paces: dict[str, Pace] = {}
    samples: dict[str, TaskData] = {}
    for job in _to_train(plan):
        sample = samples[job.name] = _sample(job, plan)
        if job.label not in first:
            first[job.label] = measure(_settings(sample), sample)
        paces[job.name] = first[job.label].over(count_tokens(sample))
    return paces, samples


def _slowest(paces: Mapping[str, Pace], plan: Plan, task: str) -> float:
    return max(pace.seconds_per_step for name, pace in paces.items() if plan.job(name).task == task)


def _shared_limit(settings: SuiteSettings, job: SuiteJob) -> float | None:
    """Returns the time that a task's runs share, None if there is none for this one."""
    has_own = "max_minutes" in settings.models[job.label].finetune
    trains = isinstance(job.settings, FinetuneSettings)
    return _settings_of(job).max_minutes if trains and not has_own else None


def _to_train(plan: Plan) -> Iterator[SuiteJob]:
    return (job for job in plan.jobs if isinstance(job.settings, FinetuneSettings))


def _sample(job: SuiteJob, plan: Plan) -> TaskData:
    return take_sample(_stand_in(job, plan), plan.tasks[job.task])


def _stand_in(job: SuiteJob, plan: Plan) -> FinetuneSettings:
    """Returns settings like a run's that need no other run: of its model as far as it is there."""
    settings, start = _settings_of(job), job
    methods = settings.methods
    while start.after is not None:
        earlier = plan.job(start.after)
        if start.settings.model != str(earlier.settings.out / "model"):
            break
        start = earlier
        methods = (*_settings_of(start).methods, *methods)
    phases = ("teacher", "teacher_cache", "augment", "intermediate", "replacing")
    alone: dict[str, Any] = {**dict.fromkeys(phases), "losses": {}}
    given = {"model": start.settings.model, "keep_layers": None, "start": methods, "new_head": True}
    weight = settings.label_weight or 1.0
    return settings.model_copy(update={**alone, **given, "label_weight": weight})


def _settings(sample: TaskData) -> FinetuneSettings:
    assert isinstance(sample.settings, FinetuneSettings)
    return sample.settings


def _settings_of(job: SuiteJob) -> FinetuneSettings:
    assert isinstance(job.settings, FinetuneSettings)
    return job.settings
