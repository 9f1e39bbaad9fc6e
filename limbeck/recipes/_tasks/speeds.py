"""The speed of the models of several runs, measured side by side on the task's own examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.checkpoints import resolve_folder
from limbeck.data.sampling import take_evenly
from limbeck.errors import DataError
from limbeck.inference import Engine
from limbeck.inference.speed import Speed, measure_speed
from limbeck.recipes._tasks.data import read_inputs
from limbeck.recipes._tasks.models import load_runner
from limbeck.report.runs import FinetuneRun
from limbeck.runs import SpeedsRecord, hash_model_files
from limbeck.runs.machine import describe_hardware
from limbeck.tasks import Split, Task, collate, read_task
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress


def measure_runs(
    runs: Sequence[FinetuneRun],
    split: str,
    *,
    num_examples: int = 64,
    repeats: int = 7,
    max_seconds: float = 60.0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Speed]:
    """Measures the first seed's model of every run, all in one run.

    Args:
        runs: Runs of one task.
        split: Where the examples come from; they are taken evenly over it.
        num_examples: Examples in a round.
        repeats: Rounds.
        max_seconds: No round begins after this time, except that at least three are made.
        device: Where to measure, such as `cpu` or `cuda`.
        progress: Where to report.

    Raises:
        DataError: If the first run does not say where its data are, or a model folder is missing.
    """
    task = _read_task(runs[0])
    examples = task.splits[split].examples
    models: dict[str, nn.Module | Engine] = {}
    encoders: dict[str, Callable[..., dict[str, Tensor]]] = {}
    for run in runs:
        folder = _model_folder(run)
        # Exports get as many threads as torch has: else their times would not compare.
        models[run.label] = load_runner(
            task, folder, name=run.label, device=device, num_threads=torch.get_num_threads()
        )
        encoders[run.label] = make_encoder(task, read_inputs(folder, any_family=True)[1])
    return measure_speed(
        models,
        encoders,
        texts=take_evenly(examples, num_examples),
        repeats=repeats,
        max_seconds=max_seconds,
        max_length=int(runs[0].record.settings.get("max_length", 128)),
        progress=progress,
    )


def measure_once(
    runs: Sequence[FinetuneRun], *, out: Path, split: str, device: str, progress: Progress
) -> dict[str, Speed]:
    """Does what `measure_runs` does, unless it was done on this machine before.

    Args:
        runs: The models; a label stands for the same model as long as the run folder does.
        out: The run folder, which keeps what was measured.
        split: Where the examples come from.
        device: Where to measure.
        progress: Where to report.
    """
    return keep_speeds(
        [run.label for run in runs],
        partial(measure_runs, runs, split, device=device, progress=progress),
        out=out,
        progress=progress,
    )


def keep_speeds(
    labels: Sequence[str],
    measure: Callable[[], dict[str, Speed]],
    *,
    out: Path,
    progress: Progress,
) -> dict[str, Speed]:
    """Measures all models in one run, unless all of them were measured so on this machine before.

    Args:
        labels: The models.
        measure: Measures them.
        out: The run folder, which keeps what was measured.
        progress: Where to report.
    """
    machine = describe_hardware()
    if SpeedsRecord.exists(out):
        found = SpeedsRecord.read(out)
        if found.machine == machine and set(labels) <= set(found.speeds):
            progress.log("the speed of all was measured before")
            return {label: found.speeds[label] for label in labels}
    progress.log("measuring the speed of all, side by side")
    speeds = measure()
    SpeedsRecord(machine=machine, speeds=speeds).write(out)
    return speeds


class Measured(NamedTuple):
    """Speeds of several models.

    Attributes:
        speeds: By the model's label.
        references: The first model's in the same rounds, by the label of another: those alone
            compare with each other where not all were measured at once.
    """

    speeds: dict[str, Speed]
    references: dict[str, Speed]


def measure_in_turns(
    runs: Sequence[FinetuneRun], *, out: Path, split: str, device: str, progress: Progress
) -> Measured:
    """Measures what was not measured on this machine yet, in turns with the first run's model.

    Args:
        runs: The models. One whose files are those that were measured before keeps its speed.
        out: The run folder, which keeps what was measured.
        split: Where the examples come from.
        device: Where to measure.
        progress: Where to report.
    """
    machine = describe_hardware()
    models = {run.label: _hash_model(run) for run in runs}
    known = SpeedsRecord(machine=machine, speeds={})
    if SpeedsRecord.exists(out):
        found = SpeedsRecord.read(out)
        known = found if found.machine == machine else known
    first = runs[0].label

    def is_known(label: str) -> bool:
        is_whole = label in known.speeds and (label == first or label in known.references)
        return is_whole and known.models.get(label) == models[label]

    if not is_known(first):  # nothing was held against this one
        known = SpeedsRecord(machine=machine, speeds={})
    new = [run for run in runs if not is_known(run.label)]
    if new:
        turns = [runs[0], *(run for run in new if run is not runs[0])]
        names = "all" if len(turns) == len(runs) else ", ".join(run.label for run in new)
        progress.log(f"measuring the speed of {names}, side by side")
        speeds = measure_runs(turns, split, device=device, progress=progress)
        references = {run.label: speeds[first] for run in turns[1:]}
        known = SpeedsRecord(
            machine=machine,
            speeds=speeds | {k: v for k, v in known.speeds.items() if k not in references},
            references=known.references | references,
            models=known.models | {run.label: models[run.label] for run in turns},
        )
        known.write(out)
    else:
        progress.log("the speed of all was measured before")
    return Measured(
        {run.label: known.speeds[run.label] for run in runs},
        {run.label: known.references[run.label] for run in runs[1:]},
    )


def _hash_model(run: FinetuneRun) -> str:
    files = hash_model_files(_model_folder(run))
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def make_encoder(task: Task, tokenizer: Tokenizer) -> Callable[..., dict[str, Tensor]]:
    """Returns what turns some of a task's examples into a model's inputs, as evaluation does."""

    def encode(examples: Sequence[Any], *, max_length: int, **_: Any) -> dict[str, Tensor]:
        rows = task.encode(Split("timed", examples), tokenizer, max_length=max_length)
        every = range(len(rows))
        batch = collate(task, rows, every, pad_token_id=tokenizer.pad_token_id)
        return {**batch.inputs(), "attention_mask": batch.mask()}

    return encode


def _model_folder(run: FinetuneRun) -> Path:
    """Returns where the first seed's model is."""
    first = run.seeds[0]
    if first.seed is None:
        return resolve_folder(first.model)
    if not Path(first.model).is_dir():
        raise DataError(f"{first.model} is missing: the speed of '{run.label}' can't be measured")
    return Path(first.model)


def _read_task(run: FinetuneRun) -> Task:
    settings = run.record.settings
    if "data" not in settings:
        raise DataError(
            f"{run.folder / 'run.json'} does not say which data the run used, so there are no "
            "examples to measure speed on; report without measuring (--no-measure)"
        )
    return read_task(
        settings.get("task", run.result.task),
        settings.get("data"),
        options=settings.get("task_options"),
    )
