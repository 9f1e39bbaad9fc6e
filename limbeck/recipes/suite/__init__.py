"""Take several models through several tasks with several seeds, and report what was kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.checkpoints import resolve_folder
from limbeck.errors import CheckpointError, DataError, TrainingError
from limbeck.models import AutoConfig
from limbeck.recipes._jobs import Failures, find_waiting, run_jobs
from limbeck.recipes._tasks.speeds import measure_runs
from limbeck.recipes.finetune.forecast import describe_time
from limbeck.recipes.suite.forecast import (
    RunForecast,
    apply_decided,
    forecast,
    require_runs,
    share_minutes,
)
from limbeck.recipes.suite.jobs import Plan, SuiteJob, make_plan, require_same_examples
from limbeck.recipes.suite.settings import SuiteSettings
from limbeck.report import ModelFacts, figures, wording
from limbeck.report.figures import NONE
from limbeck.report.suite import SuiteReport, write_suite_report
from limbeck.report.tables import align_rows
from limbeck.runs import Share, SuiteModelScores, SuiteRecord, SuiteTaskScores, start_run
from limbeck.train import Progress

SettingsType = SuiteSettings

# Every run guards its own settings; a suite may get more models, tasks and seeds as it goes.
_MAY_CHANGE = tuple(name for name in SuiteSettings.model_fields if name not in ("suite", "out"))


def run(settings: SuiteSettings, *, progress: Progress) -> SuiteRecord:
    """Fine-tunes and scores every model on every task, and writes `out/report`.

    What has finished before with the same settings is not run again. A run that fails costs the
    others nothing.

    Returns:
        What stands in `result.json`.

    Raises:
        CheckpointError: If one of the models is none.
        DataError: If no task has its data, or those of a task have changed since a run finished.
        TrainingError: At the end, if runs have failed; the report is over the others.
        KeyboardInterrupt: After the running fine-tunings have saved a checkpoint.
    """
    plan = _plan(settings)
    with start_run(settings.out, "suite", settings, may_change=_MAY_CHANGE):
        return _run_all(settings, plan, progress)


def _run_all(settings: SuiteSettings, plan: Plan, progress: Progress) -> SuiteRecord:
    """Runs what has not finished, and reports over all."""
    require_same_examples(plan, settings.out / "runs")
    plan = share_minutes(settings, plan, progress)
    for name, reason in plan.missing.items():
        progress.log(f"{name}: left out: {reason}")
    for job in plan.jobs:
        job.require_same_models()
    waiting = find_waiting(plan.jobs)
    for job in plan.jobs:
        if job not in waiting:
            progress.log(f"{job.name}: finished before")
    failed = run_jobs(waiting, num_workers=settings.workers, progress=progress)
    failures = Failures({**plan.broken, **failed})
    report = _report(settings, plan, failures, progress=progress)
    record = _summary(settings, report)
    if failures:
        raise TrainingError(
            f"{len(failures)} of the suite's runs failed: {failures}. The report over the others "
            f"is {record.report}; the same command tries again what failed"
        )
    return record.write(settings.out)


def plan(settings: SuiteSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    found = _plan(settings)
    forecasts = forecast(settings, found)
    left = sum(forecasts[job.name].seconds for job in found.jobs if job.name in forecasts)
    return {
        "suite": settings.suite,
        "out": str(settings.out),
        "split": settings.split,
        "seeds": list(settings.seeds),
        "workers": settings.workers,
        "runs": {
            task: {
                job.label: _describe(job, forecasts.get(job.name))
                for job in found.jobs
                if job.task == task
            }
            for task in dict.fromkeys(job.task for job in found.jobs)
        },
        "time": f"{describe_time(left)} for all that is to run, one after the other, by two steps "
        "of each model on this machine",
        "total_seconds": round(left),
        "missing": found.missing,
        "unreadable": found.broken,
    }


def summarise(result: SuiteRecord) -> str:
    """Formats a result: tasks and models in a table, what was kept, and where the report is."""
    labels = [model.label for model in result.models]
    rows = [["median over seeds", *labels]]
    for task in result.tasks:
        found = [task.medians.get(label) for label in labels]
        cells = [NONE if median is None else figures.points(median) for median in found]
        rows.append([f"{task.name}, {wording.metric_name(task.metric)}", *cells])
    lines = ["", *align_rows(rows), "", result.headline]
    for model in result.models:
        share = model.retention
        kept = ""
        if share is not None:
            kept = f", {share.estimate:.1%} of the teacher's ({share.low:.1%} to {share.high:.1%})"
        lines.append(f"{model.label}: average {100 * model.average:.1f}{kept}")
    if result.missing:
        lines.append(f"left out: {', '.join(result.missing)}")
    return "\n".join([*lines, f"The report: {result.report}"])


def _describe(job: SuiteJob, forecast: RunForecast | None) -> str:
    what = job.recipe if job.teacher is None else f"{job.recipe} with the teacher {job.teacher}"
    if job.is_finished:
        return f"{what}, finished"
    return f"{what}, to run" if forecast is None else f"{what}, to run: {forecast}"


def _plan(settings: SuiteSettings) -> Plan:
    found = make_plan(settings)
    if not found.jobs:
        reasons = "; ".join(f"{k}: {v}" for k, v in {**found.missing, **found.broken}.items())
        raise DataError(f"none of the suite's tasks can be run. {reasons}")
    for label in dict.fromkeys(job.label for job in found.jobs if not job.is_finished):
        model = settings.models[label].model
        if model is not None:
            _check_model(model, label, others=set(settings.models) - {label})
    found = apply_decided(settings, found)
    require_runs(found)
    return found


def _check_model(name: str, label: str, *, others: Collection[str]) -> None:
    """Refuses what is no model now, rather than after the hours that the others take.

    Raises:
        CheckpointError: If there is no such model.
    """
    try:
        AutoConfig.from_pretrained(resolve_folder(name, weights=False))
    except CheckpointError as error:
        hint = (
            f". '{name}' is the label of another model: leave model out and set teacher = "
            f"'{name}' to start from the layers that it has when it is fine-tuned on the task"
            if name in others
            else ""
        )
        raise CheckpointError(f"models.{label}: {str(error).rstrip('.')}{hint}") from error


def _report(
    settings: SuiteSettings,
    plan: Plan,
    failures: Mapping[str, str],
    *,
    progress: Progress,
) -> SuiteReport:
    order = list(settings.models)
    folders: dict[str, list[Path]] = {}
    for job in sorted(plan.jobs, key=lambda job: order.index(job.label)):
        if job.name not in failures:
            folders.setdefault(job.task, []).append(job.folder)
    tasks = [name for name in settings.task_names() if name in folders]
    return write_suite_report(
        {name: folders[name] for name in tasks},
        out=settings.out / "report",
        suite=settings.suite,
        split=settings.split,
        asked=settings.task_names(),
        num_tasks=len(settings.task_names(everything=True)),
        missing=plan.missing,
        failures=failures,
        measure=partial(measure_runs, progress=progress) if settings.measure else None,
    )


def _summary(settings: SuiteSettings, report: SuiteReport) -> SuiteRecord:
    """Returns what of the report stands in the run's result."""
    return SuiteRecord(
        suite=settings.suite,
        headline=report.headline,
        findings=tuple(comparison.text for comparison in report.comparisons),
        averaged_tasks=report.averaged,
        missing=dict(report.missing),
        tasks=tuple(
            SuiteTaskScores(
                name=task.name,
                metric=task.metric,
                medians={model.label: model.scores.median for model in task.models},
            )
            for task in report.tasks
        ),
        models=tuple(_score(model) for model in report.models),
        report=str(report.files["html"]),
    )


def _score(model: ModelFacts) -> SuiteModelScores:
    kept = model.retention
    return SuiteModelScores(
        label=model.label,
        role=model.role,
        average=model.scores.mean,
        median_average=model.scores.median,
        retention=None
        if kept is None
        else Share(estimate=kept.estimate, low=kept.low, high=kept.high),
    )
