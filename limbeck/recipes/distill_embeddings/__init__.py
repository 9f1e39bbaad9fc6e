"""Distil a sentence encoder: a student learns its vectors, or a cross-encoder's scores."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from limbeck.checkpoints import read_inherited, resolve_folder
from limbeck.errors import SettingsError
from limbeck.losses import EMBEDDINGS, build_loss, require_fit
from limbeck.models import SentenceModel, VectorConfig
from limbeck.recipes._machine import require_machine
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.models import describe_adapter
from limbeck.recipes.distill_embeddings.measuring import Pairs
from limbeck.recipes.distill_embeddings.rows import TextRows
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.recipes.distill_embeddings.student import Student
from limbeck.recipes.distill_embeddings.teachers import find_teacher
from limbeck.recipes.distill_embeddings.training import Plan, Trained, train
from limbeck.report.card import SENTENCE_ENCODER, Card, write_card
from limbeck.runs import (
    DistillEmbeddingsRecord,
    describe_start,
    hash_model_files,
    require_model_files,
    start_run,
)
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress, SilentProgress, choose_device
from limbeck.version import __version__

SettingsType = DistillEmbeddingsSettings

_FIGURES = {
    "cosine": "cosine of both models' vectors",
    "distance": "squared distance of both models' vectors",
    "similarity_spearman": "Spearman of both models' similarities",
    "score_spearman": "Spearman of both models' scores",
    "spearman": "Spearman of cosines and numbers",
}


def run(settings: DistillEmbeddingsSettings, *, progress: Progress) -> DistillEmbeddingsRecord:
    """Distils the teacher and writes `out/model`; goes on where an earlier run stopped.

    Raises:
        CheckpointError: If a model can't be read or written.
        DataError: If the texts or the validation pairs can't be used.
        SettingsError: If the settings do not fit the models, the texts or each other.
        TrainingError: On a loss or gradient that is not finite.
        KeyboardInterrupt: After a checkpoint, when Ctrl-C or SIGTERM asked to stop.
    """
    torch.manual_seed(settings.seed)
    plan_ = _prepare(settings, progress)
    with start_run(settings.out, EMBEDDINGS, settings, inputs=plan_.inputs) as run_folder:
        earlier = run_folder.finished(DistillEmbeddingsRecord)
        if earlier is not None:
            remedy = (
                f"put it back, or remove {settings.out / earlier.FILE_NAME}, and the same command "
                "distils again"
            )
            require_model_files(settings.out / "model", earlier.model_files, remedy=remedy)
            progress.log(f"{settings.out} is already complete")
            _drop_checkpoints(settings.out)  # a kill may have come between record and this
            return earlier
        trained = train(settings, plan_, progress)
        folder = _save(trained.model, plan_.student.tokenizer, settings.out / "model")
        write_card(folder, _make_card(settings, plan_, trained))
        teacher = plan_.teacher
        record = DistillEmbeddingsRecord(
            model=str(folder),
            model_files=hash_model_files(folder),
            teacher=settings.teacher,
            teacher_adapter=describe_adapter(teacher.config, teacher.kind),
            teacher_gives=teacher.gives,
            teacher_num_layers=teacher.config.num_hidden_layers,
            teacher_width=teacher.width,
            num_layers=trained.model.encoder.config.num_hidden_layers,
            num_parameters=trained.model.num_parameters,
            width=trained.model.config.width,
            projection=plan_.student.projection,
            num_texts=len(plan_.rows.texts),
            **trained.figures,
        )
        record.write(settings.out)
        _drop_checkpoints(settings.out)
        return record


def plan(settings: DistillEmbeddingsSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it; the texts are read for that."""
    found = _prepare(settings, SilentProgress())
    model = found.student.model
    return {
        "out": str(settings.out),
        "run": describe_start(settings.out, EMBEDDINGS, settings, inputs=found.inputs),
        "device": str(choose_device(settings.device)),
        "losses": ", ".join(found.losses),
        "projection": found.student.projection,
        "num_rows": len(found.training),
        "num_held_out": len(found.held_out),
        "num_texts": len(found.rows.texts),
        "num_validation_pairs": None if found.pairs is None else len(found.pairs.split.examples),
        "steps_per_epoch": found.steps_per_epoch,
        "max_steps": found.budget.max_steps,
        "max_minutes": found.budget.max_minutes,
        "teacher_gives": found.teacher.gives,
        "teacher_num_layers": found.teacher.config.num_hidden_layers,
        "teacher_width": found.teacher.width,
        "student_num_layers": model.encoder.config.num_hidden_layers,
        "student_num_parameters": model.num_parameters,
        "student_width": model.config.width,
    }


