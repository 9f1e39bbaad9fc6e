"""The students of a search: how far each was trained, what it scored there, and for how long."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, kw_only=True)
class _Point:
    """What a student scored after a share of its steps, and the seconds until there."""

    share: float
    score: float
    seconds: float


class Students:
    """All students that a search may train, as far as it has come with each.

    What folders hold beyond that is not made again, and not looked at before its turn: a search
    that was interrupted decides each thing by what it was decided by before.

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
        self._untrained: dict[str, float] = {}
        self._reached = dict.fromkeys(self._sources, 0.0)
        self._known: dict[str, list[_Point]] = {
            name: self._read(name) if _job(source).is_begun else []
            for name, source in self._sources.items()
        }

    def score_untrained(self, names: Sequence[str]) -> None:
        """Scores some as they begin, but where heads are new: those are drawn by chance."""
        sources = [self._sources[name] for name in names]
        waiting = [source for source in sources if not settings_of(source).new_head]
        with self._progress.stage(
            "Scoring students as they begin", total=len(waiting), unit="students"
        ) as stage:
            for source in waiting:
                score = _score_untrained(source, self._metric)
                self._untrained[source.name] = score
                stage.advance()

    def trials(self, names: Collection[str] | None = None) -> list[Trial]:
        """Returns how far all or some are, the cheapest first."""
        found = [
            Trial(
                name=name,
                cost=self._plan.least_cost(name),
                scores=self._seen_scores(name),
                kin=_find_kin(source),
            )
            for name, source in self._sources.items()
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
                self._known[name], self._reached[name] = self._read(name), share
        return failed

    def explain_cost(self, name: str, share: float, beside: Sequence[str]) -> str | None:
        """Returns why a training does not fit what is left of the budget; None if it does.

        Args:
            name: The student's.
            share: To which share of its steps.
            beside: What is trained to the same share at the same time.
        """
        hours = self._plan.settings.budget_hours
        if hours is None or self._is_made(name, share):
            return None
        spent = sum(self._spent(one) for one in self._sources)
        spent += sum(self._need(one, share) for one in beside)
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
        return max(0.0, (whole if share == 1 else share * whole / num_seeds) - self._spent(name))

    def _spent(self, name: str) -> float:
        return max((point.seconds for point in self._seen(name)), default=0.0)

    def _seen_scores(self, name: str) -> dict[float, float]:
        untrained = {0.0: self._untrained[name]} if name in self._untrained else {}
        return {**untrained, **{point.share: point.score for point in self._seen(name)}}

    def _seen(self, name: str) -> list[_Point]:
        """Returns the points up to where the search has come, or past it where none is just there.

        A student that was trained further, for another contract, may lack a point.
        """
        reached = self._reached[name]
        if not reached:
            return []
        before = [point for point in self._known[name] if point.share < reached]
        return self._known[name][: len(before) + 1]

    def _is_made(self, name: str, share: float) -> bool:
        return any(point.share >= share for point in self._known[name])

    def _read(self, name: str) -> list[_Point]:
        """Reads what a student's folder holds; its settings are those of the search."""
        settings = settings_of(self._sources[name])
        points = [
            _Point(
                share=point.share,
                score=point.scores[self._metric],
                seconds=point.elapsed_seconds,
            )
            for point in read_points(settings)
        ]
        if FinetuneRecord.exists(settings.out):
            run = read_finetune_run(settings.out)
            assert isinstance(run.result, FinetuneRecord)
            score = median(run.scores(SPLIT))
            seconds = sum(seed.elapsed_seconds for seed in run.result.seeds)
            points.append(_Point(share=1.0, score=score, seconds=seconds))
        return points


def settings_of(source: Source) -> FinetuneSettings:
    """Returns how a student is trained."""
    assert source.candidate is not None, "the model itself is not trained"
    return source.candidate.settings


def _find_kin(source: Source) -> str:
    vocabulary = source.vocabulary
    return source.name if vocabulary is None else source.name.removesuffix(f", {vocabulary.label}")


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
