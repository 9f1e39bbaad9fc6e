"""Prune a fine-tuned model: fewer heads, neurons and layers, and the model teaches what is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from limbeck.checkpoints import copy_beside, require_no_exits
from limbeck.inference.footprint import Footprint
from limbeck.methods._choosing import choose_best
from limbeck.methods.prune_units import require_cuttable
from limbeck.models import Model
from limbeck.recipes import evaluate
from limbeck.recipes._compared import find_difference, make_estimate
from limbeck.recipes._importance import score_by_weights
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._tasks.card import make_card, show_model
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.folders import share_folder
from limbeck.recipes._tasks.footprints import describe_memory, measure_memory
from limbeck.recipes._tasks.memory import recall_task
from limbeck.recipes._tasks.models import load_fine_tuned
from limbeck.recipes._tasks.predictions import count_bytes
from limbeck.recipes._tasks.speeds import measure_once
from limbeck.recipes._teacher import (
    FULL,
    list_scored_splits,
    require_something_to_keep,
    teacher_settings,
)
from limbeck.recipes.finetune.data import read_data
from limbeck.recipes.finetune.distillation import Distillation
from limbeck.recipes.finetune.forecast import count_steps
from limbeck.recipes.prune.cutting import Schedule, Shape
from limbeck.recipes.prune.result import (
    describe_kept,
    describe_model,
    describe_round,
    describe_stored,
    describe_way,
    summarise_result,
)
from limbeck.recipes.prune.rounds import LABEL, Round, list_rounds
from limbeck.recipes.prune.settings import PruneSettings
from limbeck.recipes.prune.storing import Stored, predict_bytes
from limbeck.report import figures
from limbeck.report.card import write_card
from limbeck.report.facts import Names, Report
from limbeck.report.runs import read_finetune_run
from limbeck.report.write import write_report
from limbeck.runs import (
    EvaluateRecord,
    FinetuneRecord,
    PruneRecord,
    describe_start,
    hash_model_files,
    require_model_files,
    start_run,
)
from limbeck.train import Progress, SilentProgress, choose_device
from limbeck.version import __version__

SettingsType = PruneSettings
summarise = summarise_result

_MAY_CHANGE = ("task_label", "measure")
_BYTES_A_NUMBER = 4
"""Of the files that a fine-tuning writes, which are in float32."""


@dataclass(frozen=True, kw_only=True)
class _Pruning:
    """A pruning of which all has been checked that can be before anything is computed.

    Attributes:
        settings: Of the run.
        data: The task's, as the model reads them.
        rounds: In their order.
        schedule: What each leaves.
        before: The model's shape.
        planned: What is left at the end; where layers compete, as if each kept the same share.
        sparse_bytes: About the size of its file without zeros; None where it has none, or nobody
            says how many.
    """

    settings: PruneSettings
    data: TaskData
    rounds: Sequence[Round]
    schedule: Schedule
    before: Shape
    planned: Shape
    sparse_bytes: int | None

    @classmethod
    def prepare(cls, settings: PruneSettings, progress: Progress) -> Self:
        """Checks settings, model and data.

        Raises:
            DataError: If the task's data can't be used, or the model's labels are not the task's.
            MissingHeadError: If the model has no head for the task.
            SettingsError: If settings do not fit the model or each other.
        """
        settings = recall_task(settings, progress)
        rounds = list_rounds(settings)
        first = rounds[0].settings.model_copy(update={"model": settings.model})
        data = read_data(first, progress)
        require_no_exits(data.folder, "they stand on layers as these are")
        if first.sparsify is None:  # whose methods say themselves what they can't prune
            require_cuttable(data.config)
        model = load_fine_tuned(data.task, data.folder, name=settings.model)
        assert isinstance(model, Model), "of a family that is ours, whose data were read"
        num_tokens = max(1, round(float(data.training.lengths.mean())))
        schedule = Schedule.plan(settings, model, num_tokens=num_tokens)
        small = _cut_at_once(schedule, model)
        Distillation.prepare(first, replace(data, config=small.config))
        return cls(
            settings=settings,
            data=data,
            rounds=rounds,
            schedule=schedule,
            before=Shape.of(model, num_tokens=num_tokens),
            planned=Shape.of(small, num_tokens=num_tokens),
            sparse_bytes=None
            if schedule.removes_units or settings.density is None
            else predict_bytes(model, settings.density),
        )


def _cut_at_once(schedule: Schedule, model: Model) -> Model:
    """Returns what is left of a model if all rounds are one, and the weights' norms choose.

    Layers that compete for a budget keep about the same share each: which gets how much is measured
    only in the run. Of a model that gets zeros alone all is left.
    """
    if not schedule.removes_units:
        return model
    scores = score_by_weights(model, with_width=schedule.settings.width is not None).of_layers(
        schedule.layers
    )
    heads, neurons, width = schedule.count_units()
    units = choose_best(scores, num_heads=heads, num_neurons=neurons, width=width)
    return schedule.cut(model, units, number=1)


def run(settings: PruneSettings, *, progress: Progress) -> PruneRecord:
    """Cuts and trains in rounds, and puts what is left into `out/model`.

    Returns:
        What stands in `result.json`.

    Raises:
        CheckpointError: If the model can't be read, or its `limbeck.json` is wrong.
        DataError: If the task's data can't be used, the model's labels are not the task's, it has
            learned nothing, or a run that goes on began with other examples.
        MissingHeadError: If the model has no head for the task.
        SettingsError: If settings do not fit the model or each other.
        TrainingError: If a loss is not finite.
        KeyboardInterrupt: When Ctrl-C or SIGTERM asked to stop; finished rounds stay, and of the
            others the last checkpoint.
    """
    pruning = _Pruning.prepare(settings, progress)
    settings, data, last = pruning.settings, pruning.data, pruning.rounds[-1]
    inputs = hash_inputs(settings.named_models(), data=data)
    with start_run(
        settings.out, "prune", settings, inputs=inputs, may_change=_MAY_CHANGE
    ) as run_folder:
        earlier = run_folder.finished(PruneRecord)
        folder = settings.out / "model"
        if earlier is not None:
            remedy = f"remove {settings.out / earlier.FILE_NAME}, and the same command puts it back"
            require_model_files(folder, earlier.model_files, remedy=remedy)
            progress.log(f"{settings.out} is already complete")
            return earlier
        teacher = _score_teacher(pruning, progress)
        for round_ in pruning.rounds:
            round_.cut(pruning.schedule, data, progress=progress)
            if round_.job.is_finished:
                progress.log(f"{round_.job.name}: finished before")
            else:
                round_.train(progress=progress)
        trained = last.find_trained()
        after, stored = _read_model(pruning, trained)
        memory = _measure_memory(pruning, trained, progress) if settings.measure else None
        report = _write_report(pruning, teacher, after, stored, memory, progress)
        share_folder(trained, folder)
        _write_card(pruning, after, report)
        return _make_record(pruning, after, stored, memory, report).write(settings.out)


def plan(settings: PruneSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    pruning = _Pruning.prepare(settings, SilentProgress())
    settings, data = pruning.settings, pruning.data
    before, after, stored = pruning.before, pruning.planned, pruning.sparse_bytes
    rows = {split: len(data.examples[split]) for split in data.examples}
    file_bytes = count_bytes(data.folder)
    about = "" if settings.share_of_all is None else "about "
    start = describe_start(
        settings.out,
        "prune",
        settings,
        inputs=hash_inputs(settings.named_models(), data=data),
        may_change=_MAY_CHANGE,
    )
    return {
        "recipe": "prune",
        "task": settings.task_label or data.task.name,
        "metric": data.task.metric,
        "model": f"{settings.model}, {before.num_parameters:,} parameters",
        "out": str(settings.out),
        "run": start,
        "device": str(choose_device(settings.device)),
        **data.sizes(),
        **({"importance": settings.importance} if settings.chooses_units else {}),
        **({} if settings.sparsity is None else {"method": settings.sparsity.method}),
        **({} if settings.density is None else {"density": settings.density}),
        "num_layers": f"{len(after.num_heads)} of {len(before.num_heads)}",
        "num_heads": _count_units(after.num_heads, before.num_heads, settings),
        "num_neurons": _count_units(after.num_neurons, before.num_neurons, settings),
        **({} if settings.width is None else {"hidden_size": f"{after.width} of {before.width}"}),
        "num_parameters": about + _compare(after.num_parameters, before.num_parameters),
        "operations": about
        + _compare(after.num_operations, before.num_operations)
        + f", of the layers on a text of {pruning.schedule.num_tokens} tokens",
        "file": f"{about}{figures.file_size(_BYTES_A_NUMBER * after.num_parameters)} of "
        f"{figures.file_size(file_bytes)}",
        **({} if stored is None else {"sparse_file": f"about {figures.file_size(stored)}"}),
        "steps": {r.job.name: count_steps(r.settings, rows) for r in pruning.rounds},
        "seeds": list(settings.seeds),
    }


def _count_units(after: Sequence[int], before: Sequence[int], settings: PruneSettings) -> str:
    stays = "as many as earn it" if settings.share_of_all is not None else f"{sum(after):,}"
    return f"{stays} of {sum(before):,}"


def _compare(after: int, before: int) -> str:
    less = figures.percent(1 - after / before)
    return f"{figures.magnitude(after)} of {figures.magnitude(before)}, {less} less"


def prepare_model(settings: PruneSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes a model as it is left, before any training.

    Which heads and neurons these are is measured only when the run is made.
    """
    pruning = _Pruning.prepare(settings, SilentProgress())
    return partial(_write_cut, pruning)


