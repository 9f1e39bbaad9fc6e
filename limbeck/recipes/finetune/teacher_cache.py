"""What a teacher says on disk: computed once, whatever the number of epochs and students."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from limbeck.checkpoints import map_safetensors, write_safetensors
from limbeck.errors import CheckpointError, DataError
from limbeck.files import sha256_of, sha256_of_texts
from limbeck.files.typed import TypedFile
from limbeck.tasks import EncodedExample
from limbeck.train import Progress

ROWS_PER_SHARD = 4096

Compute = Callable[[int, int], Iterator[list[Tensor]]]
"""Yields the logits of the rows from the first number up to the second, some rows at a time."""


def hash_rows(rows: Sequence[EncodedExample]) -> str:
    """Returns the SHA-256 over what a model sees of encoded rows, in their order."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    return sha256_of_texts(encode([row.input_ids, row.token_type_ids or ()]) + "\n" for row in rows)


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


class CacheIndex(TypedFile):
    """What a cache is of, and the checksums of its shards."""

    FILE_NAME: ClassVar[str] = "index.json"
    REMEDY: ClassVar[str] = "remove {folder} to compute what it holds again"

    fingerprint: dict[str, str | int]
    """What decides the logits."""
    num_rows: int
    """Rows of all shards."""
    rows_per_shard: int
    """Rows of a shard; the last may have fewer."""
    shards: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each shard by its file's name."""


class TeacherCache:
    """What a teacher says of every row, as safetensors shards beside an index of their checksums.

    Args:
        folder: Holds one subfolder for everything that decides logits, so that all teachers,
            tasks and students may share it.
        fingerprint: What decides the logits.
        num_rows: How many rows there are.
        rows_per_shard: Rows of a file; an interruption loses at most these.
        what: What a row is called, in names of files and messages.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fingerprint: Mapping[str, str | int],
        num_rows: int,
        rows_per_shard: int = ROWS_PER_SHARD,
        what: str = "logits",
    ) -> None:
        self._empty = CacheIndex(
            fingerprint=dict(fingerprint), num_rows=num_rows, rows_per_shard=rows_per_shard
        )
        identity = {k: v for k, v in self._empty.to_dict().items() if k != "shards"}
        name = sha256_of_texts([json.dumps(identity, sort_keys=True)])[:16]
        self._folder = folder / name
        self._num_rows = num_rows
        self._rows_per_shard = rows_per_shard
        self._what = what
        self._shards: list[_Shard] = []

    def fill(self, compute: Compute, *, progress: Progress) -> None:
        """Reads what is there and computes what is missing or damaged; then all rows are at hand.

        They stay on the disk: what is looked up is read from there.

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
                    shard = self._write_shard(number, _Shard.of(rows), progress)
                else:
                    stage.advance(len(shard))
                self._shards.append(shard)

    def rows(self, positions: Sequence[int]) -> list[Tensor]:
        """Returns the logits of some rows, without padding, float32 on the CPU."""
        places = [divmod(position, self._rows_per_shard) for position in positions]
        return [self._shards[number].row(row) for number, row in places]

    def _read_index(self, progress: Progress) -> CacheIndex:
        """Returns the index; one without shards where it is absent or damaged."""
        if not CacheIndex.exists(self._folder):
            return self._empty
        with suppress(DataError):  # its rows cost only time
            found = CacheIndex.read(self._folder)
            if found.model_copy(update={"shards": {}}) == self._empty:
                return found
        progress.log(
            f"{self._folder / CacheIndex.FILE_NAME} is damaged: its {self._what} are computed again"
        )
        return self._empty

    def _read_shard(self, number: int, progress: Progress) -> _Shard | None:
        path = self._folder / self._shard_name(number)
        expected = self._read_index(progress).shards.get(path.name)
        if expected is None:
            return None
        with suppress(CheckpointError, OSError):  # the file is not there, or cannot be read
            if sha256_of(path) == expected:
                return _Shard(**map_safetensors(path))
        progress.log(f"{path} is missing or damaged: its {self._what} are computed again")
        return None

    def _write_shard(self, number: int, shard: _Shard, progress: Progress) -> _Shard:
        """Writes a shard, and returns it as it stands on the disk, so that it takes no memory."""
        path = self._folder / self._shard_name(number)
        write_safetensors(path, {"values": shard.values, "shapes": shard.shapes})
        # Read again: another student may have added to it meanwhile.
        index = self._read_index(progress)
        shards = {**index.shards, path.name: sha256_of(path)}
        index.model_copy(update={"shards": shards}).write(self._folder, error=CheckpointError)
        return _Shard(**map_safetensors(path))

    def _shard_name(self, number: int) -> str:
        return f"{self._what}-{number:05d}.safetensors"
