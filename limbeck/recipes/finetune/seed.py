"""One seed of a fine-tuning: what is trained, the steps, and what is kept of them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import get_args

from limbeck.errors import DataError
from limbeck.models import Model
from limbeck.objectives import TaskTeacher
from limbeck.recipes._tasks.card import make_card
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.predictions import describe_model
from limbeck.recipes._tasks.training import keep_examples, make_budget
from limbeck.recipes._training import make_steps, open_training
from limbeck.recipes.finetune.best import BestWeights, is_evaluation_due
from limbeck.recipes.finetune.extension import (
    EPOCHS,
    drop_steps_of_shorter_run,
    explain_rates,
)
from limbeck.recipes.finetune.intermediate import learn_layers
from limbeck.recipes.finetune.replacing import learn_places
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.training import FinetuneStep, Phase, Training, save_model
from limbeck.report.card import write_card
from limbeck.report.figures import percent
from limbeck.runs import SeedRecord, hash_model_files, require_model_files, write_predictions
from limbeck.sparsity import measure_density
from limbeck.tasks import Record
from limbeck.train import Progress, TrainState


def train_seed(
    settings: FinetuneSettings,
    data: TaskData,
    *,
    teacher: TaskTeacher | None,
    layer_teacher: TaskTeacher | None = None,
    seed: int,
    progress: Progress,
) -> Generator[FinetuneStep, None, SeedRecord]:
    """Trains one seed, or goes on with it, and scores its best weights; yields after each step.

    Args:
        settings: Of the run.
        data: The task's data.
        teacher: What is learned from besides the labels.
        layer_teacher: What is learned from before that; None without an intermediate phase.
        seed: The seed.
        progress: Where it reports.
    """
    folder = settings.out / f"seed-{seed}"
    if SeedRecord.exists(folder):
        finished = SeedRecord.read(folder)
        if finished.seed != seed:
            raise DataError(
                f"{folder / SeedRecord.FILE_NAME} is that of seed {finished.seed}; put back the "
                f"right one, or remove {folder} to train this seed again"
            )
        data.require_same(finished.examples_sha256, folder=folder)
        if _is_enough(finished, settings, data):
            require_model_files(
                folder / "model",
                finished.model_files,
                remedy=f"put it back, or remove {folder} to train this seed again",
            )
            progress.log(f"seed {seed}: finished before")
            _drop_checkpoints(folder, settings)  # a kill may have come between record and this
            return finished
        if not (folder / "checkpoints").exists():
            progress.log(
                f"seed {seed}: trained again, finished before with "
                f"epochs={finished.epochs_asked:g}. {explain_rates(settings)}"
            )
    steps_per_epoch = math.ceil(len(data.training) / settings.batch_size)
    drop_steps_of_shorter_run(
        folder / "checkpoints",
        settings,
        steps_per_epoch=steps_per_epoch,
        seed=seed,
        progress=progress,
    )
    training = Training.prepare(settings, data, teacher=teacher, seed=seed)
    layers = None
    phase = settings.of_intermediate()
    if phase is not None and layer_teacher is not None:
        layers = yield from learn_layers(
            training.model, phase, data, teacher=layer_teacher, seed=seed, progress=progress
        )
    places = None
    replacing = settings.of_replacing()
    if replacing is not None:
        places = yield from learn_places(
            training.model, replacing, data, seed=seed, progress=progress
        )
    before = [state for state in (layers, places) if state is not None]
    best = BestWeights(training.plain_model(), metric=data.task.metric)
    state = yield from _train(
        settings, data, training=training, best=best, seed=seed, progress=progress
    )
    save_model(best.model, settings, data, folder / "model")
    splits = [split for split in ("validation", "test") if split in data.examples]
    records = {split: data.predict(best.model, split) for split in splits}
    checksum = write_predictions(folder, records)
    chosen, scores = best.evaluation, data.score(records)
    assert chosen is not None, "the last step is evaluated at the latest"
    assert scores["validation"] is not None, "it chose the best weights"
    record = SeedRecord(
        seed=seed,
        folder=folder.name,
        validation=scores["validation"],
        test=scores.get("test"),
        trivial=data.judge_trivial(records),
        best_epoch=chosen.epoch,
        best_step=chosen.step,
        num_steps=state.step,
        num_epochs=state.step / steps_per_epoch,
        epochs_asked=settings.epochs,
        intermediate_steps=0 if layers is None else layers.step,
        replacing_steps=0 if places is None else places.step,
        density=None if settings.sparsify is None else measure_density(best.model),
        elapsed_seconds=sum(phase.elapsed_seconds for phase in (*before, state)),
        examples_sha256=data.fingerprint,
        tokenizer_sha256=data.tokenizer.fingerprint,
        predictions_sha256=checksum,
        model_files=hash_model_files(folder / "model"),
        **describe_model(best.model, folder / "model"),
    )
    write_card(folder / "model", make_card(settings, data, record, records=[record]))
    record.write(folder)
    _drop_checkpoints(folder, settings)
    return record


def _drop_checkpoints(folder: Path, settings: FinetuneSettings) -> None:
    """Removes a finished seed's checkpoints, unless more epochs could go on from the last one."""
    if not settings.fits_any_length:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        for phase in get_args(Phase):
            shutil.rmtree(folder / phase / "checkpoints", ignore_errors=True)


