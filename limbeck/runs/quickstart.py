"""What came of the quickstart."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from limbeck.files.typed import Part
from limbeck.runs.result import ResultRecord, move_path


class QuickstartModel(Part):
    """A line of the table that the terminal shows, in words."""

    model: str
    """Label of the model."""
    layers: str
    """Encoder layers."""
    parameters: str
    """Parameters, the head included."""
    file: str
    """Size of the weight files."""
    accuracy: str
    """Mean over seeds, with its standard error."""
    retention: str
    """Share of the teacher's accuracy."""
    latency: str
    """One text at a time, tokenisation included."""
    speed_up: str
    """How many times as fast as the teacher."""


class QuickstartRecord(ResultRecord):
    """The quickstart's outcome and where everything is."""

    recipe: Literal["quickstart"] = "quickstart"
    """Name of the recipe."""
    headline: str
    """The outcome in a sentence."""
    findings: tuple[str, ...]
    """The student against each baseline and the teacher, in words."""
    models: tuple[QuickstartModel, ...]
    """The table."""
    report: str
    """The page."""
    student: str
    """Folder of the student's model."""
    command: str
    """A command that tries it."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with the report and the student where they are now."""
        student = move_path(self.student, old, new)
        update = {
            "report": move_path(self.report, old, new),
            "student": student,
            "command": self.command.replace(self.student, student),
        }
        return self.model_copy(update=update)
