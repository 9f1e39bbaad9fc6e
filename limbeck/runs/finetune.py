"""What came of a fine-tuning: of each seed, and of all."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from limbeck.files.typed import TypedFile
from limbeck.runs.result import REMEDY, RESULT_FILE
from limbeck.runs.task import TaskRecord, Trivial


class SeedRecord(TypedFile):
    """One seed of a fine-tuning."""

    FILE_NAME: ClassVar[str] = RESULT_FILE
    REMEDY: ClassVar[str] = REMEDY

    seed: int
    """The seed."""
    folder: str
    """Name of its folder in the run's."""
    validation: dict[str, float]
    """Scores of the best weights on the validation split."""
    test: dict[str, float] | None
    """The same on the test split; None where there is none, or it has no labels."""
    trivial: dict[str, Trivial] = Field(default_factory=dict)
    """What each split gives to one and the same answer; empty in records of earlier versions."""
    best_epoch: float
    """Epoch after which the weights were kept."""
    best_step: int
    """Step after which they were kept."""
    num_steps: int
    """Optimiser steps made."""
    num_epochs: float
    """Passes made over the training examples."""
    epochs_asked: float | None = None
    """Passes that the run was asked for; None in records of before this was noted."""
    intermediate_steps: int = 0
    """Steps before those, in which the teacher's layers alone were learned."""
    replacing_steps: int = 0
    """Steps before those, in which the student's layers stood in for groups of the model's."""
    density: float | None = None
    """Share of the weights of its encoder's linear layers that is not zero; None where nothing was
    pruned."""
    elapsed_seconds: float
    """Training time, all phases together."""
    examples_sha256: str
    """Of the encoded examples and labels; a run goes on with the same only."""
    tokenizer_sha256: str
    """Of what decides the tokenizer's ids; another one's give the same examples other checksums."""
    predictions_sha256: str
    """Of `predictions.jsonl`."""
    model_files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file of its model, but for the card."""
    num_layers: int
    """Encoder layers."""
    num_parameters: int
    """Parameters, the head included."""
    file_bytes: int
    """Size of the weight files."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The scores by split, of those that were scored."""
        found = {"validation": self.validation, "test": self.test}
        return {split: scores for split, scores in found.items() if scores is not None}

    def rank(self, metric: str) -> tuple[bool, float]:
        """Returns what the best of several seeds is highest in.

        A model that predicts nearly always the same has looked at nothing, whatever it scores.
        """
        trivial = self.trivial.get("validation")
        looks = trivial is None or trivial.favourite is None
        return looks, self.validation[metric]


class FinetuneRecord(TaskRecord):
    """All seeds of a fine-tuning."""

    recipe: Literal["finetune"] = "finetune"
    """Name of the recipe."""
    initialise: Literal["pretrained", "random"]
    """What the weights began as."""
    num_left_out: int = 0
    """Rows that were not learned from, since what the teacher says of them can't be read."""
    best_seed: int
    """The seed whose model is in `model`: the best on the validation split."""
    seeds: tuple[SeedRecord, ...] = Field(min_length=1)
    """Each seed's, in the order in which they were asked for."""

    @property
    def trivial(self) -> dict[str, Trivial]:
        """What each split gives to one and the same answer, and how near the best seed is to it."""
        return self.best.trivial

    @property
    def best(self) -> SeedRecord:
        """The best seed's."""
        return next(seed for seed in self.seeds if seed.seed == self.best_seed)
