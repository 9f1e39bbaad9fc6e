"""What a model folder holds beside the model: how its outputs are used."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from limbeck.errors import CheckpointError
from limbeck.system_errors import raised_as

_NAMES: Final = (
    "limbeck.json",  # the task that it was fine-tuned for
    "modules.json",  # of sentence-transformers, as the others
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "[0-9]_*/*.json",  # its modules after the model, such as 1_Pooling
    "[0-9]_*/*.safetensors",
)


def copy_beside(source: Path, target: Path) -> None:
    """Copies what says how a model's outputs are used, for a model with the same outputs.

    Args:
        source: A model folder.
        target: That of a model made of it.

    Raises:
        CheckpointError: If a file can't be read or written.
    """
    for path in sorted(found for name in _NAMES for found in source.glob(name)):
        place = target / path.relative_to(source)
        with raised_as(CheckpointError, place, writes=True):
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, place)