def prepare_model(settings: DistillEmbeddingsSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the student as it stands before the first step."""
    student = _prepare(settings, SilentProgress()).student
    return partial(_save, student.model, student.tokenizer)


def summarise(result: DistillEmbeddingsRecord) -> str:
    """Formats a finished run in a few lines."""
    passes = f"{result.num_epochs:.3g} passes over {result.num_rows:,} rows"
    lines = [f"{result.num_steps:,} steps, {passes}, {result.elapsed_seconds / 60:.1f} minutes"]
    for title, *columns in (
        ("held out", result.held_out_before, result.held_out_after),
        (
            "validation",
            result.validation_before,
            result.validation_after,
            result.validation_teacher,
        ),
    ):
        measured = [figures for figures in columns if figures is not None]
        if measured:
            of_teacher = ", and the teacher's" if len(measured) == 3 else ""
            lines.append(f"{title}, before and after{of_teacher}:")
            lines += [
                f"  {_FIGURES[n]:<40} " + " ".join(f"{found[n]:>8.4f}" for found in measured)
                for n in measured[0]
            ]
    return "\n".join([*lines, f"The model:    {result.model}"])


def _prepare(settings: DistillEmbeddingsSettings, progress: Progress) -> Plan:
    """Reads the texts, finds the teacher, makes the student, and checks that all fit."""
    require_machine(settings)
    teacher = find_teacher(settings)
    losses = dict(settings.losses) or {teacher.default_loss: build_loss(teacher.default_loss, {})}
    teacher.require_losses(losses)
    pairs = Pairs.read(settings)
    cache = settings.teacher_cache
    if cache is not None and cache.exists() and not cache.is_dir():
        raise SettingsError(f"teacher_cache = '{cache}' is a file; accepted: a folder")
    student = Student.make(settings, teacher, losses)
    width = student.model.config.width
    ours = VectorConfig(hidden_size=width)
    theirs = VectorConfig(hidden_size=teacher.width or width)
    require_fit(losses, student=ours, teacher=theirs, recipe=EMBEDDINGS)
    rows = TextRows.read(settings, progress)
    return Plan.make(
        settings, teacher=teacher, student=student, losses=losses, rows=rows, pairs=pairs
    )


def _drop_checkpoints(out: Path) -> None:
    """Removes what a finished run would go on from: each checkpoint is several models large."""
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


def _save(model: SentenceModel, tokenizer: Tokenizer, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.for_model(model.encoder.config).save_pretrained(folder)
    return folder


def _make_card(settings: DistillEmbeddingsSettings, plan_: Plan, trained: Trained) -> Card:
    """Returns the card of the student: what it is of, and its figures."""
    teacher, figures = show_model(settings.teacher), trained.figures
    shown = {f"Held out: {_FIGURES[n]}": f"{v:.4f}" for n, v in figures["held_out_after"].items()}
    validated = figures["validation_after"] or {}
    shown |= {f"Validation: {_FIGURES[n]}": f"{v:.4f}" for n, v in validated.items()}
    of_teacher = figures["validation_teacher"] or {}
    shown |= {f"Validation, the teacher: {_FIGURES[n]}": f"{v:.4f}" for n, v in of_teacher.items()}
    notes = ["Validation chose the best weights: its figure is somewhat too high."]
    return Card(
        name=f"{teacher}, distilled",
        summary=(
            f"A student of {teacher} with {trained.model.encoder.config.num_hidden_layers} layers, "
            f"which gives a text a vector of {trained.model.config.width} numbers, distilled with "
            f"limbeck {__version__}."
        ),
        auto_class=SENTENCE_ENCODER,
        made={
            "Recipe": f"limbeck distill-embeddings {__version__}",
            "Teacher": teacher,
            "Losses": ", ".join(plan_.losses),
            "Parameters": f"{trained.model.num_parameters:,}",
            "Texts": f"{len(plan_.rows.texts):,}",
            "Steps": f"{figures['num_steps']:,}",
            "Longest input": f"{settings.max_length} tokens",
            **shown,
        },
        notes=notes if validated else [],
        base_model=settings.teacher,
        tags=["distillation"],
        inherited=read_inherited(resolve_folder(settings.teacher)),
    )
