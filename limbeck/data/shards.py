"""Shards: a split's tokens as one long stream, cut into files of a fixed number of tokens.

Token p of a split is token p % shard_tokens of shard p // shard_tokens; a document may go over
from one shard into the next. Beside each token file stands an index with the position in the
stream after each document that ends in the shard (little-endian uint64).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from limbeck.data.info import ShardInfo, SplitInfo, WriterState
from limbeck.errors import DataError
from limbeck.files import sha256_of

INDEX_DTYPE: Final = "<u8"

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


def dtype_for(vocab_size: int) -> Literal["<u2", "<u4"]:
    """Returns the NumPy name of the smallest type that holds every token number."""
    return "<u2" if vocab_size <= 2**16 else "<u4"


def tokens_path(folder: Path, shard: str) -> Path:
    """Returns the path of a shard's token file."""
    return folder / f"{shard}.bin"


def index_path(folder: Path, shard: str) -> Path:
    """Returns the path of a shard's document index."""
    return folder / f"{shard}.documents.bin"


class SplitWriter:
    """Appends documents to a split, and can be taken back to an earlier `state`."""

    def __init__(
        self, folder: Path, split: str, *, dtype: str, shard_tokens: int, vocab_size: int
    ) -> None:
        self._folder = folder
        self._split = split
        self._dtype = np.dtype(dtype)
        self._shard_tokens = shard_tokens
        self.token_counts = np.zeros(vocab_size, dtype=np.int64)
        self.num_tokens = 0
        self.num_documents = 0
        self._done: list[ShardInfo] = []
        self._open_documents = 0
        self._files: tuple[IO[bytes], IO[bytes]] | None = None

    def append(self, tokens: npt.NDArray[Any], ends: list[int]) -> None:
        """Appends tokens to the stream.

        Args:
            tokens: Token numbers, any integer type.
            ends: Positions in `tokens` after the documents that end there, ascending.

        Raises:
            DataError: If a token number is outside the vocabulary.
        """
        if not len(tokens):
            return
        largest = int(tokens.max())
        if largest >= len(self.token_counts):
            raise DataError(
                f"the tokenizer gave the token number {largest}, outside its vocabulary of "
                f"{len(self.token_counts)}"
            )
        self.token_counts += np.bincount(tokens, minlength=len(self.token_counts))
        stored = tokens.astype(self._dtype, copy=False)
        positions = np.asarray(ends, dtype=INDEX_DTYPE) + np.uint64(self.num_tokens)
        while len(stored):
            room = self._shard_tokens - self.num_tokens % self._shard_tokens
            token_file, index_file = self._open_files()
            token_file.write(stored[:room].tobytes())
            self.num_tokens += min(room, len(stored))
            stored = stored[room:]
            num_inside = int(np.searchsorted(positions, self.num_tokens, side="right"))
            index_file.write(positions[:num_inside].tobytes())
            positions = positions[num_inside:]
            self._open_documents += num_inside
            self.num_documents += num_inside
            if self.num_tokens % self._shard_tokens == 0:
                self._finish_shard()

    def state(self) -> WriterState:
        """Flushes everything to the disk and returns what `restore` needs."""
        for file in self._files or ():
            file.flush()
            os.fsync(file.fileno())
        return WriterState(
            num_tokens=self.num_tokens,
            num_documents=self.num_documents,
            open_documents=self._open_documents,
            shards=tuple(self._done),
        )

    def restore(self, state: WriterState) -> None:
        """Goes back to an earlier `state`: later bytes are cut off, counts are taken anew.

        Raises:
            DataError: If a file is shorter than it was then.
        """
        self.num_tokens = state.num_tokens
        self.num_documents = state.num_documents
        self._open_documents = state.open_documents
        self._done = list(state.shards)
        for shard in self._done:
            self._count(shard.name, shard.num_tokens)
        num_open = self.num_tokens - sum(shard.num_tokens for shard in self._done)
        if num_open:
            self._truncate(tokens_path(self._folder, self._shard), num_open * self._dtype.itemsize)
            self._truncate(index_path(self._folder, self._shard), self._open_documents * 8)
            self._count(self._shard, num_open)

    def finish(self) -> SplitInfo:
        """Closes the last shard and returns what was written."""
        if self._files or self.num_tokens % self._shard_tokens:
            self._open_files()
            self._finish_shard()
        return SplitInfo(
            num_tokens=self.num_tokens,
            num_documents=self.num_documents,
            shards=tuple(self._done),
        )

    def close(self) -> None:
        """Closes the open files without finishing the shard."""
        for file in self._files or ():
            file.close()
        self._files = None

    @property
    def _shard(self) -> str:
        return f"{self._split}-{len(self._done):05d}"

    def _open_files(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._files is None:
            # a shard that begins here may have left-overs of an interrupted build
            mode = "ab" if self.num_tokens % self._shard_tokens else "wb"
            self._files = (
                tokens_path(self._folder, self._shard).open(mode),
                index_path(self._folder, self._shard).open(mode),
            )
        return self._files

    def _finish_shard(self) -> None:
        for file in self._files or ():
            file.flush()
            os.fsync(file.fileno())
        self.close()
        before = sum(shard.num_tokens for shard in self._done)
        shard = ShardInfo(
            name=self._shard,
            num_tokens=self.num_tokens - before,
            num_documents=self._open_documents,
            tokens_sha256=sha256_of(tokens_path(self._folder, self._shard)),
            documents_sha256=sha256_of(index_path(self._folder, self._shard)),
        )
        self._done.append(shard)
        self._open_documents = 0

    def _truncate(self, path: Path, num_bytes: int) -> None:
        size = path.stat().st_size if path.exists() else 0
        if size < num_bytes:
            raise DataError(
                f"{path} has {size} bytes but had {num_bytes} when the build was interrupted; "
                f"delete the folder {self._folder} and build again"
            )
        os.truncate(path, num_bytes)

    def _count(self, shard: str, num_tokens: int) -> None:
        path = tokens_path(self._folder, shard)
        num_bytes = num_tokens * self._dtype.itemsize
        if not path.exists() or path.stat().st_size != num_bytes:
            raise DataError(
                f"{path} is missing or doesn't have the {num_bytes} bytes it had when the build "
                f"was interrupted; delete the folder {self._folder} and build again"
            )
        with path.open("rb") as stream:
            while chunk := stream.read(2**22):
                tokens = np.frombuffer(chunk, dtype=self._dtype)
                self.token_counts += np.bincount(tokens, minlength=len(self.token_counts))
