"""Reads run folders: what `finetune` and `distill` left there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck.errors import DataError
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
    "seeds",
)


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One fine-tuning of one model.

    Attributes:
        seed: Its seed.
        folder: Its run folder, with `model/` and `predictions.jsonl`.
        scores: Per split, the metrics.
        best_epoch: The epoch whose weights were kept.
        elapsed_seconds: Training time.
    """

    seed: int
    folder: Path
    scores: dict[str, dict[str, float]]
    best_epoch: int | None
    elapsed_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class FinetuneRun:
    """A model fine-tuned on a task with one seed or several.

    Attributes:
        folder: The run folder.
        task: Name of the task.
        metric: Name of its main metric.
        label: Name of the model to show.
        role: `teacher`, `student`, `baseline` or `other`.
        model: The model folder or Hub id that fine-tuning started from.
        num_layers: Encoder layers.
        num_parameters: Parameters, the head included.
        file_bytes: Size of the weight file.
        seeds: One entry per seed.
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
    record: dict[str, Any] = field(default_factory=dict)

    def scores(self, split: str) -> list[float]:
        """Returns the main metric on a split, one value per seed."""
        return [seed.scores[split][self.metric] for seed in self.seeds]

    def class_names(self) -> list[str]:
        """Returns the labels in the order of the model's logits; empty if no model says."""
        path = self.seeds[0].folder / "model" / "config.json"
        names = _read_json(path).get("id2label", {}) if path.exists() else {}
        return [names[number] for number in sorted(names, key=int)]

    def has_split(self, split: str) -> bool:
        """Tells whether every seed was scored on a split."""
        return all(self.metric in seed.scores.get(split, {}) for seed in self.seeds)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model predicted on a split, in the order of the examples' indices.

    Attributes:
        index: The examples' indices, (examples,).
        labels: Their true labels, (examples,).
        predictions: Predicted labels, (seeds, examples).
    """

    index: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]
    predictions: npt.NDArray[Any]


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
    """Reads a finished fine-tuning run.

    Raises:
        DataError: If the folder is missing, its run has not finished, is of another recipe, or
            `result.json` lacks a field.
    """
    result = _read_result(folder)
    recipe = result.get("recipe")
    if recipe != "finetune":
        raise DataError(
            f"{folder} holds a run of '{recipe}', not of 'finetune'; a report joins runs of "
            "finetune, and takes a distillation as its distill run"
        )
    missing = [key for key in _RESULT_KEYS if key not in result]
    if missing or not result["seeds"]:
        raise DataError(
            f"{folder / 'result.json'} lacks {', '.join(missing) or 'any seed'}; "
            "run the fine-tuning again with this version"
        )
    values = {key: result[key] for key in _RESULT_KEYS if key != "seeds"}
    return FinetuneRun(
        folder=folder,
        seeds=tuple(_seed_run(folder, entry) for entry in result["seeds"]),
        record=_read_json(folder / "run.json") if (folder / "run.json").exists() else {},
        **values,
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


def read_predictions(run: FinetuneRun, split: str) -> Predictions:
    """Reads what every seed of a run predicted on a split.

    Raises:
        DataError: If a seed has no predictions for the split, they are not complete, or seeds
            disagree on what the examples are.
    """
    seeds = [_read_seed_predictions(seed.folder / "predictions.jsonl", split) for seed in run.seeds]
    first = seeds[0]
    for seed, (index, labels, _) in zip(run.seeds, seeds, strict=True):
        problem = find_difference((index, labels), (first[0], first[1]))
        if problem:
            raise DataError(
                f"{seed.folder} and {run.seeds[0].folder} were not scored on the same {split} "
                f"examples: {problem}; fine-tune again with the same data for all seeds"
            )
    return Predictions(
        index=first[0], labels=first[1], predictions=np.stack([p for _, _, p in seeds])
    )


def find_difference(
    examples: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    others: tuple[npt.NDArray[Any], npt.NDArray[Any]],
) -> str | None:
    """Says in what two sets of (indices, labels) differ, or returns None."""
    if len(examples[0]) != len(others[0]):
        return f"{len(examples[0])} predictions against {len(others[0])}"
    if not np.array_equal(examples[0], others[0]):
        return "the indices differ"
    changed = np.flatnonzero(examples[1] != others[1])
    if len(changed):
        at = changed[0]
        return f"example {examples[0][at]} has label {examples[1][at]} against {others[1][at]}"
    return None


def _seed_run(folder: Path, entry: dict[str, Any]) -> SeedRun:
    return SeedRun(
        seed=entry["seed"],
        # By its name and not by the path written down: a run folder may have been moved.
        folder=folder / f"seed-{entry['seed']}",
        scores={split: entry[split] for split in ("validation", "test") if entry.get(split)},
        best_epoch=entry.get("best_epoch"),
        elapsed_seconds=entry.get("elapsed_seconds"),
    )


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


def _read_seed_predictions(
    path: Path, split: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[Any]]:
    """Returns indices, labels and predictions, sorted by index."""
    if not path.exists():
        raise DataError(f"{path} is missing; fine-tune that seed again, which writes it")
    records: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not a JSON object: {error}") from None
        if record.get("split") == split and record.get("label") is not None:
            records.append(record)
    if not records:
        raise DataError(f"{path} has no labelled prediction of the split '{split}'")
    records.sort(key=itemgetter("index"))
    return (
        np.array([record["index"] for record in records], dtype=np.int64),
        np.array([record["label"] for record in records]),
        np.array([record["prediction"] for record in records]),
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
