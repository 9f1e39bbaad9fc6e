"""What came of training on running text: `distill` and `pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self, TypedDict

from pydantic import Field

from limbeck.runs.adapter import Adapter
from limbeck.runs.result import ResultRecord, move_path


class TrainingFigures(TypedDict):
    """What a training measured, as its record takes it."""

    num_steps: int
    num_tokens: int
    elapsed_seconds: float
    held_out_before: dict[str, float]
    held_out_after: dict[str, float]
    metrics_sha256: str


class LanguageModelRecord(ResultRecord):
    """A language model that was trained."""

    model: str
    """Its folder."""
    num_steps: int
    """Optimiser steps made."""
    num_tokens: int
    """Tokens seen, special tokens and repeated ones included."""
    elapsed_seconds: float
    """Training time."""
    held_out_before: dict[str, float]
    """Figures on held-out text before the first step."""
    held_out_after: dict[str, float]
    """The same after the last one."""
    metrics_sha256: str | None = None
    """Of `metrics.jsonl`."""
    model_files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file of the model, but for the card."""

    def written_models(self) -> dict[str, dict[str, str]]:
        """Returns the checksums of each model's files, by the name of its folder in the run's."""
        return {"model": self.model_files}

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with the model where it is now."""
        return self.model_copy(update={"model": move_path(self.model, old, new)})


class PretrainRecord(LanguageModelRecord):
    """A pretraining."""

    recipe: Literal["pretrain"] = "pretrain"
    """Name of the recipe."""
    objective: str = "language_model"
    """What was learnt: `language_model`, or `replaced_tokens`, of which the model is the
    discriminator."""
    generator: str | None = None
    """Folder of the generator of `replaced_tokens`."""
    generator_files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each of its files."""

    def written_models(self) -> dict[str, dict[str, str]]:
        """Returns the checksums of both models' files, or of the one there is."""
        beside = {} if self.generator is None else {"generator": self.generator_files}
        return super().written_models() | beside

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with its models where they are now."""
        generator = self.generator and move_path(self.generator, old, new)
        return super().moved(old, new).model_copy(update={"generator": generator})


class DistillRecord(LanguageModelRecord):
    """A distillation."""

    recipe: Literal["distill"] = "distill"
    """Name of the recipe."""
    teacher: str
    """The teacher's folder or Hub id."""
    teacher_adapter: Adapter | None = None
    """What ran it, where it is none of our families'."""
    num_layers: int
    """The student's encoder layers."""
    num_parameters: int
    """Its parameters, the head included."""
    teacher_num_layers: int
    """The teacher's encoder layers."""
    teacher_num_parameters: int
    """Its parameters, the head included."""
