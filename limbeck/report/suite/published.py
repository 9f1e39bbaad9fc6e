"""Figures that others have published, to stand beside ours and never among them."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One model's published figures.

    Attributes:
        name: The model.
        source: Where the figures stand.
        scores: Score of each task, as a share; the metric is the source's.
    """

    name: str
    source: str
    scores: Mapping[str, float]

    def average(self, tasks: Collection[str]) -> float | None:
        """Returns the mean over tasks; None unless there is a figure for every one."""
        if not tasks or any(task not in self.scores for task in tasks):
            return None
        return sum(self.scores[task] for task in tasks) / len(tasks)


def read_published(split: str, tasks: Collection[str]) -> tuple[Published, ...]:
    """Returns the models with a figure for at least one of the tasks on a split."""
    entries = tomllib.loads(_FILE.read_text(encoding="utf-8"))["models"]
    found = []
    for entry in entries:
        scores = {
            task: round(value / 100, 6) for task, value in entry["scores"].items() if task in tasks
        }
        if scores and entry["split"] == split:
            found.append(Published(name=entry["name"], source=entry["source"], scores=scores))
    return tuple(found)
