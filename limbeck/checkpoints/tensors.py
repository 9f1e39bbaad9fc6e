"""Safetensors files: the only format that weights are read from and written to."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from limbeck.errors import CheckpointError
from limbeck.files import replace_file
from limbeck.system_errors import explain

if TYPE_CHECKING:
    from torch import Tensor

_CHECKSUM = "crc32"
"""Where a file's metadata say what its tensors give. CRC-32, since it finds damage at 2.4 GB/s and
SHA-256 at 0.5; who changes weights on purpose writes a new one, or none, as other libraries do."""


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Reads every tensor of a file into memory of its own.

    The file is checked before anything is returned, and may be changed or deleted afterwards: no
    tensor is a view of it. One that we wrote has a checksum over its tensors, which is compared.

    Raises:
        CheckpointError: If the file is absent, truncated or not a safetensors file, its tensors
            are not those that were written, or its path is not UTF-8.
    """
    _require_unicode(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size} bytes) is damaged, cut short or not a safetensors file: {error}. "
            "Fetch or write it again."
        ) from error
    except OSError as error:
        raise CheckpointError(explain(error, path=path, writes=False)) from error
    expected = metadata.get(_CHECKSUM)
    if expected is not None and _checksum_of(tensors) != expected:
        raise CheckpointError(
            f"{path} is damaged: its tensors differ from their checksum. Fetch or write it again."
        )
    return tensors


def read_checksum(path: Path) -> str | None:
    """Returns the checksum over its tensors that a file says it has; None if it says none.

    Raises:
        CheckpointError: If the file is absent, truncated or not a safetensors file.
    """
    _require_unicode(path)
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(_CHECKSUM)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    except OSError as error:
        raise CheckpointError(explain(error, path=path, writes=False)) from error


def map_safetensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file as views of it, of which only what is looked at takes memory.

    Nothing is checked: who asks knows the file's checksum. It may be replaced, but not written to,
    as long as the tensors are used.

    Raises:
        CheckpointError: If the file is absent, truncated or not a safetensors file.
    """
    _require_unicode(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    except OSError as error:
        raise CheckpointError(explain(error, path=path, writes=False)) from error


def _require_unicode(path: Path) -> None:
    """Refuses a path that was not UTF-8: Python reads each byte that is not as a surrogate."""
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
        raise CheckpointError(
            f"{path}: the safetensors library opens no path that is not UTF-8; rename what of it "
            "is not"
        )


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors, from any device, atomically and with a checksum over them.

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
    # Without the format, `transformers` refuses a file.
    metadata = {"format": "pt", _CHECKSUM: _checksum_of(plain)}
    with replace_file(path, error=CheckpointError) as temporary:
        try:
            save_file(plain, temporary, metadata=metadata)
            _order_metadata(temporary, metadata)
        except SafetensorError as error:
            raise CheckpointError(explain(error, path=path, writes=True)) from error


def _order_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Brings a file's metadata into the given order, so that equal tensors give equal bytes.

    The library writes them in another order each time.
    """
    with path.open("r+b") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
        found = json.loads(header)["__metadata__"]
        first, wanted = (
            json.dumps(values, separators=(",", ":")).encode() for values in (found, metadata)
        )
        file.seek(8)
        file.write(header.replace(first, wanted, 1))


def _checksum_of(tensors: Mapping[str, Tensor]) -> str:
    """Returns the CRC-32 over tensors with names, types and shapes, whatever their order."""
    import torch

    found = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        found = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)};".encode(), found)
        content = tensor.contiguous().flatten().view(torch.uint8)  # NumPy has no bfloat16
        found = zlib.crc32(content.numpy().data, found)
    return f"{found:08x}"
