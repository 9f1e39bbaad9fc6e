"""What came of a suite."""

from __future__ import annotations

from typing import Literal

from limbeck.files.typed import Part
from limbeck.runs.result import ResultRecord


class SuiteTaskScores(Part):
    """One task."""

    name: str
    """Its name in the suite."""
    metric: str
    """Name of its main metric."""
    medians: dict[str, float]
    """Median over seeds of each model, by its label."""


class Share(Part):
    """A share with its 95 % interval."""

    estimate: float
    """The share."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


class SuiteModelScores(Part):
    """One model over all tasks that every model has run."""

    label: str
    """Its label."""
    role: str
    """Its part in the report."""
    average: float
    """Mean over tasks of the mean over seeds."""
    median_average: float
    """Mean over tasks of the median over seeds."""
    retention: Share | None
    """Share of the teacher's average; None for the teacher, or where there is none."""


class SuiteRecord(ResultRecord):
    """All models on all tasks."""

    recipe: Literal["suite"] = "suite"
    """Name of the recipe."""
    suite: str
    """Name of the suite."""
    headline: str
    """The outcome in a sentence."""
    findings: tuple[str, ...]
    """Each student against each baseline and the teacher, in words."""
    averaged_tasks: tuple[str, ...]
    """The tasks that the average is over."""
    missing: dict[str, str]
    """Tasks without data, and why."""
    tasks: tuple[SuiteTaskScores, ...]
    """The tasks that were run."""
    models: tuple[SuiteModelScores, ...]
    """The models, the teacher first."""
    report: str
    """The page."""