def _write_cut(pruning: _Pruning, folder: Path) -> None:
    data = pruning.data
    small = _cut_at_once(pruning.schedule, data.task.load_model(data.folder, new_head=False))
    small.save_pretrained(folder)
    data.tokenizer.save_pretrained(folder)
    copy_beside(data.folder, folder)


def _score_teacher(pruning: _Pruning, progress: Progress) -> Path:
    """Scores the model as it was given on the split that is reported, unless done before."""
    split = list_scored_splits(pruning.data)[-1]
    settings = teacher_settings(pruning.settings, split, label=FULL)
    if not EvaluateRecord.exists(settings.out):
        progress.log(f"scoring {settings.model} on {split}")
        evaluate.run(settings, progress=progress)
    found = read_finetune_run(settings.out)
    require_something_to_keep(found, split, name=settings.model)
    return settings.out


def _read_model(pruning: _Pruning, folder: Path) -> tuple[Shape, Stored | None]:
    """Returns a model's shape, and what it is without zeros if single weights were pruned."""
    model = pruning.data.task.load_model(folder, new_head=False)
    stored = None if pruning.schedule.removes_units else Stored.of(model)
    return Shape.of(model, num_tokens=pruning.schedule.num_tokens), stored


def _measure_memory(
    pruning: _Pruning, folder: Path, progress: Progress
) -> tuple[Footprint, Footprint] | None:
    """Loads the model as it was given, and what is left; None where that fails."""
    models = {FULL: pruning.data.folder, LABEL: folder}
    found = measure_memory(models, device=pruning.settings.device, progress=progress)
    return (found[FULL], found[LABEL]) if len(found) == len(models) else None


