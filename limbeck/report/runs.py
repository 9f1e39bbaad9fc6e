"""Reads run folders for a report: what `finetune`, `evaluate` and `distill` left there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from limbeck.errors import DataError
from limbeck.inference.speed import Speed
from limbeck.runs import (
    DistillRecord,
    EvaluateRecord,
    FinetuneRecord,
    Role,
    RunRecord,
    SeedRecord,
    read_predictions,
    read_task_record,
)
from limbeck.runs.predictions import find_difference
from limbeck.tasks import Record
from limbeck.train.metrics import MetricLine, read_metrics


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One fine-tuned model and what it scored.

    Attributes:
        seed: Its seed; None for a model that was only evaluated.
        folder: Its run folder, with `predictions.jsonl`.
        model: Its model folder or Hub id.
        scores: Per split, the metrics.
        elapsed_seconds: Training time; None for a model that was only evaluated.
        predictions_sha256: Of its `predictions.jsonl`.
        record: How it was trained; None for a model that was only evaluated.
    """

    seed: int | None
    folder: Path
    model: str
    scores: dict[str, dict[str, float]]
    elapsed_seconds: float | None
    predictions_sha256: str
    record: SeedRecord | None


@dataclass(frozen=True, kw_only=True)
class FinetuneRun:
    """A model fine-tuned on a task with one seed or several, or evaluated as it was.

    Attributes:
        folder: The run folder.
        task: Name of the task.
        metric: Name of its main metric.
        label: Name of the model to show.
        role: Its part in the report.
        model: The model folder or Hub id that was fine-tuned or evaluated.
        num_layers: Encoder layers.
        num_parameters: Parameters, the head included.
        file_bytes: Size of the weight file.
        seeds: One entry per seed.
        labels: The labels in the task's order; empty if it has none.
        record: How the run was begun.
    """

    folder: Path
    task: str
    metric: str
    label: str
    role: Role
    model: str
    num_layers: int
    num_parameters: int
    file_bytes: int
    seeds: tuple[SeedRun, ...]
    labels: tuple[str, ...]
    record: RunRecord

    def scores(self, split: str) -> list[float]:
        """Returns the main metric on a split, one value per seed."""
        return [seed.scores[split][self.metric] for seed in self.seeds]

    def has_split(self, split: str) -> bool:
        """Tells whether every seed was scored on a split."""
        return all(self.metric in seed.scores.get(split, {}) for seed in self.seeds)


@dataclass(frozen=True, kw_only=True)
class DistillRun:
    """What a distillation measured on the way.

    Attributes:
        folder: The run folder.
        train: The `train` lines of its metrics, in order of steps.
        evaluate: The `evaluate` lines, in order of steps.
        result: Its result, None if it has not finished.
    """

    folder: Path
    train: list[MetricLine]
    evaluate: list[MetricLine]
    result: DistillRecord | None


Measure = Callable[[Sequence[FinetuneRun], str], Mapping[str, Speed]]
"""Measures the models of runs on the examples of a split; gives each one's speed by its label."""


def read_finetune_run(folder: Path) -> FinetuneRun:
    """Reads a finished run of `finetune`, or one of `evaluate` as a model of one seed.

    Raises:
        DataError: If the folder is missing, its run has not finished, is of another recipe, or a
            record can't be used.
    """
    result = read_task_record(folder)
    return FinetuneRun(
        folder=folder,
        task=result.task,
        metric=result.metric,
        label=result.label,
        role=result.role,
        model=result.model,
        num_layers=result.num_layers,
        num_parameters=result.num_parameters,
        file_bytes=result.file_bytes,
        seeds=_seeds_of(result, folder),
        labels=result.labels,
        record=RunRecord.read(folder),
    )


def read_distill_run(folder: Path) -> DistillRun:
    """Reads a distillation, finished or not.

    Raises:
        DataError: If there are no metrics in the folder, or its result can't be used.
    """
    lines = sorted(read_metrics(folder), key=lambda line: line.step)
    if not lines:
        raise DataError(
            f"{folder} has no metrics.jsonl with at least one line: it is not the folder of a "
            "distillation that has started"
        )
    return DistillRun(
        folder=folder,
        train=[line for line in lines if line.kind == "train"],
        evaluate=[line for line in lines if line.kind == "evaluate"],
        result=DistillRecord.read(folder) if DistillRecord.exists(folder) else None,
    )


def read_all_predictions(run: FinetuneRun, split: str) -> list[list[Record]]:
    """Reads what every seed of a run predicted on a split, each in the order of the examples.

    Raises:
        DataError: If a seed has no predictions for the split, they are not complete, or seeds
            disagree on what the examples are.
    """
    seeds = [
        read_predictions(seed.folder, split, sha256=seed.predictions_sha256) for seed in run.seeds
    ]
    for seed, records in zip(run.seeds, seeds, strict=True):
        problem = find_difference(records, seeds[0])
        if problem:
            raise DataError(
                f"{seed.folder} and {run.seeds[0].folder} were not scored on the same {split} "
                f"examples: {problem}; fine-tune again with the same data for all seeds"
            )
    return seeds


def _seeds_of(result: FinetuneRecord | EvaluateRecord, folder: Path) -> tuple[SeedRun, ...]:
    if isinstance(result, EvaluateRecord):
        evaluated = SeedRun(
            seed=None,
            folder=folder,
            model=result.model,
            scores={result.split: result.scores} if result.scores else {},
            elapsed_seconds=None,
            predictions_sha256=result.predictions_sha256,
            record=None,
        )
        return (evaluated,)
    return tuple(
        SeedRun(
            seed=seed.seed,
            folder=folder / seed.folder,  # a name and no path: a run folder may have been moved
            model=str(folder / seed.folder / "model"),
            scores=seed.scores,
            elapsed_seconds=seed.elapsed_seconds,
            predictions_sha256=seed.predictions_sha256,
            record=seed,
        )
        for seed in result.seeds
    )


def choose_split(runs: Sequence[FinetuneRun]) -> str:
    """Returns the split to report: test if every run was scored on it, else validation.

    Raises:
        DataError: If the runs share neither.
    """
    for split in ("test", "validation"):
        if all(run.has_split(split) for run in runs):
            return split
    lacking = [run.label for run in runs if not run.has_split("validation")]
    raise DataError(
        f"the runs share no scored split: {', '.join(lacking)} has no validation score of "
        f"{runs[0].metric}"
    )
