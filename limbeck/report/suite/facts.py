"""What a suite's report says, before it is worded or drawn; written as it stands to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.report.facts import BaseReport, Comparison, ConstantFacts, ModelFacts
from limbeck.report.suite.published import Published


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """All models on one task.

    Attributes:
        name: The task's name in the suite.
        metric: Its main metric.
        constant: What the models are to be held against, or None if no interval is known.
        models: Teacher first, then students, baselines and others; speeds are not among their
            facts.
        comparisons: Each student against each baseline and the teacher.
    """

    name: str
    metric: str
    num_examples: int
    constant: ConstantFacts | None
    models: tuple[ModelFacts, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def is_learned(self) -> bool:
        """Whether the teacher is shown to do better than one answer for all, where that is known.

        Tasks on which it is not stay in the averages, as in GLUE's, and are named there.
        """
        return self.models[0].beats_constant is not False

    def find(self, label: str) -> ModelFacts | None:
        """Returns a model's facts, or None if it was not run on this task."""
        return next((model for model in self.models if model.label == label), None)


@dataclass(frozen=True, kw_only=True, repr=False)
class SuiteReport(BaseReport):
    """All that a suite's report says.

    The models' scores are macro averages: the mean over tasks of a seed's score, and as median the
    mean over tasks of the medians. Comparisons are of them.

    Attributes:
        suite: Name of the suite.
        tasks: Every task with a result of the teacher.
        averaged: Names of those that every model has run: the macro average is over them.
        absent: Names of the tasks that were asked for and are not among them.
        published: Figures of others, on the same split.
        missing: Tasks without data, and why.
        failures: Tasks or runs that failed, and why.
        speed_task: The task whose examples the speed was measured on, or None.
    """

    suite: str
    tasks: tuple[TaskFacts, ...]
    averaged: tuple[str, ...]
    absent: tuple[str, ...]
    published: tuple[Published, ...]
    missing: Mapping[str, str]
    failures: Mapping[str, str]
    speed_task: str | None

    @property
    def warnings(self) -> list[str]:
        """What a reader has to know before the figures."""
        found = []
        if self.absent:
            found.append(f"Not in the averages: {', '.join(self.absent)}; see below for why.")
        near = [
            f"{model.label} on {task.name} ({model.favourite})"
            for task in self.tasks
            for model in task.models
            if model.favourite is not None
        ]
        if near:
            found.append(f"Nearly always the same is predicted by {', '.join(near)}.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the files as plain JSON values."""
        values = super().to_dict()
        for task, written in zip(self.tasks, values["tasks"], strict=True):
            written["is_learned"] = task.is_learned
        for published, written in zip(self.published, values["published"], strict=True):
            written["average"] = published.average(self.averaged)
        return values
