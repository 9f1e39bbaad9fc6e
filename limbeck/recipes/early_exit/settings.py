"""The settings of `early-exit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from limbeck.checkpoints.exits import Uncertainty
from limbeck.config import Shown
from limbeck.errors import SettingsError
from limbeck.recipes._settings import Seed, TrainingSettings, refuse_percent
from limbeck.recipes._tasks.settings import TaskSettings


class EarlyExitSettings(TrainingSettings, TaskSettings):
    """A fine-tuned model, its task, where it gets exits, and what these may cost."""

    model: Shown[str]
    """Folder or Hub id of a model that is fine-tuned on the task."""
    out: Shown[Path] = Path("early-exit")
    """Run folder; the same command given again goes on where a run stopped."""

    layers: Shown[tuple[int, ...] | None] = None
    """After how many layers there are exits, such as `2,4`; by default after each but the last."""
    uncertainty: Shown[Uncertainty | None] = None
    """What tells how unsure an exit is: `entropy`, over its maximum; `probability`, what the most
    probable label lacks to 1; `change`, from the exit before. By default entropy, of numbers
    change."""
    retain: Shown[float] = Field(default=0.99, gt=0, le=1)
    """Share of the model's score to keep: as much is kept on the examples that the bound is chosen
    on."""
    bound: Shown[float | None] = Field(default=None, ge=0, allow_inf_nan=False)
    """An input leaves by the first exit whose uncertainty is below; by default the bound with the
    least layers that keeps `retain`."""
    epochs: Shown[float] = Field(default=3.0, gt=0, allow_inf_nan=False)
    """Passes over the training examples, on which exits learn while the model stays as it is."""
    learning_rate: Shown[float] = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """Peak of the schedule; by default more than a whole model bears, since only exits learn."""
    losses: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What exits learn of the model's own logits; by default `soft_targets`, or `logit_mse` where
    the task predicts numbers."""
    label_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """What a label counts beside what the model says of the same example; 0 learns from the model
    alone."""
    seed: Seed = 0
    """Decides dropout and the order of the examples."""
    measure: bool = True
    """Measure the speed of both models at the end."""

    _refuse_percent = field_validator("retain", mode="before")(refuse_percent)

    @field_validator("layers")
    @classmethod
    def _require_each_once(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if layers is not None and (not layers or len(set(layers)) < len(layers)):
            raise ValueError("give layers, each once")
        return None if layers is None else tuple(sorted(layers))

    @model_validator(mode="after")
    def _require_one_wish(self) -> Self:
        # A file that was written has all settings, those that nobody gave among them.
        is_asked = self.retain != type(self).model_fields["retain"].default
        if self.bound is not None and is_asked:
            raise SettingsError(
                f"bound = {self.bound:g} says when inputs leave, and retain = {self.retain:g} would"
                " choose a bound; leave one of them out"
            )
        return self
