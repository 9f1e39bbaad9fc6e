"""Models as a call takes them: a Hub id, a folder, a result, or a model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from limbeck.api._data import SplitInMemory
from limbeck.api._put import put
from limbeck.api._result import ModelResult
from limbeck.errors import SettingsError, with_article
from limbeck.models import Model
from limbeck.runs import DATA_FOLDER, MODELS_FOLDER
from limbeck.sources import open_rows
from limbeck.tokenizers import Tokenizer

_TEACHERS = ("teacher", "model")
"""Settings that may be rows of predictions."""

ModelLike: TypeAlias = str | Path | ModelResult[Any] | Model | tuple[Model, Tokenizer]
"""A Hub id, a folder, a result with its model, or a model in memory with its tokenizer."""


@dataclass
class ModelsInMemory:
    """Models, and what teachers say that are none, to be written into a run's folder.

    Attributes:
        out: The run's folder.
    """

    out: Path
    _models: dict[str, tuple[Model, Tokenizer]] = field(default_factory=dict)
    _said: dict[Path, SplitInMemory] = field(default_factory=dict)

    def name(self, value: Any, *, setting: str) -> Any:
        """Returns a setting's value with every model in it as text, and every path.

        Rows in the place of a teacher are predictions.

        Args:
            value: The value, which may hold models in its parts.
            setting: The setting's name.

        Raises:
            SettingsError: If a model comes without its tokenizer.
        """
        if isinstance(value, ModelResult):
            return str(value.model_folder)
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Model):
            role = setting.replace(".", "-")
            self._models[role] = value
            return str(self.out / MODELS_FOLDER / role)
        if isinstance(value, Model):
            raise SettingsError(
                f"{setting} = {with_article(type(value).__name__)} in memory comes without its "
                f"tokenizer; give {setting} = (model, tokenizer), or a folder or Hub id"
            )
        if setting in _TEACHERS and value is not None and not are_models(value):
            path = self.out / DATA_FOLDER / f"{setting}.jsonl"
            self._said[path] = SplitInMemory(setting, open_rows(setting, value))
            return str(path)
        if isinstance(value, Mapping):
            return {k: self.name(v, setting=f"{setting}.{k}") for k, v in value.items()}
        if isinstance(value, list | tuple):
            items = [self.name(v, setting=f"{setting}.{i}") for i, v in enumerate(value)]
            return type(value)(items)
        return value

    def holds(self, name: str) -> bool:
        """Tells whether a setting's text is the folder of a model that is still in memory."""
        return name in [str(self.out / MODELS_FOLDER / role) for role in self._models]

    def write(self) -> None:
        """Writes the models, each a folder, and the predictions, each a file."""
        for role, (model, tokenizer) in self._models.items():
            write = partial(_write, model, tokenizer)
            put(self.out / MODELS_FOLDER / role, write, out=self.out)
        for path, rows in self._said.items():
            put(path, rows.write, out=self.out)


def are_models(value: Any) -> bool:
    """Tells whether a teacher is a model, or a list of several, rather than rows of predictions."""
    if isinstance(value, list | tuple):
        return bool(value) and all(not isinstance(one, list) and are_models(one) for one in value)
    return isinstance(value, str | Path | ModelResult | Model | Tokenizer)


def with_tokenizer(model: Any, tokenizer: Tokenizer | None) -> Any:
    """Returns a model in memory with the tokenizer that stands beside it in a call.

    Raises:
        SettingsError: If there is a tokenizer without such a model.
    """
    if tokenizer is None:
        return model
    if not isinstance(model, Model):
        raise SettingsError(
            "tokenizer = ... goes with a model in memory; a folder, a Hub id and a result have "
            "theirs"
        )
    return (model, tokenizer)


def _write(model: Model, tokenizer: Tokenizer, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
