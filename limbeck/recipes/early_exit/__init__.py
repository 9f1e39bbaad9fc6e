"""Give a fine-tuned model early exits: inputs leave where a head on an inner layer is sure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from limbeck.checkpoints import ExitInfo, holds_exits, read_inherited
from limbeck.checkpoints.exits import require_bound
from limbeck.errors import SettingsError
from limbeck.inference.footprint import Footprint
from limbeck.inference.speed import Speed
from limbeck.models import EarlyExitModel, Model, usual_uncertainty
from limbeck.objectives.exits import require_logits_alone
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._machine import require_machine
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes._tasks.footprints import measure_memory
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes._tasks.memory import recall_task, write_memory
from limbeck.recipes._tasks.models import load_fine_tuned
from limbeck.recipes._tasks.predictions import describe_model
from limbeck.recipes._tasks.speeds import keep_speeds
from limbeck.recipes._tasks.training import make_budget
from limbeck.recipes._teacher import FULL, evaluation_settings, require_something_to_keep
from limbeck.recipes.early_exit.choosing import Answers, Outcome, choose_outcome
from limbeck.recipes.early_exit.costs import EXITS, count_operations, measure
from limbeck.recipes.early_exit.parts import Parts
from limbeck.recipes.early_exit.result import (
    Found,
    describe_exits,
    describe_tried,
    make_record,
    make_section,
    summarise_result,
)
from limbeck.recipes.early_exit.settings import EarlyExitSettings
from limbeck.recipes.early_exit.training import drop_checkpoints, train_exits
from limbeck.recipes.evaluate import keep_predictions
from limbeck.report import figures, wording
from limbeck.report.card import Card, CardScore, write_card
from limbeck.report.facts import Names, Report
from limbeck.report.runs import read_finetune_run
from limbeck.report.write import write_report
from limbeck.runs import (
    EarlyExitRecord,
    EvaluateRecord,
    Role,
    describe_start,
    require_model_files,
    start_run,
)
from limbeck.train import Progress, SilentProgress, choose_device
from limbeck.version import __version__

SettingsType = EarlyExitSettings
summarise = summarise_result

_ABOUT_EXITS = (
    "Exits are taken by limbeck.pipeline, limbeck predict, evaluate and bench, where torch runs "
    "the model. transformers, and AutoModelForSequenceClassification of limbeck, load the model "
    "itself from this folder, which runs all layers and is as it was. An export of it to another "
    "format would have no exits, and is refused."
)
_MAY_CHANGE = ("task_label", "measure")


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """A run of which all has been checked that can be before anything is computed.

    Attributes:
        settings: Of the run.
        parts: The task's data, as the model reads them.
        info: Where exits will be; the bound is that which was given, or 0.
    """

    settings: EarlyExitSettings
    parts: Parts
    info: ExitInfo

    @classmethod
    def prepare(cls, settings: EarlyExitSettings, progress: Progress) -> Self:
        """Checks settings, model and data.

        Raises:
            DataError: If the task's data can't be used, or the model's labels are not the task's.
            MissingHeadError: If the model has no head for the task.
            SettingsError: If settings do not fit the model or each other.
        """
        require_machine(settings)
        settings = recall_task(settings, progress)
        parts = Parts.read(settings, progress)
        require_logits_alone(build_task_losses(parts.data.task, settings.losses))
        config = parts.data.config
        measured = settings.uncertainty or usual_uncertainty(config)
        require_bound(settings.bound or 0.0, uncertainty=measured)
        layers = settings.layers
        if layers is None:
            layers = tuple(range(1, max(config.num_places, 2)))
        elif layers[0] < 1:
            raise SettingsError(
                f"layers = {list(layers)}: layers are counted from 1; accepted: 1 to "
                f"{config.num_places - 1}"
            )
        if holds_exits(parts.data.folder):
            progress.log(f"{settings.model} has early exits, which are left aside for new ones")
        info = ExitInfo(layers=layers, uncertainty=measured, bound=settings.bound or 0.0)
        found = cls(settings=settings, parts=parts, info=info)
        found.load()
        return found

    def load(self) -> EarlyExitModel:
        """Loads the model, with exits that are yet to learn.

        Raises:
            MissingHeadError: If it has no head for the task.
            SettingsError: If it can't have such exits.
        """
        data = self.parts.data
        model = load_fine_tuned(data.task, data.folder, name=self.settings.model)
        assert isinstance(model, Model), "of a family that is ours, whose data were read"
        return EarlyExitModel(model, self.info)

    def inputs(self) -> dict[str, str]:
        """Returns the checksums of what the run is given."""
        return hash_inputs(self.settings.named_models(), data=self.parts.data)

    def choose_bound(self, tried: Sequence[Outcome], progress: Progress) -> float:
        """Returns the bound that was given, or the one that keeps enough."""
        if self.settings.bound is not None:
            return self.settings.bound
        chosen, whole = choose_outcome(tried, retain=self.settings.retain), tried[0]
        metric = wording.metric_name(self.parts.data.task.metric)
        progress.log(
            f"bound {chosen.bound:.4g}, chosen {self.parts.describe()}: {metric} "
            f"{figures.points(chosen.score)} of {figures.points(whole.score)} points, "
            f"{chosen.mean_layers:.2f} layers of {whole.mean_layers:g}"
        )
        return chosen.bound

    def write(self, model: EarlyExitModel, folder: Path) -> None:
        """Writes a model with exits, its tokenizer and its task."""
        model.save_pretrained(folder)
        self.parts.data.tokenizer.for_model(model.config).save_pretrained(folder)
        write_memory(folder, self.settings)


def run(settings: EarlyExitSettings, *, progress: Progress) -> EarlyExitRecord:
    """Trains exits, chooses the bound, and puts the model with both into `out/model`.

    Returns:
        What stands in `result.json`.

    Raises:
        CheckpointError: If the model can't be read, or its `limbeck.json` is wrong.
        DataError: If the task's data can't be used, the model's labels are not the task's, it has
            learned nothing, or a run that goes on began with other examples.
        MissingHeadError: If the model has no head for the task.
        SettingsError: If settings do not fit the model or each other.
        TrainingError: If a loss is not finite.
        KeyboardInterrupt: After a checkpoint, when Ctrl-C or SIGTERM asked to stop.
    """
    planned = _Plan.prepare(settings, progress)
    settings, parts = planned.settings, planned.parts
    with start_run(
        settings.out, "early_exit", settings, inputs=planned.inputs(), may_change=_MAY_CHANGE
    ) as run_folder:
        folder = settings.out / "model"
        earlier = run_folder.finished(EarlyExitRecord)
        if earlier is not None:
            remedy = f"remove {settings.out}, and the same command makes it again"
            require_model_files(folder, earlier.model_files, remedy=remedy)
            drop_checkpoints(settings)  # a kill may have come between record and this
            progress.log(f"{settings.out} is already complete")
            return earlier
        model = planned.load().to(choose_device(settings.device))
        full = _evaluate(planned, model.model, FULL)
        require_something_to_keep(read_finetune_run(full), parts.split, name=settings.model)
        num_steps = train_exits(model, settings, parts.data, progress=progress)
        choosing = Answers.of(model, parts.choosing, progress=progress)
        bounds = sorted({*choosing.list_bounds(), planned.info.bound})
        tried = [choosing.try_bound(bound) for bound in bounds]
        model = model.with_bound(planned.choose_bound(tried, progress))
        planned.write(model, folder)
        reported = Answers.of(model, parts.reported, progress=progress)
        own = _evaluate(planned, model, EXITS)
        operations = count_operations(model, num_tokens=parts.num_tokens)
        found = Found(
            model=model,
            parts=parts,
            num_steps=num_steps,
            exits=describe_exits(reported, operations[:-1]),
            full_operations=operations[-1],
            tried=describe_tried(tried, [reported.try_bound(bound) for bound in bounds]),
            speeds=_measure(planned, model, progress),
            memory=_measure_memory(planned, folder, progress),
            retain=None if settings.bound is not None else settings.retain,
        )
        report = _write_report(planned, found, full, own)
        write_card(folder, _make_card(planned, found, report))
        record = make_record(found, report, folder=folder, runs=(full, own)).write(settings.out)
        drop_checkpoints(settings)
        return record


def plan(settings: EarlyExitSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    planned = _Plan.prepare(settings, SilentProgress())
    settings, parts, model = planned.settings, planned.parts, planned.load()
    operations = count_operations(model, num_tokens=parts.num_tokens)
    most, whole = figures.percent(operations[0] / operations[-1]), model.model.num_parameters
    steps_per_epoch = math.ceil(len(parts.data.training) / settings.batch_size)
    start = describe_start(
        settings.out, "early_exit", settings, inputs=planned.inputs(), may_change=_MAY_CHANGE
    )
    chosen = f"keeps {figures.percent(settings.retain)} of the score {parts.describe()}. "
    chosen += parts.describe_reported()
    return {
        "recipe": "early_exit",
        "task": settings.task_label or parts.data.task.name,
        "metric": parts.data.task.metric,
        "model": f"{settings.model}, {whole:,} parameters",
        "out": str(settings.out),
        "run": start,
        "device": str(choose_device(settings.device)),
        **parts.data.sizes(),
        "exits": f"after layers {', '.join(map(str, model.info.layers))} of "
        f"{model.model.encoder.num_layers}",
        "uncertainty": model.info.uncertainty,
        "bound": chosen if settings.bound is None else f"{settings.bound:g}",
        "num_parameters": f"{model.num_parameters - whole:,} more",
        "operations": f"at the first exit {most} of the full model's, on a text of "
        f"{parts.num_tokens} tokens",
        "steps": make_budget(settings, steps_per_epoch=steps_per_epoch).max_steps,
    }


def prepare_model(settings: EarlyExitSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the model with exits that are yet to learn."""
    planned = _Plan.prepare(settings, SilentProgress())
    return partial(planned.write, planned.load())


