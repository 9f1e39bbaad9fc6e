"""What is left of a model when heads, neurons or layers were taken out, before it learns again."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from limbeck.checkpoints import copy_beside
from limbeck.files import replace_folder
from limbeck.files.typed import TypedFile
from limbeck.models import Model
from limbeck.runs import hash_model_files
from limbeck.tokenizers import Tokenizer

CUT = "cut"
"""Folder of what was left, before its training."""


class Cut(TypedFile):
    """What a round has left of a model, before its training: `cut.json`."""

    FILE_NAME: ClassVar[str] = "cut.json"
    REMEDY: ClassVar[str] = "remove {folder}, and the same command cuts again"

    num_heads: tuple[int, ...]
    """Of each layer."""
    num_neurons: tuple[int, ...]
    """Of each layer."""
    num_parameters: int
    """Of the model, the head included."""
    model_files: dict[str, str]
    """SHA-256 of each of its files."""


def keep_cut(folder: Path, model: Model, tokenizer: Tokenizer, *, source: Path) -> Cut:
    """Writes what is left of a model, and how much that is.

    Args:
        folder: Where its folder and its record are.
        model: What is left, on the CPU.
        tokenizer: The model's.
        source: The model that was cut.
    """
    with replace_folder(folder / CUT) as place:
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
        copy_beside(source, place)
    shapes = [model.config.layer_shape(number) for number in range(model.config.num_places)]
    cut = Cut(
        num_heads=tuple(len(shape.heads) for shape in shapes),
        num_neurons=tuple(shape.neurons for shape in shapes),
        num_parameters=model.num_parameters,
        model_files=hash_model_files(folder / CUT),
    )
    return cut.write(folder)
