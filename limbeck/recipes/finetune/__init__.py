"""Fine-tune a model on a task, over several seeds, and keep the best epoch of each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from limbeck.export import load_trained
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._tasks.card import make_card
from limbeck.recipes._tasks.data import AUGMENTED, TaskData
from limbeck.recipes._tasks.folders import share_folder
from limbeck.recipes._tasks.predictions import (
    describe_favourites,
    describe_trivial,
    format_score,
)
from limbeck.recipes._tasks.training import make_budget
from limbeck.recipes.finetune.data import read_data, trained_config
from limbeck.recipes.finetune.distillation import Distillation
from limbeck.recipes.finetune.extension import asks_for_more_epochs, explain_rates
from limbeck.recipes.finetune.seed import train_seed
from limbeck.recipes.finetune.settings import FinetuneSettings, GridSettings
from limbeck.recipes.finetune.training import FinetuneStep as FinetuneStep
from limbeck.recipes.finetune.training import save_model, start_model
from limbeck.report.card import write_card
from limbeck.report.figures import percent
from limbeck.runs import FinetuneRecord, describe_start, start_run
from limbeck.runs.beginning import BeginningPoint, BeginningRecord
from limbeck.sparsity import SparsitySettings
from limbeck.train import Progress, SilentProgress, choose_device

SettingsType = FinetuneSettings

# Names for reports change no weight, and more seeds are more runs.
_MAY_CHANGE = ("seeds", "label", "role", "task_label")


class _Identity(TypedDict):
    inputs: Mapping[str, str]
    may_change: Collection[str]


def run(settings: FinetuneSettings, *, progress: Progress) -> FinetuneRecord:
    """Fine-tunes and scores each seed; one that is finished is not run again, but for more epochs.

    Returns:
        What stands in `result.json`.

    Raises:
        LimbeckError: As `iterate`.
    """
    steps = iterate(settings, progress=progress)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            record: FinetuneRecord = end.value
            return record


def begin(settings: FinetuneSettings, *, share: float, progress: Progress) -> None:
    """Makes a share of the first seed's steps and scores what there is; the run goes on later.

    What `run` ends with afterwards is what it would end with had it never stopped here.

    Args:
        settings: Of the run; without phases before the task, which would be made in whole.
        share: Of the steps, above 0 and below 1.
        progress: Where it reports.

    Raises:
        LimbeckError: As `iterate`.
    """
    points = read_points(settings)
    if any(point.share >= share for point in points):
        return
    before = points[-1].elapsed_seconds if points else 0.0
    started = time.perf_counter()
    steps = iterate(settings, progress=progress)
    with closing(steps):
        for step in steps:
            if step.num_steps is None or step.number < share * step.num_steps:
                continue
            assert step.measure is not None, "there is no phase before"
            scores = step.scores or step.measure()
            point = BeginningPoint(
                share=share,
                step=step.number,
                scores=scores,
                elapsed_seconds=before + time.perf_counter() - started,
            )
            BeginningRecord(epochs=settings.epochs, points=(*points, point)).write(settings.out)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
            progress.log(f"after {percent(share)} of its steps: validation {shown}")
            return


def read_points(settings: FinetuneSettings) -> tuple[BeginningPoint, ...]:
    """Returns where a run of these settings was left, as `begin` leaves it."""
    if not BeginningRecord.exists(settings.out):
        return ()
    known = BeginningRecord.read(settings.out)
    return known.points if known.epochs == settings.epochs else ()


def iterate(
    settings: FinetuneSettings, *, progress: Progress
) -> Generator[FinetuneStep, None, FinetuneRecord]:
    """Does what `run` does, with the caller's turn after each step.

    Whoever leaves early, as by closing the generator, leaves a checkpoint of the last step. SIGINT
    and SIGTERM ask for a stop at the next step in the caller's turn too, unless it is taken as
    `SignalTurns` does.

    Returns:
        What stands in `result.json`.

    Raises:
        DataError: If the task's data can't be used, or a run that goes on began with others.
        MissingHeadError: If the teacher, or a model that keeps its head, has another one.
        SettingsError: If settings do not fit the model or each other.
        TrainingError: If a loss is not finite.
        KeyboardInterrupt: After a checkpoint, when Ctrl-C or SIGTERM asked to stop.
    """
    data = read_data(settings, progress)
    distillation = Distillation.prepare(settings, data)
    identity = _identify(settings, data)
    with start_run(settings.out, "finetune", settings, **identity):
        teacher, layer_teacher, num_rows = None, None, len(data.training)
        if distillation is not None:
            data, teacher, layer_teacher = distillation.load(data, progress)
        num_learned = len(data.training) - len(data.examples.get(AUGMENTED, ()))
        seeds = []
        for seed in settings.seeds:
            record = yield from train_seed(
                settings,
                data,
                teacher=teacher,
                layer_teacher=layer_teacher,
                seed=seed,
                progress=progress,
            )
            seeds.append(record)
        best = max(seeds, key=lambda record: record.rank(data.task.metric))
        share_folder(settings.out / best.folder / "model", settings.out / "model")
        write_card(settings.out / "model", make_card(settings, data, best, records=seeds))
        result = FinetuneRecord(
            **data.names(),
            adapter=None if distillation is None else distillation.teacher.adapter,
            num_left_out=num_rows - num_learned,
            initialise=settings.initialise,
            num_layers=best.num_layers,
            num_parameters=best.num_parameters,
            file_bytes=best.file_bytes,
            best_seed=best.seed,
            seeds=tuple(seeds),
        )
        return result.write(settings.out)


def _identify(settings: FinetuneSettings, data: TaskData) -> _Identity:
    """Returns what makes a run in a folder the same one."""
    more_epochs = ("epochs",) if asks_for_more_epochs(settings) else ()
    return {
        "inputs": hash_inputs(settings.named_models(), data=data),
        "may_change": (*_MAY_CHANGE, *more_epochs),
    }


def plan(settings: FinetuneSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    data = read_data(settings, SilentProgress())
    distillation = Distillation.prepare(settings, data)
    copies = 0 if distillation is None else distillation.copies
    num_made = copies * len(data.examples["train"]) if copies else 0
    num_train = len(data.training) + num_made
    steps_per_epoch = math.ceil(num_train / settings.batch_size)
    budget = make_budget(settings, steps_per_epoch=steps_per_epoch)
    phase, replacing = settings.of_intermediate(), settings.of_replacing()
    start = describe_start(settings.out, "finetune", settings, **_identify(settings, data))
    if asks_for_more_epochs(settings) and not settings.fits_any_length:
        start = f"{start}, its steps made again. {explain_rates(settings)}"
    return {
        "recipe": "finetune",
        **data.names(),
        "out": str(settings.out),
        "run": start,
        "device": str(choose_device(settings.device)),
        "num_layers": trained_config(settings, data).num_hidden_layers,
        **data.sizes(),
        **({f"num_{AUGMENTED}_examples": num_made} if copies else {}),
        "steps_per_epoch": steps_per_epoch,
        **({} if phase is None else {"intermediate": _plan_layers(phase, steps_per_epoch)}),
        **({} if replacing is None else {"replacing": _plan_places(replacing, steps_per_epoch)}),
        **({} if settings.sparsify is None else {"sparsify": _plan_pruning(settings.sparsify)}),
        **({} if settings.quantise is None else {"quantise": _plan_grid(settings.quantise)}),
        "max_steps": budget.max_steps,
        "max_minutes": budget.max_minutes,
        "seeds": list(settings.seeds),
        **({} if distillation is None else distillation.teacher.plan(data)),
    }


def _plan_layers(phase: FinetuneSettings, steps_per_epoch: int) -> dict[str, Any]:
    budget = make_budget(phase, steps_per_epoch=steps_per_epoch)
    return {"losses": list(phase.losses), "max_steps": budget.max_steps}


def _plan_places(phase: FinetuneSettings, steps_per_epoch: int) -> dict[str, Any]:
    return {"max_steps": make_budget(phase, steps_per_epoch=steps_per_epoch).max_steps}


def _plan_pruning(sparsify: SparsitySettings) -> dict[str, Any]:
    goal: float | None = getattr(sparsify, "density", None)
    return {"method": sparsify.method, "density": "as the penalty leaves" if goal is None else goal}


def _plan_grid(quantise: GridSettings) -> dict[str, Any]:
    target = load_trained(quantise.weights).shown_name
    return {**quantise.model_dump(), "written_by": f"limbeck export --to {target}"}


def prepare_model(settings: FinetuneSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the model as it stands before the first step."""
    data = read_data(settings, SilentProgress())
    Distillation.prepare(settings, data)
    return partial(save_model, start_model(settings, data), settings, data)


def summarise(result: FinetuneRecord) -> str:
    """Formats a result: each seed's main metric on each split, beside one answer for all."""
    lines = []
    for seed in result.seeds:
        scores = seed.scores.items()
        shown = ", ".join(f"{split} {format_score(v, result.metric)}" for split, v in scores)
        epoch = f"best epoch {seed.best_epoch:g}"
        left = "" if seed.density is None else f", {percent(seed.density)} of the weights left"
        lines.append(f"{result.label}, seed {seed.seed}: {shown} ({epoch}{left})")
        lines += describe_favourites(seed.trivial)
    lines += describe_trivial(result.trivial, result.metric)
    return "\n".join(lines)
