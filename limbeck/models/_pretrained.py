"""From a model folder to a model and back: names matched, every tensor accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from limbeck import checkpoints
from limbeck.errors import CheckpointError, MissingHeadError, SettingsError
from limbeck.models._config import ModelConfig
from limbeck.models._kinds import MASKED_LM, QUESTION_ANSWERING
from limbeck.nn import initialise

if TYPE_CHECKING:
    from limbeck.models._model import Model

ModelT = TypeVar("ModelT", bound="Model")
# What a new head needs, whatever the head that the file had before.
_NEW_HEAD_SETTINGS: dict[str, dict[str, Any]] = {
    MASKED_LM.name: {"tie_word_embeddings": True},
    QUESTION_ANSWERING.name: {"num_labels": 2},
}
_NUM_NAMED = 8  # how many tensors a message lists before it only counts


def load_model(
    cls: type[ModelT],
    name_or_path: str | Path,
    *,
    hub: Mapping[str, Any],
    new_head: bool,
    changes: Mapping[str, Any],
    add_pooling_layer: bool | None,
    dtype: torch.dtype,
) -> ModelT:
    """Does what `Model.from_pretrained` says."""
    if new_head and not cls.kind.has_head:
        raise SettingsError(f"new_head is True, but {cls.__name__} has no head.")
    folder = checkpoints.resolve_folder(name_or_path, **hub)
    config = read_model_config(folder, cls)
    if new_head:
        changes = {**_NEW_HEAD_SETTINGS.get(cls.kind.name, {}), **changes}
    if changes:
        config = config.replace(**changes)
    with torch.device("meta"):
        model = cls(config, add_pooling_layer=add_pooling_layer)
    tensors = checkpoints.read_tensors(folder)
    found = _match(
        cls, folder, tensors, needs_head=cls.kind.name == MASKED_LM.name and not new_head
    )
    expected = model.state_dict()
    drawn = _decide_drawn(expected, found, new_head=new_head)
    _check(cls, folder, expected=expected, found=found, drawn=drawn)
    weights = {name: found[name].to(dtype) for name in expected if name not in drawn}
    model.load_state_dict(weights, strict=False, assign=True)
    for part in sorted({name.partition(".")[0] for name in drawn}):
        module = model.get_submodule(part).to(dtype).to_empty(device="cpu")
        initialise(module, std=config.initializer_range)
    return model.eval()


def save_model(model: Model, folder: Path) -> None:
    """Does what `Model.save_pretrained` says."""
    names = model.architecture.names
    tensors = {
        names.to_hf(name, head=model.kind.name): tensor
        for name, tensor in model.state_dict().items()
    }
    config = {
        "architectures": [type(model).__name__],
        "dtype": str(model.dtype).removeprefix("torch."),
        **model.config.to_dict(),
    }
    checkpoints.write_model(folder, config, tensors)


def read_model_config(folder: Path, cls: type[Model]) -> ModelConfig:
    """Reads the configuration of a folder that must hold a model of this class's family.

    Raises:
        CheckpointError: If it is another family's, or has a value that is wrong.
    """
    values = checkpoints.read_config(folder)
    wanted, given = cls.architecture.model_type, values.get("model_type")
    if given != wanted:
        raise CheckpointError(
            f"{folder} holds a model of type {given!r}; {cls.__name__} reads '{wanted}'. "
            f"AutoModel{cls.kind.suffix.removeprefix('Model')} finds the class that fits."
        )
    return parse_config(cls.architecture.config_type, values, folder=folder)


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


def _match(
    cls: type[Model], folder: Path, tensors: Mapping[str, Tensor], *, needs_head: bool
) -> dict[str, Tensor]:
    """Renames a file's tensors to ours, without those that models of this kind may ignore.

    What no model of the family has keeps the file's name.
    """
    names, kind = cls.architecture.names, cls.kind.name
    tidied: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        tidy = names.tidy(name)
        if tidy is None:
            continue
        if tidy in tidied:
            raise CheckpointError(f"{folder} has two tensors for '{tidy}', one of them '{name}'.")
        tidied[tidy] = tensor
    for copy, kept in names.tied.items():
        if copy not in tidied or names.to_native(kept, head=kind) is None:
            continue
        tensor = tidied.pop(copy)
        # A body does not care what a head that it leaves out was tied to.
        if not _are_equal(tidied.setdefault(kept, tensor), tensor) and needs_head:
            raise CheckpointError(
                f"{folder}: '{copy}' differs from '{kept}'; accepted: heads whose decoder is tied "
                "to the word embedding. Pass new_head=True to start with a new one."
            )
    matched: dict[str, Tensor] = {}
    for name, tensor in tidied.items():
        native = names.to_native(name, head=kind)
        if native is not None or not names.is_head(name):
            matched[native or name] = tensor
    return matched


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
    cls: type[Model],
    folder: Path,
    *,
    expected: Mapping[str, Tensor],
    found: dict[str, Tensor],
    drawn: frozenset[str],
) -> None:
    """Raises one error that names all that does not fit."""
    missing = [name for name in expected if name not in found and name not in drawn]
    ignored = "pooler." if cls.architecture.has_pooler else ()
    extra = [n for n in found if n not in expected and not n.startswith(ignored)]
    misfits = [n for n in expected if n in found and found[n].shape != expected[n].shape]
    odd = [n for n in expected if n in found and not found[n].is_floating_point()]
    faults = []
    if missing:
        faults.append(f"missing {_list(cls, missing)}.{_advise(cls, missing)}")
    if extra:
        faults.append(f"not part of {cls.__name__}: {_list(cls, extra)}.")
    faults += [
        f"{_list(cls, [name])} has shape {tuple(found[name].shape)}, but config.json asks for "
        f"{tuple(expected[name].shape)}.{_advise(cls, [name])}"
        for name in misfits[:_NUM_NAMED]
    ]
    faults += [f"{_list(cls, [n])} is {found[n].dtype}, not a floating-point type." for n in odd]
    if faults:
        # Somebody who can draw a new head wants to know that nothing else is wrong.
        only_the_head = not extra and not odd and all(map(_is_head, [*missing, *misfits]))
        # A head of another size is another task's, unless the folder says that it is of this one.
        holds = checkpoints.read_config(folder).get("architectures") or ()
        only_the_head = only_the_head and not (misfits and cls.__name__ in holds)
        error = MissingHeadError if only_the_head else CheckpointError
        raise error(f"{folder} does not fit {cls.__name__}: " + " ".join(faults))


def _is_head(native_name: str) -> bool:
    return native_name.startswith(("head.", "pooler."))


def _list(cls: type[Model], native_names: list[str]) -> str:
    """Writes tensors' names as the file has them."""
    names = cls.architecture.names
    shown = []
    for name in native_names[:_NUM_NAMED]:
        try:
            shown.append(f"'{names.to_hf(name, head=cls.kind.name)}'")
        except KeyError:  # a name of the file itself
            shown.append(f"'{name}'")
    more = len(native_names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _advise(cls: type[Model], native_names: list[str]) -> str:
    """Names the argument that makes loading possible, if there is one."""
    if all(map(_is_head, native_names)):
        if cls.kind.has_head:
            return " Pass new_head=True to start with a newly initialised head."
        return " Pass add_pooling_layer=False to do without the pooler."
    return ""
