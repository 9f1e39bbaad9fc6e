"""The settings of `chain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from limbeck.config import Settings, Shown


class ChainSettings(Settings):
    """Several runs, one after the other, each of which may take the models of those before it."""

    stages: Shown[dict[str, dict[str, Any]]] = Field(min_length=1)
    """By name, in the order in which they run: a recipe and its settings. The name of an earlier
    stage stands for its model, wherever a setting takes one:
    `stages.assistant = { recipe = "distill", teacher = "bert-base-uncased" }`,
    `stages.student = { recipe = "distill", teacher = "assistant", num_student_layers = 3 }`."""
    shared: Shown[dict[str, Any]] = Field(default_factory=dict)
    """Settings of all stages whose recipe has them and that do not give them, such as `corpus`,
    `data` or `device`."""
    out: Shown[Path]
    """Run folder; the same command given again runs what has not finished. The last stage's model
    is in its folder `model`."""
