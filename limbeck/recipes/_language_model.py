"""The run that `pretrain` and `distill` share: packed text in, a trained language model out.

Whether tokens are masked, or each is predicted from those before it, is the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from limbeck.config import Shown
from limbeck.data import Corpus, MaskedBatch, MaskedBatches, MaskingSettings
from limbeck.errors import SettingsError
from limbeck.files import sha256_of
from limbeck.losses import Loss
from limbeck.models import AnyModel, AutoConfig, Kind, Model, find_architecture, find_class
from limbeck.objectives import Objective, TextObjective, evaluate_encoder, evaluate_language_model
from limbeck.recipes._machine import require_machine
from limbeck.recipes._settings import Decay, RunSettings, Seed, TrainingSettings
from limbeck.recipes._training import build_optimizer, make_steps, open_training
from limbeck.runs import require_model_files
from limbeck.runs.language_model import LanguageModelRecord, TrainingFigures
from limbeck.tokenizers import Tokenizer
from limbeck.train import (
    METRICS_FILE,
    Budget,
    Precision,
    Progress,
    Schedule,
    choose_device,
)

_HELD_OUT_MICRO_ROWS = 32
_HELD_OUT_SEED = 0  # the same masks for every model, so that figures of two runs compare


class LanguageModelSettings(TrainingSettings, RunSettings):
    """What `pretrain` and `distill` have in common.

    Where a default differs from that of fine-tuning, it is that of DistilBERT's own code: rate,
    AdamW's betas and epsilon, the norm of the gradients, and 5 % of the steps to warm up.
    """

    corpus: Shown[Path]
    """Corpus folder, from `limbeck corpus build`."""
    out: Shown[Path]
    """Run folder; the same command given again goes on where a run stopped."""
    seed: Seed = 0
    """Decides new weights, dropout, the order of the text and the masks."""

    sequence_length: Shown[int] = Field(default=128, ge=8)
    """Tokens in a row, special tokens included."""
    batch_size: Shown[int] = Field(default=32, ge=1)
    """Rows in an optimiser step, over all micro-batches."""
    confine_attention: bool = False
    """Whether a token sees only its own document where a row holds parts of several."""
    masking: MaskingSettings = MaskingSettings()
    """How tokens are chosen and replaced, for masked language models."""
    max_epochs: Shown[float | None] = Field(default=None, gt=0, allow_inf_nan=False)
    """End of the run, in passes over the training text."""
    max_steps: Shown[int | None] = Field(default=None, gt=0)
    """End of the run, in optimiser steps."""

    learning_rate: Shown[float] = Field(default=5e-4, gt=0, allow_inf_nan=False)
    """Peak of the schedule; by default DistilBERT's."""
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    """AdamW's decay rates; by default DistilBERT's."""
    eps: float = Field(default=1e-6, gt=0, allow_inf_nan=False)
    """AdamW's epsilon; by default DistilBERT's."""
    schedule: Schedule = Schedule()
    """Warm-up and decay of the learning rate; by default DistilBERT's."""
    max_grad_norm: float | None = Field(default=5.0, gt=0)
    """Gradients are scaled down to this norm; by default DistilBERT's."""
    precision: Shown[Precision] = "fp32"
    """Arithmetic of the forward pass: fp32, bf16 or fp16."""
    chunk_rows: int = Field(default=1024, ge=1)
    """Most rows whose full-vocabulary logits are held at a time."""
    compile: bool = False
    """Compile both encoders with `torch.compile`; needs a C++ compiler on a CPU."""

    evaluate_every: int = Field(default=500, ge=1)
    """Steps between held-out measurements; one is always made at the start and the end."""
    evaluate_rows: int = Field(default=256, ge=1)
    """Most held-out rows a measurement uses; they are drawn over all of them."""


def train_language_model(
    settings: LanguageModelSettings,
    *,
    corpus: Corpus,
    student: Model,
    losses: Mapping[str, Loss],
    teacher: AnyModel | None = None,
    freeze_body: bool = False,
    progress: Progress,
) -> TrainingFigures:
    """Trains, measures and checkpoints a student, going on where an earlier run stopped.

    Args:
        settings: Of the recipe.
        corpus: Made with the models' tokenizer.
        student: Initialised; holds the trained weights afterwards.
        losses: By name.
        teacher: None if no loss needs one.
        freeze_body: Train the head alone, on the encoder in evaluation mode.
        progress: Where the run reports.

    Returns:
        Steps, tokens, seconds, and the held-out figures before and after.

    Raises:
        DataError: If a file of the corpus is damaged.
        TrainingError: On a loss or gradient that is not finite.
        KeyboardInterrupt: After a checkpoint, when Ctrl-C or SIGTERM asked to stop.
    """
    device = choose_device(settings.device)
    _place(student, teacher, device=device, freeze_body=freeze_body, compiled=settings.compile)
    objective = TextObjective(
        student, losses, teacher=teacher, chunk_rows=settings.chunk_rows, freeze_body=freeze_body
    )

    def measure(held_out: Sequence[MaskedBatch]) -> dict[str, float]:
        if not student.kind.has_head:
            return evaluate_encoder(objective, held_out, teacher=teacher, device=device)
        return evaluate_language_model(
            student, held_out, teacher=teacher, device=device, chunk_rows=settings.chunk_rows
        )

    return train_on_text(
        settings, corpus=corpus, objective=objective, measure=measure, progress=progress
    )


