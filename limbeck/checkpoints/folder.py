"""Model folders: `config.json` beside `model.safetensors`, whole or in shards."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.checkpoints.tensors import read_safetensors, write_safetensors
from limbeck.errors import CheckpointError
from limbeck.files import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_NAME = "config.json"
_REMEDY = "copy it again from where it came"
WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
SPARSE_NAME = "model.sparse.safetensors"
"""What an export without zeros is called, which other libraries do not read."""
_TORCH_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
_OTHER_SUFFIXES = (".h5", ".msgpack", ".npz", ".pkl", ".onnx")
_SHARD_NAME = re.compile(r"[^/\\:\0]+\.safetensors")
# Files are its arguments, quoted for the shell: a name must not become a part of the program.
_CONVERT = """python -c "import sys, torch; from safetensors.torch import save_file; w = {}; \
[w.update(torch.load(p, map_location='cpu', weights_only=True)) for p in sys.argv[2:]]; \
save_file({k: v.clone().contiguous() for k, v in w.items()}, sys.argv[1], \
metadata={'format': 'pt'})\""""


def read_config(folder: Path) -> dict[str, Any]:
    """Reads a model folder's `config.json`.

    Raises:
        CheckpointError: If it is absent or not a JSON object.
    """
    return read_json(folder / CONFIG_NAME, error=CheckpointError, remedy=_REMEDY)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Reads a model folder's weights: one file, the shards of an index, or one without zeros.

    Raises:
        CheckpointError: If there are none, if there is only a pickle (never opened: it can run
            code), or if a file is damaged or disagrees with the index.
    """
    if (folder / WEIGHTS_NAME).is_file():
        return read_safetensors(folder / WEIGHTS_NAME)
    if (folder / INDEX_NAME).is_file():
        return _read_shards(folder)
    if (folder / SPARSE_NAME).is_file():
        from limbeck.checkpoints.sparse import read_sparse  # which needs torch

        return read_sparse(folder / SPARSE_NAME)
    raise CheckpointError(_explain_absence(folder))


def holds_weights(folder: Path) -> bool:
    """Tells whether a folder has weights that `read_tensors` reads."""
    return any((folder / name).is_file() for name in (WEIGHTS_NAME, INDEX_NAME, SPARSE_NAME))


def require_weights(folder: Path) -> None:
    """Refuses a model folder without weights that can be read; none of them are.

    Raises:
        CheckpointError: As `read_tensors`, if there are none, only a pickle, or a shard is named
            that is none of the folder's.
    """
    if any((folder / name).is_file() for name in (WEIGHTS_NAME, SPARSE_NAME)):
        return
    if not (folder / INDEX_NAME).is_file():
        raise CheckpointError(_explain_absence(folder))
    _names_by_shard(folder / INDEX_NAME)


def write_model(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Writes a model folder; other files in it, such as a tokenizer's, stay.

    Each file is replaced atomically, the configuration last: a new folder that has one is whole.

    Raises:
        CheckpointError: If a file can't be written, or the folder's name is that of a file.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"can't write a model to {folder}: that is a file, not a folder.")
    write_safetensors(folder / WEIGHTS_NAME, tensors)
    write_json(folder / CONFIG_NAME, config, error=CheckpointError, sort_keys=True)


def _read_shards(folder: Path) -> dict[str, Tensor]:
    index = folder / INDEX_NAME
    shards = _names_by_shard(index)
    tensors: dict[str, Tensor] = {}
    for shard, names in shards.items():
        path = folder / shard
        if not path.is_file():
            raise CheckpointError(f"{index} names the shard '{shard}', which is not in the folder.")
        found = read_safetensors(path)
        if differing := names ^ found.keys():
            name = min(differing)
            where = "is not in it" if name in names else "is in it but not listed"
            raise CheckpointError(f"{index} and its shard '{shard}' disagree: '{name}' {where}.")
        tensors |= found
    return tensors


def _names_by_shard(index: Path) -> dict[str, set[str]]:
    weight_map = read_json(index, error=CheckpointError, remedy=_REMEDY).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no 'weight_map' of tensor names to shards.")
    shards: dict[str, set[str]] = {}
    for name, shard in weight_map.items():
        # A name with a folder in it could lead anywhere on this machine.
        if not isinstance(shard, str) or not _SHARD_NAME.fullmatch(shard):
            raise CheckpointError(
                f"{index} puts '{name}' into {shard!r}; accepted: the name of a .safetensors file "
                "in the folder."
            )
        shards.setdefault(shard, set()).add(name)
    return shards


def _explain_absence(folder: Path) -> str:
    from limbeck.checkpoints.exported import ExportInfo  # which reads no weights

    if ExportInfo.exists(folder):
        info = ExportInfo.read(folder)
        runs = (
            f"engine {info.engine}, which runs it (--engine {info.engine}, or none named)"
            if info.engine
            else "what runs such a file"
        )
        return (
            f"{folder} was exported to {info.target.replace('_', '-')} and has no weights for "
            f"torch; accepted: {runs}, or the folder that it was exported from"
        )
    there = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in there if name.endswith(_TORCH_SUFFIXES)]
    # Beside the weights, trainers leave pickles of other things.
    pickles = [name for name in pickles if name.startswith("pytorch_model")] or pickles[:1]
    others = [name for name in there if name.endswith(_OTHER_SUFFIXES)]
    hint = f" Convert '{others[0]}' with the library that wrote it." if others else ""
    if folder.parent.name == "snapshots":  # as the Hub's cache lays them out
        hint = (
            " From the Hub only safetensors are fetched. If the model has none there, take a "
            "revision that has, or fetch it by hand and convert it in a folder of your own."
        )
    if pickles:
        files = [(folder / name).as_posix() for name in (WEIGHTS_NAME, *pickles)]
        command = f"{_CONVERT} {shlex.join(files)}"
        return (
            f"{folder} holds its weights only as '{pickles[0]}', a format that Limbeck does not "
            "open: a pickle can run code. If you trust whoever made it, convert it: " + command
        )
    return (
        f"{folder} has no weights that Limbeck reads; accepted: {WEIGHTS_NAME}, or shards with "
        f"{INDEX_NAME}. The folder holds: {', '.join(there[:12]) or 'nothing'}." + hint
    )