def _is_enough(finished: SeedRecord, settings: FinetuneSettings, data: TaskData) -> bool:
    """Tells whether a finished seed is what a run with these settings would give."""
    steps_per_epoch = math.ceil(len(data.training) / settings.batch_size)
    asked = finished.epochs_asked or settings.epochs
    ends = [
        make_budget(of, steps_per_epoch=steps_per_epoch)
        for of in (settings, settings.model_copy(update={"epochs": asked}))
    ]
    return ends[0] == ends[1]


def _train(
    settings: FinetuneSettings,
    data: TaskData,
    *,
    training: Training,
    best: BestWeights[Model],
    seed: int,
    progress: Progress,
) -> Generator[FinetuneStep, None, TrainState]:
    """Makes the steps of one seed from its last checkpoint on, evaluating on the way."""
    model, batches, constraint = training.model, training.batches, training.constraint
    budget = make_budget(settings, steps_per_epoch=batches.steps_per_epoch)

    def score(plain: Model) -> tuple[list[Record], dict[str, float]]:
        records = data.predict(plain, "validation")
        return records, data.task.score(data.task.splits["validation"], records)

    def evaluate(step: int) -> dict[str, float]:
        plain = training.plain_model()
        records, scores = score(plain)
        favourite = data.task.judged(records).favourite()
        epoch = round(step / batches.steps_per_epoch, 4)
        epoch = int(epoch) if epoch.is_integer() else epoch
        names = [name for name in (data.task.metric, "loss") if name in scores]
        shown = ", ".join(f"{name} {scores[name]:.4f}" for name in names)
        shown += "" if favourite is None else f"; it predicts {favourite}"
        further: dict[str, float] = {}
        if settings.sparsify is not None:
            further["density"] = measure_density(plain)
            shown += f"; {percent(further['density'])} of the weights left"
        if constraint is None or constraint.is_final(step):
            best.offer(
                plain,
                step=step,
                epoch=epoch,
                scores=scores,
                is_near_constant=favourite is not None,
            )
        else:  # of more weights than the run is to give, which most often score better
            best.pass_over(step=step)
            shown += ", not kept: more are to go"
        run.extra.update(best.state())
        run.write_evaluation(step=step, epoch=epoch, **further, **scores)
        progress.log(f"seed {seed}, epoch {epoch:g}: validation {shown}")
        return scores

    folder = settings.out / f"seed-{seed}"
    with open_training(
        settings,
        folder,
        description=f"seed {seed}",
        modules={"objective": training.objective, "best": best.model},
        optimizer=training.optimizer,
        budget=budget,
        progress=progress,
    ) as run:
        keep_examples(run, data, folder=folder)
        if run.state.step:
            best.restore(run.state.extra)
        run.extra.update({EPOCHS: settings.epochs, **best.state()})
        if best.is_overdue(settings.patience):
            run.stop()
        if constraint is not None:
            constraint.advance(run.state.step)
        model.train()
        for step in make_steps(
            run,
            settings,
            training.objective,
            batches.steps(run.state.step),
        ):
            if constraint is not None:
                constraint.advance(step.number)
            is_due = step.number == budget.max_steps or is_evaluation_due(
                step.number,
                steps_per_epoch=batches.steps_per_epoch,
                per_epoch=settings.evaluations_per_epoch,
            )
            scores = evaluate(step.number) if is_due else None
            if best.is_overdue(settings.patience):
                progress.log(f"seed {seed}: no better score in {settings.patience} validations")
                run.stop()
            made = FinetuneStep(
                seed=seed,
                number=step.number,
                epoch=step.number / batches.steps_per_epoch,
                loss=step.loss,
                learning_rate=step.learning_rate,
                scores=scores,
                num_steps=budget.max_steps,
                measure=lambda: score(training.plain_model())[1],
            )
            try:
                yield made
            except GeneratorExit:  # left early: the same call goes on from here
                run.save()
                raise
        if best.evaluated_step != run.state.step:
            evaluate(run.state.step)
        run.raise_if_interrupted()
        if settings.fits_any_length:
            run.save()
    return run.state
