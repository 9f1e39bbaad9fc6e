"""Fine-tune a model on a task, over several seeds, and keep the best epoch of each."""

from __future__ import annotations

import math
import shutil
from typing import Any

import torch

from limbeck.checkpoints import write_card
from limbeck.compress import apply_methods
from limbeck.errors import SettingsError
from limbeck.models import Model
from limbeck.objectives import TaskObjective, TaskTeacher
from limbeck.recipes._task_training import (
    BestWeights,
    is_evaluation_due,
    share_folder,
)
from limbeck.recipes._tasks.card import make_card
from limbeck.recipes._tasks.data import (
    AUGMENTED,
    TaskData,
    describe_model,
    format_score,
)
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.memory import write_memory
from limbeck.recipes._tasks.models import require_same_labels
from limbeck.recipes.finetune.distillation import Distillation
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.runs import FinetuneRecord, SeedRecord, start_run, write_predictions
from limbeck.tasks import TrainBatches
from limbeck.train import (
    Budget,
    Progress,
    SilentProgress,
    TrainState,
    build_adamw,
    choose_device,
    open_run,
)

SettingsType = FinetuneSettings

# Names for reports change no weight, and more seeds are more runs.
_MAY_CHANGE = ("seeds", "label", "role", "task_label")


def run(settings: FinetuneSettings, *, progress: Progress) -> FinetuneRecord:
    """Fine-tunes and scores each seed; a seed that is already finished is not run again.

    Returns:
        What stands in `result.json`.

    Raises:
        DataError: If the task's data can't be used, or a run that goes on began with others.
        MissingHeadError: If the teacher, or a model that keeps its head, has another one.
        SettingsError: If settings do not fit the model or each other.
        TrainingError: If a loss is not finite.
        KeyboardInterrupt: After a checkpoint, when Ctrl-C or SIGTERM asked to stop.
    """
    data = _read_data(settings, progress)
    distillation = Distillation.prepare(settings, data)
    start_run(settings.out, recipe="finetune", settings=settings, may_change=_MAY_CHANGE)
    teacher = None
    if distillation is not None:
        data, teacher = distillation.load(data, progress)
    seeds = [
        _run_seed(settings, data, teacher=teacher, seed=seed, progress=progress)
        for seed in settings.seeds
    ]
    best = max(seeds, key=lambda record: record.validation[data.task.metric])
    share_folder(settings.out / best.folder / "model", settings.out / "model")
    write_card(settings.out / "model", make_card(settings, data, best, records=seeds))
    record = FinetuneRecord(
        **data.names(),
        initialise=settings.initialise,
        num_layers=best.num_layers,
        num_parameters=best.num_parameters,
        file_bytes=best.file_bytes,
        best_seed=best.seed,
        seeds=tuple(seeds),
    )
    return record.write(settings.out)