def _evaluate(planned: _Plan, model: Model | EarlyExitModel, label: str) -> Path:
    """Scores the model without or with exits on what is reported, unless done before."""
    settings, parts = planned.settings, planned.parts
    is_full = label == FULL
    role: Role = "teacher" if is_full else "student"
    folder = parts.data.folder if is_full else settings.out / "model"
    own = evaluation_settings(
        settings,
        model=settings.model if is_full else folder,
        split=parts.split,
        out=settings.out / folder_name(label),
        label=label,
        role=role,
        device=settings.device,
    )
    if not EvaluateRecord.exists(own.out):
        data = replace(parts.reported, settings=own)
        keep_predictions(
            own,
            data,
            predict=lambda: data.predict(model, parts.split),
            size=describe_model(model, folder),
            adapter=None,
            started=time.perf_counter(),
        )
    return own.out


def _measure(planned: _Plan, model: EarlyExitModel, progress: Progress) -> dict[str, Speed]:
    """Measures the speed without and with exits, unless that is not wanted."""
    settings = planned.settings
    if not settings.measure:
        return {}
    return keep_speeds(
        [FULL, EXITS],
        partial(measure, model, planned.parts, progress),
        out=settings.out,
        progress=progress,
    )


def _measure_memory(planned: _Plan, folder: Path, progress: Progress) -> dict[str, Footprint]:
    """Measures what both models take of memory, unless that is not wanted."""
    settings = planned.settings
    if not settings.measure:
        return {}
    models = {FULL: planned.parts.data.folder, EXITS: folder}
    return measure_memory(models, device=settings.device, progress=progress)


