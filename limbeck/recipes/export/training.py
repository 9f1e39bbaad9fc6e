"""A training of the model for its format, before it is exported: what `quantise` calls `aware`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from limbeck.errors import SettingsError
from limbeck.export import load_graph
from limbeck.files import sha256_of_texts
from limbeck.recipes import finetune
from limbeck.recipes.export.source import Source
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.student import require_further
from limbeck.train import Progress

FOLDER = "training"
"""Where in the run's folder it is."""
# TernaryBERT's (section 4): what it learns of the teacher, which is the model itself, and how fast.
_OF_LAYERS = ("hidden_mse", "attention_mse")
_LEARNING_RATE = 2e-5
_PASSED_ON = {"task", "data", "task_options", "max_length"}


@dataclass(frozen=True, kw_only=True)
class TrainingForFormat:
    """What the model learns before it is exported.

    Attributes:
        bits: Of a weight.
        finetune: Further settings of the training, the user's.
    """

    bits: int
    finetune: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 over what was asked for."""
        return sha256_of_texts([json.dumps([self.bits, dict(self.finetune)], default=str)])

    def plan(self, source: Source) -> dict[str, Any]:
        """Returns what it would do, and refuses what can't be done."""
        return finetune.plan(self._make_settings(source))

    def run(self, source: Source, progress: Progress) -> Source:
        """Trains the model, or goes on with it, and returns what is exported in its place.

        The gate is still that of the model as it was given.
        """
        settings = self._make_settings(source)
        best = finetune.run(settings, progress=progress).best
        folder = settings.out / "model"
        words = (
            f"as int{self.bits}, {best.best_step:,} steps with the model in full precision as the "
            "teacher"
        )
        return replace(source, folder=folder, graph=load_graph(folder), training=words)

    def _make_settings(self, source: Source) -> FinetuneSettings:
        task = source.gate.task
        if task is None:
            raise SettingsError(
                f"method = aware trains {source.settings.model} on its task, and there is nothing "
                "to train on; give data=FOLDER, or task=NAME of one whose data the Hub has"
            )
        own = {
            "model": source.settings.model,
            "teacher": source.settings.model,
            "new_head": False,
            "out": source.settings.out / FOLDER,
            "quantise": {"weights": self.bits},
        }
        require_further(self.finetune, own | dict.fromkeys(_PASSED_ON), recipe="quantise")
        of_logits = "logit_mse" if task.data.task.targets == "real" else "soft_targets"
        values = {
            **task.data.settings.model_dump(include=_PASSED_ON),
            "learning_rate": _LEARNING_RATE,
            "losses": {name: {} for name in (*_OF_LAYERS, of_logits)},
            **self.finetune,
            **own,
        }
        return FinetuneSettings.from_values(values, where="finetune")
