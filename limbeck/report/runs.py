"""Reads run folders for a report: what `finetune` and `evaluate` left there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from limbeck.errors import DataError
from limbeck.inference.speed import Speed
from limbeck.runs import (
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


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One model of a run.

    Attributes:
        folder: Where its `predictions.jsonl` is.
        model: Its model folder or Hub id.
        scores: Per split, the metrics.
        predictions_sha256: Of its `predictions.jsonl`.
        record: How it was trained; None for a model that was only evaluated.
    """

    folder: Path
    model: str
    scores: dict[str, dict[str, float]]
    predictions_sha256: str
    record: SeedRecord | None = None

    @property
    def seed(self) -> int | None:
        """Its seed; None for a model that was only evaluated."""
        return None if self.record is None else self.record.seed


@dataclass(frozen=True, kw_only=True)
class FinetuneRun:
    """A model fine-tuned on a task with one seed or several, or evaluated as it was.

    Attributes:
        folder: The run folder.
        record: How the run was begun.
        result: What came of it.
        role: The model's part in the report, which may differ from its part in the result.
    """

    folder: Path
    record: RunRecord
    result: FinetuneRecord | EvaluateRecord
    role: Role

    @property
    def label(self) -> str:
        """Name of the model to show."""
        return self.result.label

    @property
    def seeds(self) -> tuple[SeedRun, ...]:
        """One entry per seed; a model that was only evaluated has one."""
        result = self.result
        if isinstance(result, EvaluateRecord):
            evaluated = SeedRun(
                folder=self.folder,
                model=result.model,
                scores={result.split: result.scores} if result.scores else {},
                predictions_sha256=result.predictions_sha256,
            )
            return (evaluated,)
        # The record has the folder's name and no path, since a run folder may have been moved.
        return tuple(
            SeedRun(
                folder=self.folder / seed.folder,
                model=str(self.folder / seed.folder / "model"),
                scores=seed.scores,
                predictions_sha256=seed.predictions_sha256,
                record=seed,
            )
            for seed in result.seeds
        )

    def scores(self, split: str) -> list[float]:
        """Returns the main metric on a split, one value per seed."""
        return [seed.scores[split][self.result.metric] for seed in self.seeds]

    def has_split(self, split: str) -> bool:
        """Tells whether every seed was scored on a split."""
        return all(self.result.metric in seed.scores.get(split, {}) for seed in self.seeds)


Measure = Callable[[Sequence[FinetuneRun], str], Mapping[str, Speed]]
"""Measures the models of runs on the examples of a split; gives each one's speed by its label."""


def read_finetune_run(folder: Path) -> FinetuneRun:
    """Reads a finished run of `finetune`, or one of `evaluate` as a model of one seed.

    Raises:
        DataError: If the folder is missing, its run has not finished, is of another recipe, or a
            record can't be used.
    """
    result = read_task_record(folder)
    record = RunRecord.read(folder)
    return FinetuneRun(folder=folder, record=record, result=result, role=result.role)


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
        f"{runs[0].result.metric}"
    )
