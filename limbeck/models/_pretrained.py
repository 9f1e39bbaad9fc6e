"""What a model folder holds: names matched, every tensor accounted for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck import checkpoints
from limbeck.errors import CheckpointError, MissingHeadError, SettingsError
from limbeck.models._architecture import Architecture
from limbeck.models._config import ModelConfig
from limbeck.models._kinds import CAUSAL_LM, MASKED_LM, QUESTION_ANSWERING, Kind
from limbeck.models._names import NameTable

# What a new head needs, whatever the head that the file had before.
_NEW_HEAD_SETTINGS: dict[str, dict[str, Any]] = {
    CAUSAL_LM.name: {"tie_word_embeddings": True},
    MASKED_LM.name: {"tie_word_embeddings": True},
    QUESTION_ANSWERING.name: {"num_labels": 2},
}
_NUM_NAMED = 8  # how many tensors a message lists before it only counts


def read_weights(
    folder: Path,
    expected: Mapping[str, Tensor],
    *,
    architecture: Architecture,
    kind: Kind,
    new_head: bool,
) -> tuple[dict[str, Tensor], frozenset[str]]:
    """Reads a folder's tensors for a model of a family and kind.

    Args:
        folder: The model folder.
        expected: The model's own tensors, of which only names and shapes count.
        architecture: The family.
        kind: What stands on the encoder.
        new_head: Whether the head, and a pooler that the folder lacks, are drawn anew.

    Returns:
        The tensors under our names, and the names of those that are to be drawn.

    Raises:
        CheckpointError: Names each tensor that is missing, left over or of a wrong shape.
    """
    tidied = _tidy(
        folder,
        checkpoints.read_tensors(folder),
        names=architecture.names,
        head=kind.name,
        needs_tied=kind.ties_words and not new_head,
    )
    found, unknown = architecture.names.read(tidied, head=kind.name)
    drawn = _decide_drawn(expected, found, new_head=new_head)
    # Whatever the family's heads are, models without them pass them over, poolers likewise.
    extra = [n for n in found if n not in expected and not architecture.names.is_needless(n)]
    extra += [name for name in unknown if not architecture.names.is_head(name)]
    weights = {name: found[name] for name in expected if name in found and name not in drawn}
    _check(
        folder,
        architecture,
        kind,
        missing=[name for name in expected if name not in weights and name not in drawn],
        extra=extra,
        weights=weights,
        expected=expected,
    )
    return weights, drawn


def read_model_config(
    folder: Path,
    *,
    architecture: Architecture,
    kind: Kind,
    changes: Mapping[str, Any],
    new_head: bool,
) -> ModelConfig:
    """Reads the configuration of a folder that must hold a model of a family.

    Args:
        folder: The model folder.
        architecture: The family.
        kind: What is to stand on the encoder.
        changes: Fields that replace the folder's.
        new_head: Whether the head is to be drawn anew, whatever the folder says of its own.

    Raises:
        CheckpointError: If it is another family's, or has a value that is wrong.
        SettingsError: If a change is wrong.
    """
    values = checkpoints.read_config(folder)
    wanted, given = architecture.model_type, values.get("model_type")
    if given != wanted:
        raise CheckpointError(
            f"{folder} holds a model of type {given!r}; {architecture.class_name(kind)} reads "
            f"'{wanted}'. {kind.auto_name} finds the class that fits."
        )
    config = parse_config(architecture.config_type, values, folder=folder)
    if new_head:
        changes = {**_NEW_HEAD_SETTINGS.get(kind.name, {}), **changes}
        if not kind.ties_words:
            config = config.with_padding()
    return config.replace(**changes) if changes else config


def parse_config(
    config_type: type[ModelConfig], values: Mapping[str, Any], *, folder: Path
) -> ModelConfig:
    """Turns the content of a folder's `config.json` into a configuration.

    Raises:
        CheckpointError: If a value is wrong; the message names the file.
    """
    try:
        return config_type.from_dict(values)
    except SettingsError as error:
        raise CheckpointError(f"{folder / checkpoints.CONFIG_NAME}: {error}") from None


def _are_equal(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first, second)


def _tidy(
    folder: Path, tensors: Mapping[str, Tensor], *, names: NameTable, head: str, needs_tied: bool
) -> dict[str, Tensor]:
    """Returns a file's tensors by tidy names, each once: copies of tied ones are left out."""
    tidied: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        tidy = names.tidy(name)
        if tidy is None:
            continue
        if tidy in tidied:
            raise CheckpointError(f"{folder} has two tensors for '{tidy}', one of them '{name}'.")
        tidied[tidy] = tensor
    for copy, kept in names.tied.items():
        if copy not in tidied or not names.to_native(kept, head=head):
            continue
        tensor = tidied.pop(copy)
        # A body does not care what a head that it leaves out was tied to.
        if not _are_equal(tidied.setdefault(kept, tensor), tensor) and needs_tied:
            raise CheckpointError(
                f"{folder}: '{copy}' differs from '{kept}'; accepted: heads whose decoder is tied "
                "to the word embedding. Pass new_head=True to start with a new one."
            )
    return tidied