def _write_report(
    pruning: _Pruning,
    teacher: Path,
    after: Shape,
    stored: Stored | None,
    memory: tuple[Footprint, Footprint] | None,
    progress: Progress,
) -> Report:
    settings = pruning.settings
    of_memory = None if memory is None else describe_memory(*memory)
    measure = partial(measure_once, out=settings.out, device=settings.device, progress=progress)
    name = show_model(settings.model)
    return write_report(
        [teacher, pruning.rounds[-1].job.folder],
        out=settings.out / "report",
        teacher=str(teacher),
        title=f"{name}, pruned for {settings.task_label or pruning.data.task.name}",
        notes=[
            describe_kept(pruning.before, after, num_tokens=pruning.schedule.num_tokens),
            describe_way(settings, pruning.rounds[-1].settings),
            *([] if stored is None else [describe_stored(stored)]),
            *([] if of_memory is None else [of_memory]),
        ],
        measure=(lambda runs, split: measure(runs, split=split)) if settings.measure else None,
        names=Names(reference=FULL, model="pruned model"),
    )


def _write_card(pruning: _Pruning, after: Shape, report: Report) -> None:
    settings, last = pruning.settings, pruning.rounds[-1]
    record = FinetuneRecord.read(last.job.folder)
    of_model = last.settings.model_copy(update={"model": settings.model})
    card = make_card(of_model, pruning.data, record.best, records=record.seeds)
    kept = describe_kept(pruning.before, after, num_tokens=pruning.schedule.num_tokens)
    name = show_model(settings.model)
    card = replace(
        card,
        name=f"{name}, pruned",
        summary=f"{name}, pruned for {report.task} with limbeck. {kept}",
        made={
            **card.made,
            "Recipe": f"limbeck prune {__version__}",
            "Pruned by": describe_way(settings, last.settings),
        },
        notes=[report.headline, *(c.text for c in report.comparisons), *card.notes],
    )
    write_card(settings.out / "model", card)


def _make_record(
    pruning: _Pruning,
    after: Shape,
    stored: Stored | None,
    memory: tuple[Footprint, Footprint] | None,
    report: Report,
) -> PruneRecord:
    settings = pruning.settings
    of_teacher, of_student = memory or (None, None)
    teacher, student = report.models[0], report.model(LABEL)
    faster = student.speed_up
    return PruneRecord(
        examples_sha256=pruning.data.fingerprint,
        task=report.task,
        metric=report.metric,
        split=report.split,
        num_examples=report.num_examples,
        num_tokens=pruning.schedule.num_tokens,
        models=(
            describe_model(teacher, pruning.before, of_teacher),
            describe_model(student, after, of_student),
        ),
        rounds=tuple(
            describe_round(r, pruning.before, metric=report.metric) for r in pruning.rounds
        ),
        density=None if stored is None else stored.density,
        sparse_bytes=None if stored is None else stored.num_bytes,
        difference=make_estimate(find_difference(report)),
        retained=make_estimate(student.retention),
        latency_speed_up=None if faster is None else faster.latency.median,
        throughput_speed_up=None if faster is None else faster.throughput.median,
        model=str(settings.out / "model"),
        model_files=hash_model_files(settings.out / "model"),
        headline=report.headline,
        files={kind: str(path) for kind, path in report.files.items()},
    )