def train_on_text(
    settings: LanguageModelSettings,
    *,
    corpus: Corpus,
    objective: Objective[MaskedBatch, Any],
    measure: Callable[[Sequence[MaskedBatch]], dict[str, float]],
    progress: Progress,
) -> TrainingFigures:
    """Makes an objective on text small, as `train_language_model` does with its own.

    Args:
        settings: Of the recipe.
        corpus: Made with the models' tokenizer.
        objective: On the device; everything in it that has weights is trained and saved.
        measure: Takes held-out batches, returns figures.
        progress: Where the run reports.
    """
    kind = objective.student.kind
    batches = make_batches(corpus, settings, kind=kind)
    budget = make_budget(settings, steps_per_epoch=batches.steps_per_epoch)
    held_out = make_held_out_batches(corpus, settings, kind=kind)
    optimizer = build_optimizer(settings, objective)
    torch.manual_seed(settings.seed)
    corpus.verify(progress=progress)
    tokens_per_step = settings.batch_size * settings.sequence_length

    def write_measurement(step: int) -> dict[str, float]:
        figures = measure(held_out)
        run.write_evaluation(step=step, num_tokens=step * tokens_per_step, **figures)
        progress.log(f"step {step}: held out " + _in_words(figures))
        return figures

    with open_training(
        settings,
        settings.out,
        description="training",
        modules={"objective": objective},
        optimizer=optimizer,
        budget=budget,
        progress=progress,
    ) as run:
        # The figures travel with the checkpoint, so that a resumed run measures nothing twice.
        figures = run.extra.setdefault("held_out", {})
        if not figures:
            figures["0"] = write_measurement(0)
        for step in make_steps(
            run,
            settings,
            objective,
            (batch.split(settings.accumulate) for batch in batches.steps(run.state.step)),
        ):
            if step.number % settings.evaluate_every == 0:
                figures[str(step.number)] = write_measurement(step.number)
        if str(run.state.step) not in figures:
            figures[str(run.state.step)] = write_measurement(run.state.step)
        run.save()
    state = run.state
    return {
        "num_steps": state.step,
        "num_tokens": state.step * tokens_per_step,
        "elapsed_seconds": state.elapsed_seconds,
        "held_out_before": figures["0"],
        "held_out_after": figures[str(state.step)],
        "metrics_sha256": sha256_of(settings.out / METRICS_FILE),
    }


def make_batches(corpus: Corpus, settings: LanguageModelSettings, *, kind: Kind) -> MaskedBatches:
    """Returns the training batches of a corpus, for a kind of language model."""
    return MaskedBatches(
        corpus.split("train"),
        tokenizer=corpus.tokenizer,
        token_counts=corpus.token_counts,
        masking=None if kind.predicts_next else settings.masking,
        batch_size=settings.batch_size,
        sequence_length=settings.sequence_length,
        seed=settings.seed,
        confine_attention=settings.confine_attention,
    )


def make_budget(settings: LanguageModelSettings, *, steps_per_epoch: int) -> Budget:
    """Returns where the run ends; three epochs if nothing is said, as in the article."""
    max_epochs = settings.max_epochs
    if (settings.max_steps, settings.max_minutes, max_epochs) == (None, None, None):
        max_epochs = 3.0
    bounds = [settings.max_steps] if settings.max_steps is not None else []
    if max_epochs is not None:
        bounds.append(math.ceil(max_epochs * steps_per_epoch))
    return Budget(max_steps=min(bounds, default=None), max_minutes=settings.max_minutes)


def make_held_out_batches(
    corpus: Corpus, settings: LanguageModelSettings, *, kind: Kind
) -> list[MaskedBatch]:
    """Returns rows from all over the held-out split, under masks that no setting changes.

    For a model that predicts no masked words they are as they were written.
    """
    masking = MaskingSettings()
    if not kind.has_head:
        masking = MaskingSettings(mask_share=0.0, random_share=0.0)
    split = corpus.split("heldout")
    batches = MaskedBatches(
        split,
        tokenizer=corpus.tokenizer,
        token_counts=None,
        masking=None if kind.predicts_next else masking,
        batch_size=settings.evaluate_rows,
        sequence_length=settings.sequence_length,
        seed=_HELD_OUT_SEED,
        keep_last=True,
    )
    batch = batches.batch(0)
    return batch.split(math.ceil(len(batch) / _HELD_OUT_MICRO_ROWS))


