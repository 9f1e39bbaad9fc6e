"""What a model folder holds beside the model: how its outputs are used."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from limbeck.errors import CheckpointError
from limbeck.files import read_json, write_json
from limbeck.system_errors import raised_as

_SENTENCE_LENGTH: Final = "sentence_*_config.json"
SENTENCE_FILES: Final = (
    "modules.json",
    "config_sentence_transformers.json",
    _SENTENCE_LENGTH,
    "[0-9]*_*/config.json",  # modules after the model, such as 1_Pooling
    "[0-9]*_*/*.safetensors",
)
"""Files that say how a sentence model makes a vector of hidden states."""
_TASK: Final = "limbeck.json"  # that it was fine-tuned for


def read_task_name(folder: Path) -> str | None:
    """Returns the task that a model folder says it was fine-tuned for; None if it says none.

    Raises:
        CheckpointError: If the file that says it is damaged.
    """
    name = _read_task(folder).get("task")
    return name if isinstance(name, str) else None


def read_task_length(folder: Path) -> int | None:
    """Returns the longest input, in tokens, that a model was fine-tuned with; None if none is said.

    Raises:
        CheckpointError: If the file that says it is damaged.
    """
    length = _read_task(folder).get("max_length")
    return length if isinstance(length, int) and length > 0 else None


def _read_task(folder: Path) -> Mapping[str, Any]:
    path = folder / _TASK
    return read_json(path, error=CheckpointError) if path.is_file() else {}


def copy_beside(source: Path, target: Path, *, max_tokens: int | None = None) -> None:
    """Copies what says how a model's outputs are used, for a model with the same outputs.

    Args:
        source: A model folder.
        target: That of a model made of it.
        max_tokens: Longest input of that model, to which a sentence model's texts are cut; None
            where it takes what the other takes.

    Raises:
        CheckpointError: If a file can't be read or written.
    """
    for path in sorted(found for name in (_TASK, *SENTENCE_FILES) for found in source.glob(name)):
        place = target / path.relative_to(source)
        with raised_as(CheckpointError, place, writes=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    if max_tokens is not None:
        for path in target.glob(_SENTENCE_LENGTH):
            _shorten(path, max_tokens)


def _shorten(path: Path, max_tokens: int) -> None:
    """Lowers the length at which a sentence model's texts are cut, where it is greater."""
    values = read_json(path, error=CheckpointError)
    length = values.get("max_seq_length")
    if isinstance(length, int) and length > max_tokens:
        write_json(path, {**values, "max_seq_length": max_tokens}, error=CheckpointError)
