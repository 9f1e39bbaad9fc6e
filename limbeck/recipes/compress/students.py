"""The students of a search: how far each was trained, what it scored there, and for how long."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median

from limbeck.checkpoints import resolve_folder
from limbeck.data.sampling import take_evenly
from limbeck.recipes._jobs import Failures, Job, run_jobs
from limbeck.recipes._tasks.predictions import predict_logits
from limbeck.recipes.compress.halving import Trial, list_shares
from limbeck.recipes.compress.planning import Plan
from limbeck.recipes.compress.sources import Source
from limbeck.recipes.compress.teacher import SPLIT
from limbeck.recipes.finetune import read_points
from limbeck.recipes.finetune.forecast import describe_time
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.training import start_model
from limbeck.report.runs import read_finetune_run
from limbeck.runs import FinetuneRecord
from limbeck.tasks import Split
from limbeck.train import Progress, choose_device

_ROWS = 512
"""Examples that a student is scored on as it begins: enough for an order."""


class Students:
    """All students that a search may train; what their folders hold already is known.

    Args:
        plan: Of the search.
        progress: Where it is told.
    """

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self._metric = plan.data.task.metric
        self._sources = {
            form.source.name: form.source
            for form in plan.forms
            if form.source.candidate is not None
        }
        self._scores: dict[str, dict[float, float]] = {}
        self._seconds: dict[str, float] = {}
        for name, source in self._sources.items():
            job = _job(source)
            if job.is_begun:
                self._read(name)
            else:
                self._scores[name], self._seconds[name] = {}, 0.0

    def score_untrained(self, names: Sequence[str]) -> None:
        """Scores some as they begin, but where heads are new: those are drawn by chance."""
        sources = [self._sources[name] for name in names]
        waiting = [source for source in sources if not settings_of(source).new_head]
        with self._progress.stage(
            "Scoring students as they begin", total=len(waiting), unit="students"
        ) as stage:
            for source in waiting:
                score = _score_untrained(source, self._metric)
                self._scores[source.name][0.0] = score
                stage.advance()

    def trials(self, names: Collection[str] | None = None) -> list[Trial]:
        """Returns how far all or some are, the cheapest first."""
        found = [
            Trial(name=name, cost=self._plan.least_cost(name), scores=self._scores[name])
            for name in self._sources
            if names is None or name in names
        ]
        return sorted(found, key=lambda trial: trial.cost)

    def list_shares(self, trials: Sequence[Trial]) -> tuple[float, ...]:
        """Returns after which shares of their training half of some students go on.

        None where they learn something else first: a score on the way would tell nothing.
        """
        settings = [settings_of(self._sources[trial.name]) for trial in trials]
        first = ("intermediate", "replacing", "sparsify")
        is_told = not any(getattr(s, name) is not None for s in settings for name in first)
        return list_shares(len(trials)) if is_told else ()

    def train(self, names: Sequence[str], share: float) -> Failures:
        """Trains some to a share of their steps, as many at a time as there are workers."""
        jobs = [_job(self._sources[name], share=share) for name in names]
        failed = run_jobs(jobs, num_workers=self._plan.settings.workers, progress=self._progress)
        for name in names:
            if name not in failed:
                self._read(name)
        return failed

    def explain_cost(self, name: str, share: float, beside: Sequence[str]) -> str | None:
        """Returns why a training does not fit what is left of the budget; None if it does.

        Args:
            name: The student's.
            share: To which share of its steps.
            beside: What is trained to the same share at the same time.
        """
        hours = self._plan.settings.budget_hours
        if hours is None:
            return None
        spent = sum(self._seconds.values()) + sum(self._need(one, share) for one in beside)
        needed = self._need(name, share)
        if spent + needed <= 3600 * hours:
            return None
        return (
            f"its training would take {describe_time(needed)}, and {describe_time(spent)} of "
            f"{hours:g} hours are spent"
        )

    def _need(self, name: str, share: float) -> float:
        """Returns the seconds that are still to be spent on a student."""
        num_seeds = len(self._plan.settings.seeds)
        whole = self._plan.seconds[name]
        return max(0.0, (whole if share == 1 else share * whole / num_seeds) - self._seconds[name])

    def _read(self, name: str) -> None:
        """Reads what a student's folder holds; its settings are those of the search."""
        job = _job(self._sources[name])
        points = read_points(settings_of(self._sources[name]))
        scores = {point.share: point.scores[self._metric] for point in points}
        seconds = points[-1].elapsed_seconds if points else 0.0
        if FinetuneRecord.exists(job.folder):
            run = read_finetune_run(job.folder)
            assert isinstance(run.result, FinetuneRecord)
            scores[1.0] = median(run.scores(SPLIT))
            seconds = sum(seed.elapsed_seconds for seed in run.result.seeds)
        self._scores[name] = {**self._scores.get(name, {}), **scores}
        self._seconds[name] = seconds


def settings_of(source: Source) -> FinetuneSettings:
    """Returns how a student is trained."""
    assert source.candidate is not None, "the model itself is not trained"
    return source.candidate.settings


def _job(source: Source, *, share: float = 1.0) -> Job:
    assert source.candidate is not None, "the model itself is not trained"
    return replace(source.candidate.job, share=share)


def _score_untrained(source: Source, metric: str) -> float:
    """Scores a student before its first step, on examples from all over the split that chooses."""
    settings, task = settings_of(source), source.data.task
    data = replace(source.data, settings=settings, folder=resolve_folder(settings.model))
    split = Split(SPLIT, take_evenly(task.splits[SPLIT].examples, _ROWS))
    rows = task.encode(split, data.tokenizer, max_length=settings.max_length)
    logits = predict_logits(
        task,
        start_model(settings, data).to(choose_device(settings.device)),
        rows,
        batch_size=settings.evaluation_batch_size,
        pad_token_id=data.tokenizer.pad_token_id,
        precision=settings.precision,
    )
    return task.score(split, task.predict(split, rows, logits))[metric]
