"""Settings that several recipes share; one that has another default says why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from limbeck.config import Settings, Shown
from limbeck.errors import SettingsError
from limbeck.train import Precision, Schedule

_END_OF_SEEDS = 2**63
Seed = Annotated[int, Field(ge=0, lt=_END_OF_SEEDS)]
"""What torch and numpy both take to draw by."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""One of AdamW's decay rates."""


def take_one(given: object) -> object:
    """Returns a word or number alone as one of several: for settings that are lists of them."""
    return (given,) if isinstance(given, str | int | float) else given


def refuse_percent(share: object) -> object:
    """Refuses a share that is given in per cent, with the number that is meant.

    What is below ten per cent is no such share, but one above 1, which the field refuses itself.
    """
    if isinstance(share, int | float) and not isinstance(share, bool) and 10 <= share <= 100:
        raise ValueError(f"a share of 1, not per cent, such as {share / 100:g}")
    return share


class RunSettings(Settings):
    """What every run has that may be one among several: a folder, and models that it is given."""

    if TYPE_CHECKING:
        out: Path  # a field of each recipe's own, in the place where its help shows it

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        return {}


class PlaceSettings(Settings):
    """Where and how a model is run."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    precision: Precision = "fp32"
    """Arithmetic of the forward pass: fp32, bf16 or fp16."""


class StepSettings(Settings):
    """What one optimiser step takes in, and how far it goes."""

    batch_size: Shown[int] = Field(default=32, ge=1)
    """Examples in an optimiser step, over all micro-batches."""
    learning_rate: Shown[float] = Field(default=5e-5, gt=0, allow_inf_nan=False)
    """Peak of the schedule; by default one of those that BERT was fine-tuned with."""


class TrainingSettings(StepSettings, PlaceSettings):
    """What every training is given; the defaults are those of fine-tuning BERT."""

    accumulate: int = Field(default=1, ge=1)
    """Micro-batches a step is split into, to need less memory; the result is the same."""
    max_steps: int | None = Field(default=None, gt=0)
    """End of the run in optimiser steps, if that comes first."""
    max_minutes: float | None = Field(default=None, gt=0)
    """End of the run in minutes of training, if that comes first; evaluation is not counted. Not
    reproducible to the bit."""

    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """AdamW's decay rates; by default AdamW's own."""
    eps: float = Field(default=1e-8, gt=0, allow_inf_nan=False)
    """AdamW's epsilon; by default AdamW's own."""
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Decoupled decay of matrices and embeddings; never of biases and norms."""
    schedule: Schedule = Schedule(warmup_ratio=0.1)
    """Warm-up and decay of the learning rate; by default BERT's."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm; by default BERT's."""

    log_every: int = Field(default=10, ge=1)
    """Steps between lines of kind `train` in metrics.jsonl."""
    save_every: int | None = Field(default=None, ge=1)
    """Save after every so many steps; None saves after validations and every half minute, as long
    as that takes no more than 3 % of the time."""
    tensorboard: bool = False
    """Also write TensorBoard files (needs `limbeck[tensorboard]`)."""

    @model_validator(mode="after")
    def _require_rows_to_divide(self) -> Self:
        if self.accumulate > self.batch_size:
            raise SettingsError(
                f"accumulate = {self.accumulate} divides a step into more micro-batches than it "
                f"has rows (batch_size = {self.batch_size}); accepted: accumulate = 1 to "
                f"{self.batch_size}, or a larger batch_size"
            )
        return self


class LearningSettings(StepSettings):
    """What a model learns on a task, and how often."""

    seeds: Shown[tuple[int, ...]] = Field(default=(0,), min_length=1)
    """One run each; a seed decides new weights, dropout and the order of the examples."""
    losses: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What a student learns from its teacher, as `limbeck list losses` shows; by default
    `soft_targets`, `logit_mse` where the task predicts numbers, or `pooled_cosine` of a server of
    vectors."""
    label_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """What a label counts beside what the teacher says of the same example; 0 learns from the
    teacher alone. Where few examples have labels, these count little as a whole: with one in ten,
    10 makes them count as much as the teacher."""
    teacher_options: dict[str, Any] = Field(default_factory=dict)
    """Settings of a teacher that is no model. For a file of predictions: `missing=label` learns the
    label where a row has no prediction. For a server: `base_url`, `model`, `key_variable`,
    `prompt`, `request`, `logprobs`, `confidence`, `missing`, `batch_size`, `concurrency`,
    `timeout_seconds`, `retries`, `input_price`, `output_price`; for one of vectors also
    `dimensions`."""
    epochs: Shown[float] = Field(default=3.0, gt=0, allow_inf_nan=False)
    """Passes over the training examples, those of `transfer` and `augment` included."""

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("give each seed once, since every one counts as a run of its own")
        if not all(0 <= seed < _END_OF_SEEDS for seed in seeds):
            raise ValueError(f"give whole numbers from 0 to {_END_OF_SEEDS - 1}")
        return seeds
