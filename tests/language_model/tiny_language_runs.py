"""Runs of `distill` and `pretrain` that a test can wait for."""

from __future__ import annotations

from pathlib import Path

from limbeck.config import Settings
from limbeck.train import SilentProgress


def values(corpus: Path, teacher: Path, out: Path, **changes: object) -> dict[str, object]:
    return {
        "teacher": str(teacher),
        "corpus": str(corpus),
        "out": str(out),
        "sequence_length": 16,
        "batch_size": 8,
        "accumulate": 2,
        "max_steps": 60,
        "log_every": 1,
        "save_every": 5,
        "evaluate_every": 20,
        **changes,
    }


def run(recipe: object, **settings: object) -> dict[str, object]:
    made: Settings = recipe.SettingsType.from_values(settings)
    return recipe.run(made, progress=SilentProgress())
