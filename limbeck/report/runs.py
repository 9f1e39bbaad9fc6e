"""Reads run folders: what `finetune`, `evaluate` and `distill` left there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.tasks import Record
from limbeck.train.metrics import read_metrics

_RESULT_KEYS = (
    "task",
    "metric",
    "label",
    "role",
    "model",
    "num_layers",
    "num_parameters",
    "file_bytes",
)
_RECIPES = ("finetune", "evaluate")


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One fine-tuned model and what it scored.

    Attributes:
        seed: Its seed; None for a model that was only evaluated.
        folder: Its run folder, with `predictions.jsonl`.
        model: Its model folder or Hub id.
        scores: Per split, the metrics.
        best_epoch: The epoch whose weights were kept.
        elapsed_seconds: Training time.
    """

    seed: int | None
    folder: Path
    model: str
    scores: dict[str, dict[str, float]]
    best_epoch: int | None
    elapsed_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class FinetuneRun:
    """A model fine-tuned on a task with one seed or several, or evaluated as it was.

    Attributes:
        folder: The run folder.
        task: Name of the task.
        metric: Name of its main metric.
        label: Name of the model to show.
        role: `teacher`, `student`, `baseline` or `other`.
        model: The model folder or Hub id that was fine-tuned or evaluated.
        num_layers: Encoder layers.
        num_parameters: Parameters, the head included.
        file_bytes: Size of the weight file.
        seeds: One entry per seed.
        labels: The labels in the task's order; empty if it has none or they are not written down.
        record: The run's `run.json`, empty if there is none.
    """

    folder: Path
    task: str
    metric: str
    label: str
    role: str
    model: str
    num_layers: int
    num_parameters: int
    file_bytes: int
    seeds: tuple[SeedRun, ...]
    labels: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)

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
        result: Its `result.json`, empty if it has not finished.
        record: Its `run.json`, empty if there is none.
    """

    folder: Path
    train: list[dict[str, Any]]
    evaluate: list[dict[str, Any]]
    result: dict[str, Any]
    record: dict[str, Any]


def read_finetune_run(folder: Path) -> FinetuneRun:
    """Reads a finished run of `finetune`, or one of `evaluate` as a model of one seed.

    Raises:
        DataError: If the folder is missing, its run has not finished, is of another recipe, or
            `result.json` lacks a field.
    """
    result = _read_result(folder)
    recipe = result.get("recipe")
    if recipe not in _RECIPES:
        raise DataError(
            f"{folder} holds a run of '{recipe}', not of '{_RECIPES[0]}' or '{_RECIPES[1]}'; a "
            "report joins those, and takes a distillation as its distill run"
        )
    needed = (*_RESULT_KEYS, *(("seeds",) if recipe == "finetune" else ("split", "scores")))
    missing = [key for key in needed if key not in result]
    if missing or result.get("seeds") == []:
        raise DataError(
            f"{folder / 'result.json'} lacks {', '.join(missing) or 'any seed'}; "
            f"run limbeck {recipe} again with this version"
        )
    if recipe == "finetune":
        seeds = tuple(_seed_run(folder, entry) for entry in result["seeds"])
    else:
        seeds = (_evaluated(folder, result),)
    return FinetuneRun(
        folder=folder,
        seeds=seeds,
        labels=tuple(result["labels"]) if "labels" in result else _labels_of(seeds[0].model),
        record=_read_json(folder / "run.json") if (folder / "run.json").exists() else {},
        **{key: result[key] for key in _RESULT_KEYS},
    )


def read_distill_run(folder: Path) -> DistillRun:
    """Reads a distillation, finished or not.

    Raises:
        DataError: If there are no metrics in the folder.
    """
    lines = sorted(read_metrics(folder), key=lambda line: line.get("step", 0))
    if not lines:
        raise DataError(
            f"{folder} has no metrics.jsonl with at least one line: it is not the folder of a "
            "distillation that has started"
        )
    return DistillRun(
        folder=folder,
        train=[line for line in lines if line.get("kind") == "train"],
        evaluate=[line for line in lines if line.get("kind") == "evaluate"],
        result=_read_json(folder / "result.json") if (folder / "result.json").exists() else {},
        record=_read_json(folder / "run.json") if (folder / "run.json").exists() else {},
    )


def read_predictions(run: FinetuneRun, split: str) -> list[list[Record]]:
    """Reads what every seed of a run predicted on a split, each in the order of the examples.

    Raises:
        DataError: If a seed has no predictions for the split, they are not complete, or seeds
            disagree on what the examples are.
    """
    seeds = [_read_records(seed.folder / "predictions.jsonl", split) for seed in run.seeds]
    for seed, records in zip(run.seeds, seeds, strict=True):
        problem = find_difference(records, seeds[0])
        if problem:
            raise DataError(
                f"{seed.folder} and {run.seeds[0].folder} were not scored on the same {split} "
                f"examples: {problem}; fine-tune again with the same data for all seeds"
            )
    return seeds


def find_difference(records: Sequence[Record], others: Sequence[Record]) -> str | None:
    """Says in what examples two lists of predictions differ, or returns None."""
    if len(records) != len(others):
        return f"{len(records)} predictions against {len(others)}"
    for record, other in zip(records, others, strict=True):
        if record["index"] != other["index"]:
            return "the indices differ"
        if record["label"] != other["label"]:
            return f"example {record['index']} has label {record['label']} against {other['label']}"
    return None


def _seed_run(folder: Path, entry: dict[str, Any]) -> SeedRun:
    return SeedRun(
        seed=entry["seed"],
        # By its name and not by the path written down: a run folder may have been moved.
        folder=folder / f"seed-{entry['seed']}",
        model=str(folder / f"seed-{entry['seed']}" / "model"),
        scores={split: entry[split] for split in ("validation", "test") if entry.get(split)},
        best_epoch=entry.get("best_epoch"),
        elapsed_seconds=entry.get("elapsed_seconds"),
    )


def _evaluated(folder: Path, result: dict[str, Any]) -> SeedRun:
    return SeedRun(
        seed=None,
        folder=folder,
        model=result["model"],
        scores={result["split"]: result["scores"]} if result["scores"] else {},
        best_epoch=None,
        elapsed_seconds=None,
    )


def _labels_of(model: str) -> tuple[str, ...]:
    """Returns the labels in the order of a model's logits; none if its folder is not there."""
    path = Path(model) / "config.json"
    names = _read_json(path).get("id2label", {}) if path.exists() else {}
    return tuple(names[number] for number in sorted(names, key=int))


def _read_result(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise DataError(f"there is no run folder {folder}")
    if not (folder / "result.json").exists():
        state = "has not finished" if (folder / "run.json").exists() else "is not a run folder"
        raise DataError(
            f"{folder} has no result.json: it {state}; start it again with the same settings "
            "to let it finish"
        )
    return _read_json(folder / "result.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} holds {type(value).__name__}, expected a JSON object")
    return value


def _read_records(path: Path, split: str) -> list[Record]:
    """Returns the labelled predictions of a split, sorted by index."""
    if not path.exists():
        raise DataError(f"{path} is missing; run that seed or evaluation again, which writes it")
    records: list[Record] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not a JSON object: {error}") from None
        if record.get("split") == split and record.get("label") is not None:
            records.append(record)
    if not records:
        raise DataError(f"{path} has no labelled prediction of the split '{split}'")
    return sorted(records, key=itemgetter("index"))


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
