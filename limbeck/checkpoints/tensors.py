"""Safetensors files: the only format that weights are read from and written to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from limbeck.errors import CheckpointError
from limbeck.files import replace_file

if TYPE_CHECKING:
    from torch import Tensor


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Reads every tensor of a file into memory of its own.

    The file is checked before anything is returned, and may be changed or deleted afterwards: no
    tensor is a view of it.

    Raises:
        CheckpointError: If the file is absent, truncated or not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size} bytes) is damaged, cut short or not a safetensors file: {error}. "
            "Fetch or write it again."
        ) from error
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {error.strerror or error}.") from error


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors, from any device, atomically.

    Args:
        path: The file; what is there is replaced.
        tensors: Each is written in full, also where two share memory.

    Raises:
        CheckpointError: If the file can't be written.
    """
    # Here, because whoever only reads a tokenizer or a configuration should not wait for torch.
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    storages: set[int] = set()
    for name, tensor in plain.items():
        storage = tensor.untyped_storage().data_ptr()
        if storage in storages:
            plain[name] = tensor.clone()  # safetensors refuses two names for one memory
        storages.add(storage)
    with replace_file(path, error=CheckpointError) as temporary:
        try:  # without the format, `transformers` refuses a file
            save_file(plain, temporary, metadata={"format": "pt"})
        except SafetensorError as error:
            raise CheckpointError(f"can't write {path}: {error}.") from error
