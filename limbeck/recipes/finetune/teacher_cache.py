"""A teacher's logits on disk: computed once, whatever the number of epochs and students."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.errors import CheckpointError
from limbeck.files import read_json, sha256_of, sha256_of_texts, write_json
from limbeck.tasks import EncodedExample
from limbeck.train import Progress

INDEX_NAME = "index.json"
ROWS_PER_SHARD = 4096
_FORMAT = 1

Compute = Callable[[int, int], Iterator[list[Tensor]]]
"""Yields the logits of the rows from the first number up to the second, some rows at a time."""


def hash_rows(rows: Sequence[EncodedExample]) -> str:
    """Returns the SHA-256 over what a model sees of encoded rows, in their order."""
    seen = ([_plain(row.input_ids), _plain(row.token_type_ids or ())] for row in rows)
    return sha256_of_texts(json.dumps(ids, separators=(",", ":")) + "\n" for ids in seen)


@dataclass(frozen=True)
class _Shard:
    """Logits of some rows, which need not have the same shape.

    Shape:
        values: (numbers,), all rows one after the other.
        shapes: (rows, dimensions).
    """

    values: Tensor
    shapes: Tensor

    @classmethod
    def of(cls, rows: Sequence[Tensor]) -> Self:
        return cls(
            values=torch.cat([row.flatten() for row in rows]),
            shapes=torch.tensor([list(row.shape) for row in rows], dtype=torch.int64),
        )

    @cached_property
    def _ends(self) -> list[int]:
        ends: list[int] = self.shapes.prod(dim=1).cumsum(0).tolist()
        return ends

    def __len__(self) -> int:
        return len(self.shapes)

    def row(self, number: int) -> Tensor:
        start = self._ends[number - 1] if number else 0
        return self.values[start : self._ends[number]].reshape(self.shapes[number].tolist())


class TeacherCache:
    """The logits of every training row, as safetensors shards beside an index of their checksums.

    Args:
        folder: Holds one subfolder for everything that decides logits, so that all teachers,
            tasks and students may share it.
        fingerprint: What decides the logits.
        num_rows: How many rows there are.
        rows_per_shard: Rows of a file; an interruption loses at most these.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fingerprint: Mapping[str, str | int],
        num_rows: int,
        rows_per_shard: int = ROWS_PER_SHARD,
    ) -> None:
        self._values = {
            "format": _FORMAT,
            "fingerprint": dict(fingerprint),
            "num_rows": num_rows,
            "rows_per_shard": rows_per_shard,
        }
        identity = json.dumps(self._values, sort_keys=True)
        self._folder = folder / sha256_of_texts([identity])[:16]
        self._num_rows = num_rows
        self._rows_per_shard = rows_per_shard
        self._shards: list[_Shard] = []

    def fill(self, compute: Compute, *, progress: Progress) -> None:
        """Reads what is there and computes what is missing or damaged; then all rows are at hand.

        Raises:
            CheckpointError: If the folder can't be written.
        """
        self._shards = []
        starts = range(0, self._num_rows, self._rows_per_shard)
        with progress.stage("teacher", total=self._num_rows, unit="rows") as stage:
            for number, start in enumerate(starts):
                shard = self._read_shard(number, progress)
                if shard is None:
                    rows: list[Tensor] = []
                    for part in compute(start, min(start + self._rows_per_shard, self._num_rows)):
                        rows += part
                        stage.advance(len(part))
                    shard = _Shard.of(rows)
                    self._write_shard(number, shard)
                else:
                    stage.advance(len(shard))
                self._shards.append(shard)

    def rows(self, positions: Sequence[int]) -> list[Tensor]:
        """Returns the logits of some rows, without padding, float32 on the CPU."""
        places = [divmod(position, self._rows_per_shard) for position in positions]
        return [self._shards[number].row(row) for number, row in places]

    def _read_index(self) -> dict[str, str]:
        """Returns the checksums by file name; none where the index is absent or damaged."""
        with suppress(CheckpointError):
            found = read_json(self._folder / INDEX_NAME, error=CheckpointError)
            shards = found.pop("shards", {})
            if found == self._values and isinstance(shards, dict):
                return shards
        return {}

    def _read_shard(self, number: int, progress: Progress) -> _Shard | None:
        path = self._folder / _shard_name(number)
        expected = self._read_index().get(path.name)
        if expected is None:
            return None
        with suppress(CheckpointError, OSError):  # the file is not there, or cannot be read
            if sha256_of(path) == expected:
                return _Shard(**read_safetensors(path))
        progress.log(f"{path} is missing or damaged: its logits are computed again")
        return None

    def _write_shard(self, number: int, shard: _Shard) -> None:
        path = self._folder / _shard_name(number)
        write_safetensors(path, {"values": shard.values, "shapes": shard.shapes})
        # Read again: another student may have added to it meanwhile.
        shards = {**self._read_index(), path.name: sha256_of(path)}
        write_json(
            self._folder / INDEX_NAME, {**self._values, "shards": shards}, error=CheckpointError
        )


def _shard_name(number: int) -> str:
    return f"logits-{number:05d}.safetensors"


def _plain(ids: Sequence[Any]) -> list[Any]:
    return [_plain(x) if isinstance(x, Sequence) else int(x) for x in ids]
