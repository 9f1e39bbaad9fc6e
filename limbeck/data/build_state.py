"""The state of an unfinished build: what it was asked for, and where it can continue.

`build-state.json` is replaced atomically at points where every document read so far is completely
in the shards; the digests of those documents stand in `build-digests.bin`. Whatever an interrupted
build wrote after the last such point is cut off and written again, so the result is byte for byte
that of a build without interruption.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, Field

from limbeck.data.documents import SeenDigests
from limbeck.data.info import STATE_FILE, CorpusInfo, SourceInfo, WriterState
from limbeck.data.settings import CorpusSettings
from limbeck.data.sources import Source
from limbeck.errors import DataError
from limbeck.files import sha256_of
from limbeck.files.typed import Part, TypedFile
from limbeck.sources import FileSource
from limbeck.system_errors import raised_as

DIGESTS_FILE: Final = "build-digests.bin"


class BuildRequest(Part):
    """What decides a corpus: equal requests give equal corpora."""

    tokenizer_fingerprint: str
    sources: tuple[SourceInfo, ...]
    settings: dict[str, Any]

    @classmethod
    def make(
        cls, sources: Sequence[Source], *, settings: CorpusSettings, tokenizer_fingerprint: str
    ) -> BuildRequest:
        """Describes a build; reads all files once, to know them again by what they hold.

        Raises:
            DataError: If a file can't be read.
        """
        return cls(
            tokenizer_fingerprint=tokenizer_fingerprint,
            sources=tuple(map(_describe_source, sources)),
            settings=settings.identity(),
        )

    @classmethod
    def of(cls, info: CorpusInfo) -> BuildRequest:
        """Returns the request that a finished corpus came from."""
        return cls(
            tokenizer_fingerprint=info.tokenizer_fingerprint,
            sources=info.sources,
            settings=info.settings,
        )

    def require_same(self, earlier: BuildRequest, *, folder: Path) -> None:
        """Refuses to go on with a folder that another request began.

        Raises:
            DataError: Names the first difference.
        """
        difference = _difference(earlier, self)
        if difference:
            raise DataError(
                f"the corpus folder {folder} was begun with {difference}. Give what it was begun "
                "with, another folder, or delete this one"
            )


def _describe_source(source: Source) -> SourceInfo:
    sha256 = None
    if isinstance(source, FileSource):
        with raised_as(DataError, source.path, writes=False):
            sha256 = sha256_of(source.path)
    return SourceInfo(name=source.name, num_bytes=source.num_bytes, sha256=sha256)


class BuildState(TypedFile):
    """A point at which a build can continue; the build moves it as it goes."""

    model_config = ConfigDict(frozen=False)

    FILE_NAME: ClassVar[str] = STATE_FILE
    REMEDY: ClassVar[str] = "delete the folder {folder} and build again"

    request: BuildRequest
    """What was asked for."""
    source: int = 0
    """Index of the source being read."""
    record: int = 0
    """Records of it that are done."""
    num_digests: int = 0
    """Digests of documents in `build-digests.bin`."""
    digests_sha256: str = ""
    """Checksum of them."""
    counters: dict[str, int] = Field(default_factory=dict)
    """What was left out or skipped, by the reason."""
    writers: dict[str, WriterState] = Field(default_factory=dict)
    """State of each split's writer; none before the first point."""


class DigestFile:
    """The digests of the documents read so far, in `build-digests.bin`.

    Args:
        folder: The corpus folder.
        state: Says how many there are and their checksum; what stands after them is cut off.

    Attributes:
        seen: All of them.

    Raises:
        DataError: If the file does not hold them.
    """

    def __init__(self, folder: Path, state: BuildState) -> None:
        self.seen = SeenDigests()
        self._path = folder / DIGESTS_FILE
        self._hash = hashlib.sha256()
        self._new = array("Q")
        if not state.num_digests:
            self._path.unlink(missing_ok=True)
            return
        remedy = state.REMEDY.format(folder=folder)
        num_bytes = 8 * state.num_digests
        if not self._path.exists() or self._path.stat().st_size < num_bytes:
            raise DataError(f"{self._path} is missing or too short; {remedy}")
        with self._path.open("r+b") as stream:
            stream.truncate(num_bytes)
            while chunk := stream.read(2**20):
                self._hash.update(chunk)
                for digest in array("Q", chunk):
                    self.seen.add(digest)
        if self._hash.hexdigest() != state.digests_sha256:
            raise DataError(
                f"{self._path} is damaged: it differs from what the interrupted build wrote; "
                f"{remedy}"
            )

    def add(self, digest: int) -> bool:
        """Adds a digest; returns whether it is new."""
        is_new = self.seen.add(digest)
        if is_new:
            self._new.append(digest)
        return is_new

    def flush(self, state: BuildState) -> None:
        """Appends what is new to the file, and says so in the state."""
        if not self._new:
            return
        content = self._new.tobytes()
        with self._path.open("ab") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())  # the state, which says that they are there, comes after
        self._hash.update(content)
        state.num_digests += len(self._new)
        state.digests_sha256 = self._hash.hexdigest()
        self._new = array("Q")


def _difference(earlier: BuildRequest, now: BuildRequest) -> str | None:
    if earlier.tokenizer_fingerprint != now.tokenizer_fingerprint:
        return (
            f"the tokenizer {earlier.tokenizer_fingerprint[:12]}, now it is "
            f"{now.tokenizer_fingerprint[:12]}"
        )
    for name in {**earlier.settings, **now.settings}:
        before, after = earlier.settings.get(name), now.settings.get(name)
        if before != after:
            return f"{name}={before}, now it is {name}={after}"
    if len(earlier.sources) != len(now.sources):
        return f"{len(earlier.sources)} sources, now there are {len(now.sources)}"
    for old, new in zip(earlier.sources, now.sources, strict=True):
        if (old.name, old.num_bytes) == (new.name, new.num_bytes) and not old.is_same(new):
            return f"another content of {old.name}, which has changed since"
        if not old.is_same(new):
            return (
                f"the source {old.name} of {old.num_bytes} bytes, now there is {new.name} of "
                f"{new.num_bytes} bytes in its place"
            )
    return None