def _write_report(planned: _Plan, found: Found, full: Path, own: Path) -> Report:
    settings, task = planned.settings, planned.parts.data.task
    speeds = found.speeds
    return write_report(
        [full, own],
        out=settings.out / "report",
        teacher=str(full),
        title=f"{show_model(settings.model)} with early exits for "
        f"{settings.task_label or task.name}",
        notes=[said for said in (found.describe_way(), found.describe_memory()) if said],
        sections=[make_section(found)],
        measure=(lambda _runs, _split: speeds) if speeds else None,
        names=Names(reference=FULL, model="model with early exits"),
    )


def _make_card(planned: _Plan, found: Found, report: Report) -> Card:
    settings, data = planned.settings, planned.parts.data
    name = show_model(settings.model)
    student = report.model(EXITS)
    return Card(
        name=f"{name}, with early exits",
        summary=f"{name} with early exits for {report.task}, made with limbeck {__version__}. "
        f"{found.describe_way()}",
        auto_class=data.task.auto_model.__name__,
        task=report.task,
        scores=[
            CardScore(
                split=report.split,
                metric=report.metric,
                value=student.scores.mean,
                num_examples=report.num_examples,
            )
        ],
        made={
            "Recipe": f"limbeck early-exit {__version__}",
            "Started from": name,
            "Exits after layers": ", ".join(map(str, found.model.info.layers)),
            "Layers run on average": f"{found.mean_layers:.2f} of {found.exits[-1].layer}",
            "Steps": f"{found.num_steps:,}",
        },
        notes=[report.headline, _ABOUT_EXITS],
        base_model=settings.model,
        pipeline_tag=data.task.pipeline_tag,
        inherited=read_inherited(data.folder),
    )