def _decide_drawn(
    expected: Iterable[str], found: dict[str, Tensor], *, new_head: bool
) -> frozenset[str]:
    """Returns the names to draw anew, and drops what the file has for a head that is drawn."""
    if not new_head:
        return frozenset()
    for name in [name for name in found if name.startswith("head.")]:
        del found[name]
    parts = ["head."]
    if not any(name.startswith("pooler.") for name in found):
        parts.append("pooler.")
    return frozenset(name for name in expected if name.startswith(tuple(parts)))


def _check(
    folder: Path,
    architecture: Architecture,
    kind: Kind,
    *,
    missing: list[str],
    extra: list[str],
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> None:
    """Raises one error that names all that does not fit."""
    class_name = architecture.class_name(kind)
    misfits = [name for name, tensor in weights.items() if tensor.shape != expected[name].shape]
    odd = [name for name, tensor in weights.items() if not tensor.is_floating_point()]

    def show(names: list[str]) -> str:
        return _list(names, architecture=architecture, kind=kind)

    faults = []
    if missing:
        faults.append(f"missing {show(missing)}.{_advise(missing, kind=kind)}")
    if extra:
        faults.append(f"not part of {class_name}: {show(extra)}.")
    faults += [
        f"{show([name])} has shape {tuple(weights[name].shape)}, but config.json asks for "
        f"{tuple(expected[name].shape)}.{_advise([name], kind=kind)}"
        for name in misfits[:_NUM_NAMED]
    ]
    faults += [f"{show([n])} is {weights[n].dtype}, not a floating-point type." for n in odd]
    broken = [name for name in weights if name not in odd and not _is_finite(weights[name])]
    if broken:
        faults.append(f"numbers that are NaN or infinite in {show(broken)}: the file is damaged.")
    if faults:
        # Somebody who can draw a new head wants to know that nothing else is wrong.
        only_the_head = not (extra or odd or broken) and all(map(_is_head, [*missing, *misfits]))
        # A head of another size is another task's, unless the folder says that it is of this one.
        holds = checkpoints.read_config(folder).get("architectures") or ()
        only_the_head = only_the_head and not (misfits and class_name in holds)
        error = MissingHeadError if only_the_head else CheckpointError
        raise error(f"{folder} does not fit {class_name}: " + " ".join(faults))


def _is_finite(tensor: Tensor) -> bool:
    """Tells whether all numbers are finite, some 50 times as fast as asking each."""
    if not tensor.numel():
        return True
    return all(math.isfinite(float(end)) for end in torch.aminmax(tensor))


def _is_head(native_name: str) -> bool:
    return native_name.startswith(("head.", "pooler."))


def _list(names: list[str], *, architecture: Architecture, kind: Kind) -> str:
    """Writes tensors' names as the file has them."""
    in_file: dict[str, None] = {}  # in their order, and each once, where it holds several of ours
    for name in names:
        try:
            in_file[architecture.names.to_hf(name, head=kind.name)] = None
        except KeyError:  # a name of the file itself
            in_file[name] = None
    shown = [f"'{name}'" for name in in_file][:_NUM_NAMED]
    more = len(in_file) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _advise(native_names: list[str], *, kind: Kind) -> str:
    """Names the argument that makes loading possible, if there is one."""
    if all(map(_is_head, native_names)):
        if kind.has_head:
            return " Pass new_head=True to start with a newly initialised head."
        return " Pass add_pooling_layer=False to do without the pooler."
    return ""
