"""Measures the models of a report on the task's own texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from limbeck.errors import DataError
from limbeck.inference.speed import Speed, Text, measure_speed
from limbeck.report.runs import FinetuneRun
from limbeck.tasks import Task, read_task
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import Progress, choose_device


def measure_runs(
    runs: Sequence[FinetuneRun],
    *,
    split: str,
    num_texts: int = 64,
    repeats: int = 7,
    max_seconds: float = 60.0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Speed]:
    """Measures the first seed's model of every run, all in one run.

    Args:
        runs: Runs of one task.
        split: Where the texts come from; they are taken evenly over it.
        num_texts: Texts in a round.
        repeats: Rounds.
        max_seconds: No round begins after this time, except that at least three are made.
        device: Where to measure, such as `cpu` or `cuda`.
        progress: Where to report.

    Raises:
        DataError: If the first run does not say where its data are, or a model folder is missing.
    """
    task = _read_task(runs[0])
    examples = task.splits[split].examples
    chosen = examples[:: max(1, len(examples) // num_texts)][:num_texts]
    texts: list[Text] = [
        example.text if example.text_pair is None else (example.text, example.text_pair)
        for example in chosen
    ]
    models: dict[str, nn.Module] = {}
    tokenizers: dict[str, Any] = {}
    for run in runs:
        folder = run.seeds[0].folder / "model"
        if not folder.is_dir():
            raise DataError(f"{folder} is missing: the speed of '{run.label}' can't be measured")
        models[run.label] = task.load_model(folder, new_head=False).to(choose_device(device))
        tokenizers[run.label] = AutoTokenizer.from_pretrained(folder)
    return measure_speed(
        models,
        tokenizers,
        texts=texts,
        repeats=repeats,
        max_seconds=max_seconds,
        max_length=int(_settings(runs[0]).get("max_length", 128)),
        progress=progress,
    )


def _read_task(run: FinetuneRun) -> Task:
    settings = _settings(run)
    if "data" not in settings:
        raise DataError(
            f"{run.folder / 'run.json'} does not say which data the run used, so there are no "
            "texts to measure speed on; report without measuring (measure=False)"
        )
    return read_task(
        settings.get("task", run.task), settings["data"], options=settings.get("task_options")
    )


def _settings(run: FinetuneRun) -> dict[str, Any]:
    settings: dict[str, Any] = run.record.get("settings", {})
    return settings
