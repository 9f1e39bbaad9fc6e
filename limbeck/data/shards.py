"""Shards: a split's tokens as one long stream, cut into files of a fixed number of tokens.

Token p of a split is token p % shard_tokens of shard p // shard_tokens; a document may go over
from one shard into the next. Beside each token file stands an index with the position in the
stream after each document that ends in the shard (little-endian uint64).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from limbeck.data.info import ShardInfo, SplitInfo, WriterState
from limbeck.errors import DataError

INDEX_DTYPE: Final = "<u8"
_CHUNK_BYTES: Final = 2**22

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
    """Appends documents to a split, and can be taken back to an earlier `state`.

    Checksums are over what was written, not over what the disk has of it: damage never gets one.
    """

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
        self._hashes = hashlib.sha256(), hashlib.sha256()

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
            self._write(0, stored[:room].tobytes())
            self.num_tokens += min(room, len(stored))
            stored = stored[room:]
            num_inside = int(np.searchsorted(positions, self.num_tokens, side="right"))
            self._write(1, positions[:num_inside].tobytes())
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
            open_tokens_sha256=self._hashes[0].hexdigest(),
            open_documents_sha256=self._hashes[1].hexdigest(),
            shards=tuple(self._done),
        )

    def restore(self, state: WriterState) -> None:
        """Goes back to an earlier `state`: later bytes are cut off, counts are taken anew.

        Raises:
            DataError: If a file is not as it was then.
        """
        self.num_tokens = state.num_tokens
        self.num_documents = state.num_documents
        self._open_documents = state.open_documents
        self._done = list(state.shards)
        for shard in self._done:
            tokens, index = self._paths(shard.name)
            self._read_back(tokens, shard.num_tokens * self._dtype.itemsize, shard.tokens_sha256)
            self._read_back(index, shard.num_documents * 8, shard.documents_sha256)
            self._count(tokens)
        num_open = self.num_tokens - sum(shard.num_tokens for shard in self._done)
        if num_open:
            tokens, index = self._paths(self._shard)
            sizes = num_open * self._dtype.itemsize, self._open_documents * 8
            self._truncate(tokens, sizes[0])
            self._truncate(index, sizes[1])
            self._hashes = (
                self._read_back(tokens, sizes[0], state.open_tokens_sha256),
                self._read_back(index, sizes[1], state.open_documents_sha256),
            )
            self._count(tokens)

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

    def _paths(self, shard: str) -> tuple[Path, Path]:
        return tokens_path(self._folder, shard), index_path(self._folder, shard)

    def _open_files(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._files is None:
            # a shard that begins here may have left-overs of an interrupted build
            mode = "ab" if self.num_tokens % self._shard_tokens else "wb"
            tokens, index = self._paths(self._shard)
            self._files = tokens.open(mode), index.open(mode)
        return self._files

    def _write(self, which: Literal[0, 1], content: bytes) -> None:
        """Appends to the token file, or to the document index, of the shard."""
        self._open_files()[which].write(content)
        self._hashes[which].update(content)

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
            tokens_sha256=self._hashes[0].hexdigest(),
            documents_sha256=self._hashes[1].hexdigest(),
        )
        self._done.append(shard)
        self._hashes = hashlib.sha256(), hashlib.sha256()
        self._open_documents = 0

    def _truncate(self, path: Path, num_bytes: int) -> None:
        size = path.stat().st_size if path.exists() else 0
        if size < num_bytes:
            raise DataError(
                f"{path} has {size} bytes but had {num_bytes} when the build was interrupted; "
                f"delete the folder {self._folder} and build again"
            )
        os.truncate(path, num_bytes)

    def _read_back(self, path: Path, num_bytes: int, sha256: str) -> hashlib._Hash:
        """Returns what a file hashes to, which is what it did when its state was taken."""
        if not path.exists() or path.stat().st_size != num_bytes:
            raise DataError(
                f"{path} is missing or doesn't have the {num_bytes} bytes it had when the build "
                f"was interrupted; delete the folder {self._folder} and build again"
            )
        found = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                found.update(chunk)
        if found.hexdigest() != sha256:
            raise DataError(
                f"{path} is damaged: it differs from what the interrupted build wrote; delete the "
                f"folder {self._folder} and build again"
            )
        return found

    def _count(self, path: Path) -> None:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                tokens = np.frombuffer(chunk, dtype=self._dtype)
                self.token_counts += np.bincount(tokens, minlength=len(self.token_counts))
