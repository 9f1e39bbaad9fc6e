"""Settings of `limbeck export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, field_validator, model_validator

from limbeck.config import Shown
from limbeck.errors import SettingsError
from limbeck.recipes._settings import RunSettings, take_one

USUAL_DROP = 0.01


def require_each_once(names: Sequence[str], *, setting: str, what: str) -> None:
    """Refuses a list of which nothing would come, or the same folder twice.

    Raises:
        SettingsError: If it is empty, or names something twice.
    """
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None or not names:
        given = f"{double} twice" if double else "nothing"
        raise SettingsError(f"{setting} names {given}; accepted: one {what} or several, each once")


class ProofSettings(RunSettings):
    """What may be lost of a model in another format, and what that is measured on."""

    if TYPE_CHECKING:
        model: str  # a field of each recipe's own, in the place where its help shows it

    task: Shown[str | None] = None
    """Task that the model and its export are scored on, as `limbeck list tasks` shows it; by
    default the one that the model was fine-tuned for, if there are `data`."""
    data: Shown[str | dict[str, str] | None] = None
    """The task's data, as for `evaluate`; without task and data, outputs are compared, which says
    less."""
    task_options: dict[str, Any] = Field(default_factory=dict)
    """The task's own options, such as its columns, as for `evaluate`."""
    split: str = "validation"
    """Split that is scored."""
    max_drop: Shown[float | None] = Field(default=None, ge=0, allow_inf_nan=False)
    """The most that the score may be lower than the model's, in the metric's own unit; an export
    that loses more is refused. By default 0.01 where there are data."""
    compare_with: str | None = None
    """Model that score and outputs are held against: of one that was trained for its format, the
    model in full precision that it learned from. By default the model that is exported."""
    repair: Shown[bool] = False
    """Find by measurement which layers have to stay in float, or of four bits in eight first, until
    the bound is kept."""
    keep_float: tuple[str, ...] = ()
    """Modules whose weights stay in float, such as `encoder.layers.0.feed_forward.output`."""
    texts: Shown[str | tuple[str, ...] | None] = None
    """Texts to compare outputs on and to calibrate by: files, folders, globs or `hf://NAME`; by
    default the task's own rows, else texts that come with Limbeck."""
    text_field: str = Field(default="text", min_length=1)
    """Column that holds the text: field of a JSON line, column of a table or of a Hub data set."""
    num_rows: int = Field(default=64, ge=1)
    """Rows that outputs are compared on."""
    calibration_rows: int = Field(default=128, ge=1)
    """Rows that targets are calibrated on which need it: for ranges of activations, or for GPTQ."""
    max_length: int | None = Field(default=None, ge=8)
    """Longest input in tokens; by default what the model was fine-tuned with, else 128."""
    measure: bool = True
    """Measure the latency beside that of the model in torch."""

    @property
    def is_scored(self) -> bool:
        """Whether there is a task to score on."""
        return self.task is not None or self.data is not None

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        named = {"model": self.model}
        return named if self.compare_with is None else {**named, "compare_with": self.compare_with}

    @model_validator(mode="after")
    def _require_a_score_to_lose(self) -> Self:
        if self.max_drop is not None and not self.is_scored:
            raise SettingsError(
                f"max_drop = {self.max_drop:g} bounds a score, and there is nothing to score; give "
                "data=FOLDER, or task=NAME of one whose data the Hub has"
            )
        return self


class _ToTargets(RunSettings):
    model: Shown[str]
    """Model folder or Hub id, with its tokenizer."""
    to: Shown[tuple[str, ...]]
    """Target, or several, as `limbeck list targets` shows them."""
    out: Shown[Path]
    """Run folder; the exported model is in its folder `model`, several are in `models`."""

    _take_one = field_validator("to", mode="before")(take_one)

    @model_validator(mode="after")
    def _require_targets(self) -> Self:
        require_each_once([name.replace("_", "-") for name in self.to], setting="to", what="target")
        return self


class ExportSettings(ProofSettings, _ToTargets):
    """A model, what it is exported to, and what may be lost by that."""
