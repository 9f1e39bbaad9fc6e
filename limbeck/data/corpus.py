"""A finished corpus: memory-mapped tokens, opened without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from limbeck.data._silence import make_silent_progress
from limbeck.data.info import COUNTS_FILE, CorpusInfo, ShardInfo, SplitInfo
from limbeck.data.shards import INDEX_DTYPE, index_path, tokens_path
from limbeck.errors import DataError, SettingsError, did_you_mean
from limbeck.files import sha256_of

if TYPE_CHECKING:
    from limbeck.tokenizers import Tokenizer
    from limbeck.train.progress import Progress


class _Checker:
    """Compares files with their checksums, each once."""

    def __init__(self) -> None:
        self._whole: set[Path] = set()

    def is_whole(self, path: Path, sha256: str) -> bool:
        """Tells whether a file is the one that was written, as it was when first asked for."""
        if path not in self._whole and sha256_of(path) == sha256:
            self._whole.add(path)
        return path in self._whole

    def require_whole(self, path: Path, sha256: str) -> None:
        """Refuses a file that is not the one that was written.

        Raises:
            DataError: If so.
        """
        if not self.is_whole(path, sha256):
            raise DataError(_describe_damage(path.parent, [path.name]))


class TokenSplit:
    """The token stream of one split, across its shards.

    Every document is followed by one separator token. Nothing is read before it is asked for; a
    shard's files are compared with their checksums before they are first used.
    """

    def __init__(
        self, name: str, *, folder: Path, info: CorpusInfo, checker: _Checker | None = None
    ) -> None:
        self.name = name
        self.folder = folder
        self._checker = checker or _Checker()
        self.tokenizer_fingerprint = info.tokenizer_fingerprint
        self.vocab_size = info.vocab_size
        self._info: SplitInfo = info.splits[name]
        self._dtype = np.dtype(info.dtype)
        self._starts = np.cumsum([0, *(shard.num_tokens for shard in self._info.shards)])
        self._first_documents = np.cumsum([0, *(s.num_documents for s in self._info.shards)])
        self._tokens: dict[int, npt.NDArray[np.unsignedinteger]] = {}
        self._ends: dict[int, npt.NDArray[np.uint64]] = {}

    def __repr__(self) -> str:
        return (
            f"TokenSplit({self.name!r}, num_tokens={self.num_tokens}, "
            f"num_documents={self.num_documents})"
        )

    @property
    def num_tokens(self) -> int:
        """Tokens in the stream, one separator a document included."""
        return self._info.num_tokens

    @property
    def num_documents(self) -> int:
        """Documents in the stream."""
        return self._info.num_documents

    def read(self, start: int, stop: int) -> npt.NDArray[np.unsignedinteger]:
        """Returns the tokens from position `start` up to `stop`, from all shards they lie in.

        Shape: (stop - start,), uint16 or uint32; a read-only view where one shard holds them all.
        """
        self._check_range(start, stop)
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        parts = []
        while start < stop:
            end = min(stop, int(self._starts[first + 1]))
            offset = int(self._starts[first])
            parts.append(self._shard_tokens(first)[start - offset : end - offset])
            start, first = end, first + 1
        if not parts:
            return np.empty(0, dtype=self._dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def document_ends(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Returns the positions after each document's separator that lie in (start, stop].

        Shape: (documents that end there,), ascending.
        """
        self._check_range(start, stop)
        first = max(0, int(np.searchsorted(self._starts, start, side="right")) - 1)
        found = []
        for shard in range(first, len(self._info.shards)):
            if self._starts[shard] >= stop:
                break
            ends = self._shard_ends(shard)
            low, high = np.searchsorted(ends, np.array([start, stop], ends.dtype), side="right")
            found.append(ends[low:high].astype(np.int64))
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def document(self, index: int) -> npt.NDArray[np.unsignedinteger]:
        """Returns one document's tokens without its separator.

        Shape: (tokens of the document,).

        Raises:
            DataError: If there is no such document.
        """
        if not 0 <= index < self.num_documents:
            raise DataError(
                f"the split '{self.name}' has no document {index}; it has {self.num_documents}, "
                "counted from 0"
            )
        start = self._document_end(index - 1) if index else 0
        return self.read(start, self._document_end(index) - 1)

    def _document_end(self, index: int) -> int:
        shard = int(np.searchsorted(self._first_documents, index, side="right")) - 1
        return int(self._shard_ends(shard)[index - int(self._first_documents[shard])])

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.num_tokens:
            raise DataError(
                f"positions {start} to {stop} are outside the {self.num_tokens} tokens of the "
                f"split '{self.name}'"
            )

    def _shard_tokens(self, shard: int) -> npt.NDArray[np.unsignedinteger]:
        if shard not in self._tokens:
            info = self._info.shards[shard]
            path = tokens_path(self.folder, info.name)
            self._checker.require_whole(path, info.tokens_sha256)
            self._tokens[shard] = np.memmap(path, dtype=self._dtype, mode="r")
        return self._tokens[shard]

    def _shard_ends(self, shard: int) -> npt.NDArray[np.uint64]:
        if shard not in self._ends:
            info = self._info.shards[shard]
            path = index_path(self.folder, info.name)
            self._checker.require_whole(path, info.documents_sha256)
            # an empty file can't be mapped: no document ends in this shard
            self._ends[shard] = (
                np.memmap(path, dtype=INDEX_DTYPE, mode="r")
                if info.num_documents
                else np.empty(0, dtype=INDEX_DTYPE)
            )
        return self._ends[shard]