def plan(settings: FinetuneSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    data = _read_data(settings, SilentProgress())
    distillation = Distillation.prepare(settings, data)
    copies = 0 if distillation is None else distillation.copies
    num_train = len(data.training) + copies * len(data.examples["train"])
    steps_per_epoch = math.ceil(num_train / settings.batch_size)
    budget = _make_budget(settings, steps_per_epoch=steps_per_epoch)
    return {
        "recipe": "finetune",
        **data.names(),
        "out": str(settings.out),
        "device": str(choose_device(settings.device)),
        "num_layers": data.config.num_hidden_layers,
        **{f"num_{split}_examples": len(part) for split, part in data.examples.items()},
        **({f"num_{AUGMENTED}_examples": copies * len(data.examples["train"])} if copies else {}),
        "steps_per_epoch": steps_per_epoch,
        "max_steps": budget.max_steps,
        "max_minutes": budget.max_minutes,
        "seeds": list(settings.seeds),
    }


def summarise(result: FinetuneRecord) -> str:
    """Words a result: each seed's main metric on each split."""
    lines = []
    for seed in result.seeds:
        scores = seed.scores.items()
        shown = ", ".join(f"{split} {format_score(v, result.metric)}" for split, v in scores)
        epoch = f"best epoch {seed.best_epoch:g}"
        lines.append(f"{result.label}, seed {seed.seed}: {shown} ({epoch})")
    return "\n".join(lines)


def _read_data(settings: FinetuneSettings, progress: Progress) -> TaskData:
    """Reads the task's data, and checks that the model can go on from where it is."""
    data = TaskData.read(
        settings,
        needed=("train", "validation"),
        optional=("test",) if settings.teacher is None else ("test", "transfer"),
        use_model_labels=not settings.new_head,
        progress=progress,
    )
    if not data.task.is_trainable:
        raise SettingsError(
            f"task = '{settings.task}' has nothing to fine-tune: it is evaluated zero-shot, with "
            "limbeck evaluate"
        )
    if not settings.new_head:
        if settings.initialise == "pretrained":
            require_head(data.task, data.folder, name=settings.model)
        require_same_labels(data.task, data.config, name=settings.model)
    return data


def _run_seed(
    settings: FinetuneSettings,
    data: TaskData,
    *,
    teacher: TaskTeacher | None,
    seed: int,
    progress: Progress,
) -> SeedRecord:
    """Trains one seed, or goes on with it, and scores its best weights."""
    folder = settings.out / f"seed-{seed}"
    if SeedRecord.exists(folder):
        finished = SeedRecord.read(folder)
        data.require_same(finished.examples_sha256, folder=folder)
        progress.log(f"seed {seed}: finished before")
        return finished
    torch.manual_seed(seed)
    if settings.initialise == "random":
        model = data.task.new_model(data.folder)
    else:
        model = data.task.load_model(data.folder, new_head=settings.new_head)
    model = apply_methods(model, settings.methods)
    model.to(choose_device(settings.device))
    best = BestWeights(model, metric=data.task.metric)
    state = _train(
        settings, data, model=model, teacher=teacher, best=best, seed=seed, progress=progress
    )
    best.model.save_pretrained(folder / "model")
    data.tokenizer.save_pretrained(folder / "model")
    write_memory(folder / "model", settings)
    splits = [split for split in ("validation", "test") if split in data.examples]
    records = {split: data.predict(best.model, split) for split in splits}
    checksum = write_predictions(folder, records)
    scores = data.score(records)
    assert scores["validation"] is not None, "it chose the best weights"
    record = SeedRecord(
        seed=seed,
        folder=folder.name,
        validation=scores["validation"],
        test=scores.get("test"),
        best_epoch=best.record["epoch"],
        best_step=best.record["step"],
        num_steps=state.step,
        num_epochs=state.step / math.ceil(len(data.training) / settings.batch_size),
        elapsed_seconds=state.elapsed_seconds,
        examples_sha256=data.fingerprint,
        predictions_sha256=checksum,
        **describe_model(best.model, folder / "model"),
    )
    write_card(folder / "model", make_card(settings, data, record, records=[record]))
    record.write(folder)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return record


def _train(
    settings: FinetuneSettings,
    data: TaskData,
    *,
    model: Model,
    teacher: TaskTeacher | None,
    best: BestWeights,
    seed: int,
    progress: Progress,
) -> TrainState:
    """Makes the steps of one seed from its last checkpoint on, evaluating on the way."""
    objective = TaskObjective(data.task, model, teacher=teacher, label_weight=settings.label_weight)
    optimizer = build_adamw(
        [objective],
        learning_rate=settings.learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
    )
    batches = TrainBatches(
        data.task,
        data.training,
        batch_size=settings.batch_size,
        accumulate=settings.accumulate,
        pad_token_id=data.tokenizer.pad_token_id,
        seed=seed,
    )

    def evaluate(step: int) -> None:
        scores = data.task.score(data.task.splits["validation"], data.predict(model, "validation"))
        epoch = round(step / batches.steps_per_epoch, 4)
        epoch = int(epoch) if epoch.is_integer() else epoch
        best.offer(model, step=step, epoch=epoch, scores=scores)
        training.extra.update(best.state())
        training.metrics.write("evaluate", step=step, epoch=epoch, **scores)
        names = [name for name in (data.task.metric, "loss") if name in scores]
        shown = ", ".join(f"{name} {scores[name]:.4f}" for name in names)
        progress.log(f"seed {seed}, epoch {epoch:g}: validation {shown}")

    folder = settings.out / f"seed-{seed}"
    with open_run(
        folder,
        description=f"seed {seed}",
        modules={"objective": objective, "best": best.model},
        optimizer=optimizer,
        budget=_make_budget(settings, steps_per_epoch=batches.steps_per_epoch),
        progress=progress,
        log_every=settings.log_every,
        save_every=settings.save_every,
        tensorboard=settings.tensorboard,
    ) as training:
        if training.state.step:
            data.require_same(training.state.extra.get("examples"), folder=folder)
            best.restore(training.state.extra)
        training.extra.update({"examples": data.fingerprint, **best.state()})
        if best.is_overdue(settings.patience):
            training.stop()
        model.train()
        for step in training.steps(
            objective,
            batches.steps(training.state.step),
            schedule=settings.schedule,
            device=choose_device(settings.device),
            max_grad_norm=settings.max_grad_norm,
            precision=settings.precision,
        ):
            if is_evaluation_due(
                step.number,
                steps_per_epoch=batches.steps_per_epoch,
                per_epoch=settings.evaluations_per_epoch,
            ):
                evaluate(step.number)
            if best.is_overdue(settings.patience):
                progress.log(f"seed {seed}: no better score in {settings.patience} validations")
                training.stop()
        if best.evaluated_step != training.state.step:
            evaluate(training.state.step)
        training.raise_if_interrupted()
    return training.state


def _make_budget(settings: FinetuneSettings, *, steps_per_epoch: int) -> Budget:
    num_steps = math.ceil(settings.epochs * steps_per_epoch)
    return Budget(
        max_steps=min(num_steps, settings.max_steps or num_steps), max_minutes=settings.max_minutes
    )
