"""Sources of text: files, folders, globs and Hub data sets, found in a fixed order."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limbeck.data.settings import CorpusSettings
from limbeck.errors import DataError

HUB_PREFIX: Final = "hf://"

FORMATS: Final = {
    ".txt": "text",
    ".text": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""Format by the end of a file's name, `.gz` taken off."""


@dataclass(frozen=True)
class Source:
    """One file or Hub data set to read."""

    name: str
    """Path as the user wrote or would write it, or `hf://NAME`."""
    format: str
    """`text`, `jsonl`, `parquet` or `hub`."""
    num_bytes: int | None
    """Size on disk; None where it isn't known."""

    @property
    def path(self) -> Path:
        """Path of the file."""
        return Path(self.name)

    @property
    def compressed(self) -> bool:
        """Whether the file is gzip."""
        return self.name.endswith(".gz")


def find_sources(sources: Sequence[str | Path], settings: CorpusSettings) -> list[Source]:
    """Resolves files, folders, globs and Hub names to what there is to read.

    The order is that of the arguments, and alphabetical within a folder or a glob. A file that two
    arguments name is read once.

    Args:
        sources: Paths, glob patterns (`**` goes into folders) or `hf://NAME`.
        settings: Settings of the build; `format` decides which files of a folder are taken.

    Raises:
        DataError: If a source doesn't exist, matches nothing or has an unknown format.
    """
    if not sources:
        raise DataError("no source of text given; accepted: files, folders, globs and hf://NAME")
    found: dict[Path | str, Source] = {}
    for given in sources:
        text = str(given)
        if text.startswith(HUB_PREFIX):
            found.setdefault(text, Source(text, "hub", None))
            continue
        for path in _find_files(text, settings.format):
            format_ = _format_of(path, settings.format)
            found.setdefault(path.resolve(), Source(str(path), format_, path.stat().st_size))
    return list(found.values())


def _find_files(given: str, format_: str) -> list[Path]:
    path = Path(given)
    if path.is_file():
        return [path]
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and not _is_hidden(p, path)]
        files = [p for p in inside if format_ != "auto" or _known_format(p) is not None]
        if not files:
            raise DataError(
                f"the folder '{given}' has no file to read among {len(inside)}; {_known_endings()}"
            )
        return files
    if glob.has_magic(given):
        files = [p for p in map(Path, sorted(glob.glob(given, recursive=True))) if p.is_file()]  # noqa: PTH207 - absolute patterns
        if not files:
            raise DataError(f"no file matches '{given}'")
        return files
    raise DataError(
        f"the source '{given}' doesn't exist; accepted: files, folders, globs and hf://NAME"
    )


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _known_format(path: Path) -> str | None:
    return FORMATS.get(Path(path.name.removesuffix(".gz")).suffix.lower())


def _format_of(path: Path, given: str) -> str:
    if given != "auto":
        return given
    known = _known_format(path)
    if known is None:
        raise DataError(f"the name of '{path}' doesn't tell its format; {_known_endings()}")
    return known


def _known_endings() -> str:
    return (
        f"known endings: {', '.join(FORMATS)}, each also with .gz. Or set format=text|jsonl|parquet"
    )


def total_bytes(sources: Iterable[Source]) -> int | None:
    """Returns the size of all sources on disk, None if one isn't known."""
    sizes = [source.num_bytes for source in sources]
    return None if None in sizes else sum(size for size in sizes if size is not None)
