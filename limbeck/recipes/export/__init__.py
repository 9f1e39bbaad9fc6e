"""Write a model in another format, and prove what it keeps before anybody uses it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import ExportError, MissingExtraError
from limbeck.export import Target
from limbeck.files import partial_path, replace_folder
from limbeck.inference import Engine
from limbeck.inference.footprint import Footprint
from limbeck.recipes._tasks.footprints import TORCH, measure_memory
from limbeck.recipes.export.card import write_export_card
from limbeck.recipes.export.latency import measure_latency
from limbeck.recipes.export.making import Made, describe_repair, make_export
from limbeck.recipes.export.result import (
    describe_export,
    describe_model,
    require_kept,
    summarise_result,
)
from limbeck.recipes.export.settings import ExportSettings
from limbeck.recipes.export.source import REPAIRS_FOLDER, Source
from limbeck.recipes.export.training import TrainingForFormat
from limbeck.runs import (
    ExportRecord,
    describe_start,
    hash_model_files,
    require_model_files,
    start_run,
)
from limbeck.runs.export import ExportedModel
from limbeck.train import Progress, SilentProgress

SettingsType = ExportSettings
summarise = summarise_result


def run(
    settings: ExportSettings, *, progress: Progress, training: TrainingForFormat | None = None
) -> ExportRecord:
    """Exports the model to each target, compares it with the model, and keeps what kept enough.

    One target's folder is `out/model`, those of several are `out/models/TARGET`. Nothing stands
    there before it was compared; what is refused never does. A repair that is interrupted leaves
    what it has found, and the same settings go on from there.

    Args:
        settings: Of the export.
        progress: Where it reports.
        training: What the model learns before that, in `out/training`; None for nothing.

    Raises:
        CheckpointError: If the model can't be read, or the folder can't be written.
        ContractError: If an export is refused; its `result` says what was found of all.
        DataError: If data or texts can't be used.
        ExportError: If the model can't be exported so.
        MissingExtraError: If a package is not installed.
        MissingHeadError: If the model has no head for the task.
        SettingsError: If there is no such target, or a setting does not fit.
    """
    source = Source.read(settings, progress)
    for target in source.targets:
        source.check(target)
    if training is not None:
        training.plan(source)
    inputs = _hash_inputs(source, training)
    with start_run(settings.out, "export", settings, inputs=inputs) as run_folder:
        earlier = run_folder.finished(ExportRecord)
        if earlier is not None:
            _require_files(earlier, settings)
            progress.log(f"{settings.out} is already complete")
            return require_kept(earlier, was_repaired=settings.repair)
        if training is not None:
            source = training.run(source, progress)
        workshop = partial_path(settings.out / "exports")
        try:
            record = _export_all(source, workshop, progress)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
        shutil.rmtree(settings.out / REPAIRS_FOLDER, ignore_errors=True)  # what it took, no more
        if all(model.folder is None for model in record.models):
            # Nothing is left that would stand in another try's way.
            return require_kept(record, was_repaired=settings.repair)
        return require_kept(record.write(settings.out), was_repaired=settings.repair)


def _hash_inputs(source: Source, training: TrainingForFormat | None) -> dict[str, str]:
    own = source.hash_inputs()
    return own if training is None else {**own, "training": training.fingerprint}


def plan(settings: ExportSettings, *, training: TrainingForFormat | None = None) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    source = Source.read(settings, SilentProgress())
    gate, inputs = source.gate, _hash_inputs(source, training)
    task = gate.task
    if task is None:
        score = {"score": "none, since no data are given; that outputs are alike says less"}
    else:
        name = f"{task.data.task.metric} on {task.num_examples:,} {task.split} examples"
        score = {"score": f"{name} of {task.data.task.name}", "max_drop": f"{task.max_drop:g}"}
    return {
        "recipe": "export",
        "model": f"{settings.model}, {source.graph.class_name}",
        **({} if settings.compare_with is None else {"compare_with": settings.compare_with}),
        "out": str(settings.out),
        "run": describe_start(settings.out, "export", settings, inputs=inputs),
        **({} if training is None else {"training": training.plan(source)}),
        "targets": {target.shown_name: _plan_target(source, target) for target in source.targets},
        "outputs": f"compared on {gate.rows.num_rows} {gate.rows.source}",
        **({} if (note := source.explain_rows()) is None else {"note": note}),
        **score,
    }


def _plan_target(source: Source, target: Target) -> Mapping[str, str]:
    runs = target.engine or f"none here, it needs {target.needs or 'another system'}"
    found = {"engine": runs, "precision": target.precision}
    if (rows := source.calibrate(target)) is not None:
        found["calibration"] = f"{rows.num_rows} {rows.source}"
    try:
        source.check(target)
    except ExportError as error:
        return {**found, "refused": str(error)}
    except MissingExtraError as error:
        return {**found, "missing": str(error)}
    found["packages"] = f"{', '.join(target.packages) or 'none'}: installed"
    if source.settings.repair:
        found["repair"] = describe_repair(source, target)
    further = {"runtime": target.describe_runtime(), "note": "; ".join(source.list_notes(target))}
    return {**found, **{name: said for name, said in further.items() if said}}


def _export_all(source: Source, workshop: Path, progress: Progress) -> ExportRecord:
    """Exports to each target, measures all side by side, and puts up those that may be used."""
    notes = [source.explain_rows(), *(n for t in source.targets for n in source.list_notes(t))]
    for note in filter(None, notes):
        progress.log(f"{source.settings.model}: {note}")
    made = [make_export(source, target, workshop, progress) for target in source.targets]
    latency, memory = None, {}
    if source.settings.measure:
        latency = measure_latency(source, _list_engines(made), progress)
        memory = _measure_memory(source, made, progress)
    models = [describe_model(one, source.place(one.target), latency, memory) for one in made]
    record = describe_export(source, models, latency, memory)
    done = [_put_up(source, one, model, record) for one, model in zip(made, models, strict=True)]
    return record.model_copy(update={"models": tuple(done)})


def _list_engines(made: Sequence[Made]) -> dict[str, Engine]:
    """Returns what can be run of all that may be used, and of what was repaired, by its folder."""
    every = [found for one in made if one.verdict.refusal is None for found in (one, one.before)]
    return {
        one.folder.name: one.verdict.engine
        for one in every
        if one is not None and one.verdict.engine is not None
    }


def _measure_memory(
    source: Source, made: Sequence[Made], progress: Progress
) -> dict[str, Footprint]:
    """Loads the model, and each export that may be used and can be run here."""
    usable = [one for one in made if one.verdict.refusal is None]
    engines = {one.folder.name: one.target.engine for one in usable if one.target.engine}
    folders = {one.folder.name: one.folder for one in usable if one.folder.name in engines}
    if not folders:
        return {}
    models = {TORCH: source.compared, **folders}
    return measure_memory(models, engines=engines, device="cpu", progress=progress)


def _put_up(
    source: Source, made: Made, model: ExportedModel, record: ExportRecord
) -> ExportedModel:
    """Gives an export its card and its place, unless it is refused."""
    if model.folder is None:
        return model
    write_export_card(made.folder, source.folder, source.graph, model, record)
    with replace_folder(Path(model.folder)) as place:
        for path in made.folder.iterdir():
            path.rename(place / path.name)
    return model.model_copy(update={"model_files": hash_model_files(Path(model.folder))})


def _require_files(record: ExportRecord, settings: ExportSettings) -> None:
    remedy = f"remove {settings.out}, and the same command makes it again"
    for model in record.models:
        if model.folder is not None:
            require_model_files(Path(model.folder), model.model_files, remedy=remedy)