class Corpus:
    """A corpus folder made by `build_corpus`.

    Example:
        >>> Corpus.open("nowhere")
        Traceback (most recent call last):
        limbeck.errors.DataError: there is no corpus folder nowhere; make one with `limbeck \
corpus build`
    """

    def __init__(self, folder: Path, info: CorpusInfo) -> None:
        self.folder = folder
        self.info = info
        self._checker = _Checker()

    def __repr__(self) -> str:
        splits = ", ".join(f"{n}={s.num_tokens:,} tokens" for n, s in self.info.splits.items())
        return f"Corpus({str(self.folder)!r}, {splits})"

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens a corpus and checks that its files are there and have the right sizes.

        Raises:
            DataError: If the folder is no complete corpus, of another version, or a file is
                missing or of the wrong size.
        """
        folder = Path(folder)
        info = CorpusInfo.read(folder)
        itemsize = np.dtype(info.dtype).itemsize
        for split in info.splits.values():
            for shard in split.shards:
                _check_size(tokens_path(folder, shard.name), shard.num_tokens * itemsize)
                _check_size(index_path(folder, shard.name), shard.num_documents * 8)
        corpus = cls(folder, info)
        _ = corpus._counts  # small, and wrong counts would bend every mask
        return corpus

    def split(self, name: str) -> TokenSplit:
        """Returns the token stream of `train` or `heldout`.

        Raises:
            SettingsError: If there is no such split.
        """
        if name not in self.info.splits:
            accepted = list(self.info.splits)
            raise SettingsError(
                f"the corpus has no split '{name}'; accepted: {', '.join(accepted)}."
                + did_you_mean(name, accepted)
            )
        return TokenSplit(name, folder=self.folder, info=self.info, checker=self._checker)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the corpus.

        Raises:
            DataError: If its files in the folder were changed.
        """
        from limbeck.tokenizers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.require_tokenizer(tokenizer)
        return tokenizer

    @property
    def token_counts(self) -> npt.NDArray[np.int64]:
        """How often each vocabulary entry occurs, both splits together.

        Shape: (vocab_size,).
        """
        total: npt.NDArray[np.int64] = self._counts.sum(axis=0)
        return total

    @cached_property
    def _counts(self) -> npt.NDArray[np.int64]:
        path = self.folder / COUNTS_FILE
        expected = (len(self.info.splits), self.info.vocab_size)
        try:
            # Mapped, for a damaged header may promise any size.
            counts = np.lib.format.open_memmap(path, mode="r")
        except FileNotFoundError:
            raise DataError(f"the corpus file {path} is missing; build the corpus again") from None
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"the corpus file {path} is damaged: {error}; build the corpus again"
            ) from None
        if counts.shape != expected or counts.sum() != sum(self.info.num_tokens.values()):
            raise DataError(
                f"the corpus file {path} is damaged: it counts {int(counts.sum())} tokens in shape "
                f"{counts.shape}, expected {sum(self.info.num_tokens.values())} in {expected}; "
                "build the corpus again"
            )
        self._checker.require_whole(path, self.info.token_counts_sha256)
        result: npt.NDArray[np.int64] = counts.astype(np.int64)
        return result

    def require_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Refuses a tokenizer that gives other token numbers than the corpus holds.

        Raises:
            DataError: If the fingerprints differ.
        """
        require_fingerprint(
            tokenizer,
            self.info.tokenizer_fingerprint,
            what=f"the corpus {self.folder}",
            vocab_size=self.info.vocab_size,
        )

    def verify(self, *, progress: Progress | None = None) -> None:
        """Compares every file with its checksum that has not been used before.

        Args:
            progress: Shows bytes read; nothing does if None.

        Raises:
            DataError: Names every damaged file.
        """
        progress = progress or make_silent_progress()
        files = [
            (self.folder / COUNTS_FILE, self.info.token_counts_sha256),
            *(
                pair
                for split in self.info.splits.values()
                for s in split.shards
                for pair in self._checksums(s)
            ),
        ]
        damaged = []
        total = sum(path.stat().st_size for path, _ in files)
        with progress.stage("verifying the corpus", total=total, unit="bytes") as stage:
            for path, expected in files:
                if not self._checker.is_whole(path, expected):
                    damaged.append(path.name)
                stage.advance(path.stat().st_size)
        if damaged:
            raise DataError(_describe_damage(self.folder, damaged))

    def _checksums(self, shard: ShardInfo) -> list[tuple[Path, str]]:
        return [
            (tokens_path(self.folder, shard.name), shard.tokens_sha256),
            (index_path(self.folder, shard.name), shard.documents_sha256),
        ]


def require_fingerprint(tokenizer: Tokenizer, expected: str, *, what: str, vocab_size: int) -> None:
    """Refuses a tokenizer whose fingerprint is not the expected one.

    Raises:
        DataError: If the fingerprints differ.
    """
    if tokenizer.fingerprint != expected:
        raise DataError(
            f"{what} was tokenised with another tokenizer: its vocabulary has {vocab_size} "
            f"entries and the fingerprint {expected[:12]}, the one given has "
            f"{tokenizer.vocab_size} and {tokenizer.fingerprint[:12]}. Build the corpus again "
            "with this tokenizer"
        )


def _describe_damage(folder: Path, names: Sequence[str]) -> str:
    return (
        f"the corpus {folder} is damaged: the checksum of {', '.join(names)} is wrong; build the "
        "corpus again or copy these files anew"
    )


def _check_size(path: Path, expected: int) -> None:
    if not path.is_file():
        raise DataError(f"the corpus file {path} is missing; build the corpus again")
    size = path.stat().st_size
    if size != expected:
        raise DataError(
            f"the corpus file {path} has {size} bytes, expected {expected}; build the corpus again"
        )
