"""The state of an unfinished build: what it was asked for, and where it can continue.

`build-state.json` is replaced atomically at points where every document read so far is completely
in the shards; the digests of those documents stand in `build-digests.bin`. Whatever an interrupted
build wrote after the last such point is cut off and written again, so the result is byte for byte
that of a build without interruption.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from limbeck.data.documents import SeenDigests
from limbeck.data.info import STATE_FILE, CorpusInfo, SourceInfo, WriterState
from limbeck.data.settings import CorpusSettings
from limbeck.data.sources import Source
from limbeck.errors import DataError
from limbeck.files import sha256_of, write_json
from limbeck.sources import FileSource

DIGESTS_FILE: Final = "build-digests.bin"


class BuildRequest(BaseModel):
    """What decides a corpus: equal requests give equal corpora."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        try:
            sha256 = sha256_of(source.path)
        except OSError as error:
            raise DataError(f"can't read {source.path}: {error.strerror or error}") from error
    return SourceInfo(name=source.name, num_bytes=source.num_bytes, sha256=sha256)


class BuildState(BaseModel):
    """A point at which a build can continue."""

    model_config = ConfigDict(extra="forbid")

    request: BuildRequest
    source: int = 0
    """Index of the source being read."""
    record: int = 0
    """Records of it that are done."""
    num_digests: int = 0
    """Digests of documents in `build-digests.bin`."""
    counters: dict[str, int] = {}
    writers: dict[str, WriterState] = {}
    """State of each split's writer; none before the first point."""

    def save(self, folder: Path) -> None:
        """Replaces the folder's state."""
        write_json(folder / STATE_FILE, self.model_dump(mode="json"), error=None)


def load_state(folder: Path) -> BuildState | None:
    """Returns the state of an interrupted build, None if the folder has none.

    Raises:
        DataError: If the state file is damaged.
    """
    path = folder / STATE_FILE
    try:
        return BuildState.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged ({error}); delete the folder {folder} and build again"
        ) from None


def load_digests(folder: Path, count: int) -> SeenDigests:
    """Reads the first `count` digests and cuts off the rest.

    Raises:
        DataError: If there are fewer.
    """
    seen = SeenDigests()
    path = folder / DIGESTS_FILE
    if not count:
        path.unlink(missing_ok=True)
        return seen
    if not path.exists() or path.stat().st_size < 8 * count:
        raise DataError(
            f"{path} is missing or too short; delete the folder {folder} and build again"
        )
    with path.open("r+b") as stream:
        stream.truncate(8 * count)
        while chunk := stream.read(2**20):
            for digest in array("Q", chunk):
                seen.add(digest)
    return seen


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
