"""The settings of `finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from limbeck.config import Shown
from limbeck.errors import SettingsError
from limbeck.methods import MethodSettings, Start
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.recipes._tasks.data import TaskRunSettings
from limbeck.recipes.finetune.augmentation import AugmentSettings
from limbeck.runs import Role
from limbeck.train import Schedule


class FinetuneSettings(TaskRunSettings):
    """One model, one task, one or more seeds."""

    initialise: Literal["pretrained", "random"] = "pretrained"
    """`pretrained` starts from the model's weights, `random` from new ones of its architecture."""
    new_head: bool = True
    """Start with a new head; false goes on with the head of an already fine-tuned model."""
    keep_layers: Shown[int | str | tuple[int, ...] | None] = None
    """Start from some of the model's layers: how many (as `lower` spaces them), `every_other`,
    `original`, `lower`, `even`, or a list such as [0, 2, 4]; None starts from all."""
    start: Start = ()
    """Methods that are applied to the model before training, one after the other, in place of
    `keep_layers`: `[{ method = "keep_layers", layers = 3 }]`; `limbeck list methods` shows them."""
    seeds: Shown[tuple[int, ...]] = Field(default=(0,), min_length=1)
    """One run each; a seed decides new weights, dropout and the order of the examples."""

    teacher: Shown[str | None] = None
    """Folder or Hub id of a model that is fine-tuned on this task, to be learned from, also on
    unlabelled text: a file `transfer.jsonl` beside the others, or `data.transfer=FILE`."""
    losses: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What the student learns from the teacher, as `limbeck list losses` shows; by default
    `soft_targets`, or `logit_mse` where the task predicts numbers."""
    label_weight: float = Field(default=1.0, ge=0)
    """Weight of the loss against the data set's labels; 0 learns from the teacher alone."""
    teacher_cache: Path | None = None
    """Folder to keep teachers' logits in, for all epochs, seeds and students that learn from the
    same rows; None runs the teacher beside the student."""
    augment: AugmentSettings | None = None
    """Makes further training texts that the teacher labels, by a masked LM: `augment.model=MODEL`
    and how."""

    epochs: Shown[float] = Field(default=3.0, gt=0)
    """Passes over the training examples, those of `transfer` and `augment` included."""
    max_steps: int | None = Field(default=None, gt=0)
    """End of each seed's run in optimiser steps, if that comes first."""
    max_minutes: float | None = Field(default=None, gt=0)
    """End of each seed's run in minutes of training, if that comes first; evaluation is not
    counted. Not reproducible to the bit."""
    batch_size: Shown[int] = Field(default=32, ge=1)
    """Examples in an optimiser step, over all micro-batches."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches a step is split into, to need less memory; the result is the same."""

    learning_rate: Shown[float] = Field(default=5e-5, gt=0)
    """Peak of the schedule."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Each layer learns at this many times the rate of the layer above it."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates."""
    eps: float = Field(default=1e-8, gt=0)
    """AdamW's epsilon."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled decay of matrices and embeddings; never of biases and norms."""
    schedule: Schedule = Schedule(warmup_ratio=0.1)
    """Warm-up and decay of the learning rate."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""

    evaluations_per_epoch: int = Field(default=1, ge=1)
    """Validations in each epoch; the weights of the best one are kept."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many validations in a row without a better score; None never does."""
    log_every: int = Field(default=10, ge=1)
    """Steps between lines of kind `train` in metrics.jsonl."""
    save_every: int = Field(default=500, ge=1)
    """Steps between checkpoints."""
    tensorboard: bool = False
    """Also write TensorBoard files (needs `limbeck[tensorboard]`)."""

    def default_names(self) -> tuple[str, Role]:
        """Returns the label and the role of a model that the settings give none.

        The label is not the name of the model that the run starts from, which may be the teacher.
        """
        return self.out.resolve().name, "other" if self.teacher is None else "student"

    @property
    def methods(self) -> tuple[MethodSettings, ...]:
        """What is applied to the model before training."""
        if self.keep_layers is None:
            return self.start
        return (KeepLayersSettings(layers=self.keep_layers),)

    @model_validator(mode="after")
    def _require_one_start(self) -> Self:
        if self.start and self.keep_layers is not None:
            raise SettingsError("start and keep_layers are both given; leave one of them out")
        return self

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("give each seed once, since every one counts as a run of its own")
        return seeds
