"""A model's weights without their zeros: int8, a scale a row, in compressed sparse rows.

Of a matrix NAME stands in the file, in place of NAME itself:

- `NAME:scales`, (rows,) float32: what a row's numbers are multiplied by;
- `NAME:values`, int8: where few are zero all of it, (rows, columns), else those that are not;
- `NAME:gaps`, uint8: how many zeros stand before each of them in its row. Before one that stands
  after more than 255 there are zeros among the values, each after 255 others;
- `NAME:starts`, (rows + 1,) int32: where each row begins among gaps and values;
- `NAME:columns`, (1,) int64: how many there are.

All else stands there as it is. A column in one byte instead of two is what makes the file a tenth
where 15 % are left: Han et al., "Deep Compression", ICLR 2016, section 2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from limbeck import limits
from limbeck.checkpoints.tensors import read_safetensors, write_safetensors
from limbeck.errors import CheckpointError

_STEPS = 127
"""Largest whole number, in both directions alike."""
_GAP = 256
"""How far one entry leads on at most."""
_PARTS = {
    "scales": torch.float32,
    "values": torch.int8,
    "gaps": torch.uint8,
    "starts": torch.int32,
    "columns": torch.int64,
}


def write_sparse(
    path: Path, tensors: Mapping[str, Tensor], *, keep_float: Collection[str] = ()
) -> None:
    """Writes tensors, the matrices among them narrowed.

    Args:
        path: The file; what is there is replaced.
        tensors: By name.
        keep_float: Names of matrices that are written as they are.

    Raises:
        CheckpointError: If the file can't be written.
    """
    written: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and tensor.numel() and name not in keep_float:
            parts = pack(tensor.detach().cpu().float())
            written |= {f"{name}:{part}": value for part, value in parts.items()}
        else:
            written[name] = tensor
    write_safetensors(path, written)


def read_sparse(path: Path) -> dict[str, Tensor]:
    """Reads what `write_sparse` wrote, each matrix as float32 with its zeros.

    Raises:
        CheckpointError: If the file is damaged, or asks for more memory than `limbeck.limits` lets.
    """
    tensors: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for name, tensor in read_safetensors(path).items():
        matrix, mark, part = name.rpartition(":")
        if mark:
            packed.setdefault(matrix, {})[part] = tensor
        else:
            tensors[name] = tensor
    left = limits.PARAMETERS.value
    for name, parts in packed.items():
        try:
            left -= _count(parts)
            if left < 0:
                raise ValueError(f"more numbers than are read, {limits.PARAMETERS.describe()}")
            tensors[name] = unpack(parts)
        except ValueError as error:
            raise CheckpointError(
                f"{path}: '{name}' can't be unpacked: {error}; export the model again"
            ) from None
    return tensors


def pack(matrix: Tensor) -> dict[str, Tensor]:
    """Narrows a matrix to whole numbers, and leaves its zeros out where that is smaller.

    Shape:
        matrix: (rows, columns), float32.
    """
    num_rows, num_columns = matrix.shape
    scales = matrix.abs().amax(dim=1) / _STEPS
    scales = scales.clamp_min(torch.finfo(matrix.dtype).tiny)
    whole = (matrix / scales[:, None]).round().to(torch.int8)
    rows, columns = whole.nonzero(as_tuple=True)
    is_next = torch.zeros_like(rows, dtype=torch.bool)  # to another one in its row
    is_next[1:] = rows[1:] == rows[:-1]
    zeros = columns - columns.roll(1).where(is_next, -1) - 1
    bridges = zeros // _GAP
    places = (bridges + 1).cumsum(0) - 1
    num_entries = int(places[-1]) + 1 if len(places) else 0
    if 2 * num_entries + 4 * num_rows >= whole.numel():
        return {"scales": scales, "values": whole}
    gaps = torch.full((num_entries,), _GAP - 1, dtype=torch.uint8)
    gaps[places] = (zeros % _GAP).to(torch.uint8)
    values = torch.zeros(num_entries, dtype=torch.int8)
    values[places] = whole[rows, columns]
    lengths = torch.zeros(num_rows, dtype=torch.int64).index_add_(0, rows, bridges + 1)
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]).to(torch.int32)
    return {
        "scales": scales,
        "values": values,
        "gaps": gaps,
        "starts": starts,
        "columns": torch.tensor([num_columns]),
    }


def unpack(parts: Mapping[str, Tensor]) -> Tensor:
    """Returns the matrix of what `pack` gave, its numbers exactly as they are kept.

    Shape:
        result: (rows, columns), float32.

    Raises:
        ValueError: If the parts are not those of a matrix, in words.
    """
    scales, values = parts["scales"], parts["values"]
    if "gaps" not in parts:
        return values.float() * scales[:, None]
    starts, columns = parts["starts"].long(), int(parts["columns"])
    lengths = starts.diff()
    gaps = parts["gaps"]
    ends = int(starts[0]), int(starts[-1])
    if ends != (0, len(gaps)) or len(values) != len(gaps) or bool((lengths < 0).any()):
        raise ValueError(f"its rows do not divide its {len(values)} values")
    reached = torch.cat([starts.new_zeros(1), (gaps.long() + 1).cumsum(0)])
    rows = torch.arange(len(lengths)).repeat_interleave(lengths)
    places = reached[1:] - reached[starts[:-1]][rows] - 1
    if len(places) and int(places.max()) >= columns:
        raise ValueError(f"a number stands in column {int(places.max())} of {columns}")
    matrix = torch.zeros(len(lengths), columns)
    matrix[rows, places] = values.float() * scales[rows]
    return matrix


def _count(parts: Mapping[str, Tensor]) -> int:
    """Returns how many numbers a matrix has, once its parts are those of one."""
    names = set(parts)
    if names not in ({"scales", "values"}, set(_PARTS)):
        raise ValueError(f"it has the parts {', '.join(sorted(names))}")
    is_whole = "gaps" not in names
    for part, kind in _PARTS.items():
        dims = 2 if is_whole and part == "values" else 1
        if part in names and (parts[part].dtype != kind or parts[part].ndim != dims):
            raise ValueError(f"its {part} are {parts[part].dtype} of {tuple(parts[part].shape)}")
    num_rows = len(parts["values"]) if is_whole else len(parts["starts"]) - 1
    if len(parts["scales"]) != num_rows:
        raise ValueError(f"it has {num_rows} rows, and {len(parts['scales'])} scales")
    if is_whole:
        return parts["values"].numel()
    if len(parts["columns"]) != 1 or int(parts["columns"]) < 0:
        raise ValueError("its columns are no number")
    return num_rows * int(parts["columns"])