def save_language_model(model: Model, tokenizer: Tokenizer, folder: Path) -> Path:
    """Writes a model folder, its tokenizer giving the inputs that the model takes."""
    model.save_pretrained(folder)
    tokenizer.for_model(model.config).save_pretrained(folder)
    return folder


def require_whole_model(result: LanguageModelRecord, out: Path) -> None:
    """Refuses a finished run with a model that is no longer the one that it wrote.

    Raises:
        CheckpointError: Names the file and what helps.
    """
    for name, files in result.written_models().items():
        require_model_files(
            out / name,
            files,
            remedy=f"remove {out / result.FILE_NAME}, and the same command writes the model again "
            "from its last checkpoint",
        )


def _place(
    student: Model,
    teacher: AnyModel | None,
    *,
    device: torch.device,
    freeze_body: bool,
    compiled: bool,
) -> None:
    """Puts the models where and how they run; what is not trained is in evaluation mode."""
    student.to(device).train()
    if freeze_body:
        # Without dropout too: the head is to fit the states that it will be used on.
        student.encoder.eval().requires_grad_(requires_grad=False)
    if teacher is not None:
        teacher.to(device).eval().requires_grad_(requires_grad=False)
    if compiled:
        student.encoder.compile()
        if teacher is not None:
            teacher.encoder.compile()


def _in_words(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def open_corpus(settings: LanguageModelSettings, *, kind: Kind) -> Corpus:
    """Opens the corpus of a run, once it is known that machine and text are enough for it.

    Args:
        settings: Of the run.
        kind: The kind of language model that is trained.

    Raises:
        SettingsError: If this machine can't do what the settings ask for, or tokens are to be
            masked for a model that predicts the next one.
        DataError: Names the split that can't fill a step, or has no held-out row.
    """
    require_machine(settings)
    if kind.predicts_next and settings.masking != MaskingSettings():
        raise SettingsError(
            "masking is given, but the model is causal: each token is predicted from those before "
            "it, and none is masked; leave masking out"
        )
    corpus = Corpus.open(settings.corpus)
    make_batches(corpus, settings, kind=kind)
    make_held_out_batches(corpus, settings, kind=kind)
    return corpus


def find_language_model(name: str) -> type[Model]:
    """Returns the class that scores the vocabulary, masked or causal, of a model's family.

    Raises:
        CheckpointError: If there is no such model, or its family is unknown.
    """
    model_type = AutoConfig.from_pretrained(name).model_type
    return find_class(model_type, find_architecture(model_type).language_model)


def require_positions(
    settings: LanguageModelSettings, model: AnyModel, *, name: str, remedy: str = ""
) -> None:
    """Refuses rows that are longer than a model can read.

    Args:
        settings: Of the run.
        model: The model.
        name: What messages call it.
        remedy: What else would help.

    Raises:
        SettingsError: If so.
    """
    if not model.config.takes(settings.sequence_length):
        most = model.config.max_tokens
        raise SettingsError(
            f"sequence_length = {settings.sequence_length}, but {name} has {most} positions; "
            f"accepted: 8 to {most}{remedy}"
        )


def describe_missing_lm_head(model: str, *, setting: str) -> str:
    """Says how an encoder gets the masked-LM head that a setting's model needs."""
    return (
        f"Fit one first: limbeck pretrain model={model} new_head=true freeze_body=true corpus=... "
        f"out=RUN, then give {setting}=RUN/model"
    )


def plan_language_model(
    settings: LanguageModelSettings,
    *,
    corpus: Corpus,
    student: Model,
    teacher: AnyModel | None = None,
) -> dict[str, Any]:
    """Returns the sizes and the length of a run that has not been started."""
    steps_per_epoch = make_batches(corpus, settings, kind=student.kind).steps_per_epoch
    budget = make_budget(settings, steps_per_epoch=steps_per_epoch)
    models = {"student": student} | ({} if teacher is None else {"teacher": teacher})
    return {
        "out": str(settings.out),
        "device": str(choose_device(settings.device)),
        "training_tokens": corpus.split("train").num_tokens,
        "held_out_tokens": corpus.split("heldout").num_tokens,
        "tokens_per_step": settings.batch_size * settings.sequence_length,
        "steps_per_epoch": steps_per_epoch,
        "max_steps": budget.max_steps,
        "max_minutes": budget.max_minutes,
        **{
            f"{role}_{name}": value
            for role, model in models.items()
            for name, value in (
                ("num_layers", model.config.num_hidden_layers),
                ("num_parameters", model.num_parameters),
            )
        },
    }


def summarise_language_model(result: LanguageModelRecord) -> str:
    """Formats a finished run in a few lines."""
    before, after = result.held_out_before, result.held_out_after
    minutes = result.elapsed_seconds / 60
    return "\n".join(
        [
            f"{result.num_steps:,} steps, {result.num_tokens:,} tokens, {minutes:.1f} minutes",
            "held out, before and after:",
            *(f"  {name:<22} {before[name]:>8.4f} {after[name]:>8.4f}" for name in after),
            f"The model:    {result.model}",
        ]
    )
