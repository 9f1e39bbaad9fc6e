"""What a suite's report says, before it is worded or drawn; written as it stands to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from limbeck.report.facts import Comparison, ModelFacts
from limbeck.report.notes import describe_constant
from limbeck.report.suite.published import Published


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """All models on one task.

    Attributes:
        name: The task's name in the suite.
        metric: Its main metric.
        num_examples: Examples of the split.
        is_learned: Whether the teacher predicts more than one and the same for all examples.
        models: Teacher first, then students, baselines and others; speeds are not among their
            facts.
        comparisons: Each student against each baseline and the teacher.
    """

    name: str
    metric: str
    num_examples: int
    is_learned: bool
    models: tuple[ModelFacts, ...]
    comparisons: tuple[Comparison, ...]

    def find(self, label: str) -> ModelFacts | None:
        """Returns a model's facts, or None if it was not run on this task."""
        return next((model for model in self.models if model.label == label), None)


@dataclass(frozen=True, kw_only=True)
class SuiteReport:
    """All that a suite's report says.

    Attributes:
        title: Heading of the page.
        headline: The result in one sentence.
        suite: Name of the suite.
        split: The split that is reported.
        num_examples: Examples over all tasks of the average.
        teacher: Label of the teacher.
        student: Label of the student in the headline, or None.
        tasks: Every task with a result of the teacher.
        averaged: Names of those that every model has run: the macro average is over them.
        absent: Names of the tasks that were asked for and are not among them.
        models: Teacher first. Scores are macro averages: the mean over tasks of a seed's score,
            and as median the mean over tasks of the medians.
        comparisons: Of macro averages.
        published: Figures of others, on the same split.
        missing: Tasks without data, and why.
        failures: Tasks or runs that failed, and why.
        speed_task: The task whose examples the speed was measured on, or None.
        notes: How the figures were obtained and what they can't tell.
        conditions: Machine and versions, in words.
        files: What was written, by kind.
    """

    title: str
    headline: str
    suite: str
    split: str
    num_examples: int
    teacher: str
    student: str | None
    tasks: tuple[TaskFacts, ...]
    averaged: tuple[str, ...]
    absent: tuple[str, ...]
    models: tuple[ModelFacts, ...]
    comparisons: tuple[Comparison, ...]
    published: tuple[Published, ...]
    missing: Mapping[str, str]
    failures: Mapping[str, str]
    speed_task: str | None
    notes: tuple[str, ...]
    conditions: Mapping[str, str]
    files: Mapping[str, Path] = field(default_factory=dict)

    def model(self, label: str) -> ModelFacts:
        """Returns the model of that label."""
        return next(model for model in self.models if model.label == label)

    @property
    def warnings(self) -> list[str]:
        """What a reader has to know before the figures."""
        found = []
        if self.absent:
            found.append(f"Not in the averages: {', '.join(self.absent)}; see below for why.")
        unlearned = [task.name for task in self.tasks if not task.is_learned]
        return found + describe_constant(unlearned)

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the files as plain JSON values."""
        values = asdict(self)
        for facts, written in zip(self.models, values["models"], strict=True):
            written["speed"] = facts.speed.to_dict() if facts.speed else None
        for published, written in zip(self.published, values["published"], strict=True):
            written["average"] = published.average(self.averaged)
        del values["files"]
        return values
