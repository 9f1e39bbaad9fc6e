"""Models of whatever family, to be run: ours, and those that only `transformers` has."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from limbeck import checkpoints
from limbeck.models._auto import AutoConfig, known_families
from limbeck.models._config import ModelConfig
from limbeck.models._foreign import ForeignConfig, ForeignModel
from limbeck.models._foreign.config import read_foreign_config
from limbeck.models._kinds import Kind
from limbeck.models._model import Model

AnyModel: TypeAlias = Model | ForeignModel


def find_foreign_family(folder: Path) -> str | None:
    """Returns the family of a folder's model if it is none of ours; None if it is, or says none.

    Raises:
        CheckpointError: If there is no `config.json`, or it is damaged.
    """
    family = checkpoints.read_config(folder).get("model_type")
    is_foreign = isinstance(family, str) and family.replace("-", "_") not in known_families()
    return str(family) if is_foreign else None


def read_any_config(folder: Path) -> ModelConfig:
    """Reads the configuration of a model of any family.

    Raises:
        CheckpointError: If nobody has the family, or a value is wrong.
        MissingExtraError: If the family is not ours and `transformers` is not installed.
    """
    if (family := find_foreign_family(folder)) is None:
        return AutoConfig.from_pretrained(folder)
    return _read_foreign(folder, family)


def load_foreign(folder: Path, kind: Kind) -> ForeignModel:
    """Loads a model of a family that is not ours; errors are those of `ForeignModel.from_folder`.

    Args:
        folder: The model folder, for which `find_foreign_family` gives one.
        kind: What stands on the encoder.
    """
    family = find_foreign_family(folder)
    assert family is not None
    return ForeignModel.from_folder(folder, _read_foreign(folder, family), kind)


def _read_foreign(folder: Path, family: str) -> ForeignConfig:
    return read_foreign_config(folder, family=family, known=", ".join(known_families()))
