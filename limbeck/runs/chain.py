"""What came of a chain of stages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from limbeck.files.typed import Part
from limbeck.runs.result import ResultRecord, move_path


class ChainStage(Part):
    """One stage."""

    name: str
    """Its name."""
    recipe: str
    """The recipe that ran it."""
    folder: str
    """Its run folder."""
    takes: dict[str, str]
    """Earlier stages whose models it was given, by setting."""


class ChainRecord(ResultRecord):
    """Several runs, one after the other, and the model of the last."""

    recipe: Literal["chain"] = "chain"
    """Name of the recipe."""
    stages: tuple[ChainStage, ...]
    """The stages, in their order."""
    model: str
    """Folder of the last stage's model."""
    model_files: dict[str, str]
    """SHA-256 of each file of the model, but for the card."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with the folders where they are now."""
        stages = tuple(
            stage.model_copy(update={"folder": move_path(stage.folder, old, new)})
            for stage in self.stages
        )
        return self.model_copy(update={"model": move_path(self.model, old, new), "stages": stages})
