"""Sources of text: files, folders, globs and Hub data sets, found in a fixed order."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from limbeck.data.settings import CorpusSettings
from limbeck.errors import DataError
from limbeck.sources import (
    FileSource,
    HubAddress,
    HubSource,
    MemorySource,
    expand_glob,
    known_format,
    open_file,
)
from limbeck.sources.files import describe_endings
from limbeck.sources.hub import PREFIX

Source: TypeAlias = FileSource | HubSource | MemorySource


def find_sources(
    sources: Sequence[str | Path | MemorySource], settings: CorpusSettings
) -> list[Source]:
    """Resolves files, folders, globs and Hub names to what there is to read.

    The order is that of the arguments, and alphabetical within a folder or a glob. A file that two
    arguments name is read once.

    Args:
        sources: Paths, glob patterns (`**` goes into folders), `hf://NAME[:CONFIG][#SPLIT]`, or
            rows in memory.
        settings: Settings of the build; `format` decides which files of a folder are taken.

    Raises:
        DataError: If a source doesn't exist, matches nothing or has an unknown format.
    """
    if not sources:
        raise DataError("no source of text given; accepted: files, folders, globs and hf://NAME")
    format_ = None if settings.format == "auto" else settings.format
    found: dict[Path | str, Source] = {}
    for source in sources:
        if isinstance(source, MemorySource):
            found[source.name] = source
            continue
        given = str(source)
        if not given.strip():  # as a path it would be the folder that the command is given in
            raise DataError(
                f"the source {given!r} names nothing; accepted: files, folders, globs and hf://NAME"
            )
        if given.startswith(PREFIX):
            found.setdefault(given, _open_hub(given, settings))
            continue
        for path in _find_files(given, format_):
            if path.resolve() not in found:
                found[path.resolve()] = open_file(path, reader="corpora", format_=format_)
    return list(found.values())


def _open_hub(name: str, settings: CorpusSettings) -> HubSource:
    given = HubAddress.parse(name)
    address = HubAddress(
        given.path,
        config=given.config or settings.hub_config,
        split=given.split or settings.hub_split,
    )
    return HubSource(name, address, settings.hub_revision)


def _find_files(given: str, format_: str | None) -> list[Path]:
    path = Path(given)
    if path.is_file():
        return [path]
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and not _is_hidden(p, path)]
        files = [p for p in inside if format_ or known_format(p, reader="corpora")]
        if not files:
            raise DataError(
                f"the folder '{given}' has no file to read among {len(inside)}; "
                f"{describe_endings('corpora')}"
            )
        return files
    if glob.has_magic(given):
        files = expand_glob(given)
        if not files:
            raise DataError(f"no file matches '{given}'")
        return files
    raise DataError(
        f"the source '{given}' doesn't exist; accepted: files, folders, globs and hf://NAME"
    )


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def total_bytes(sources: Iterable[Source]) -> int | None:
    """Returns the size of all sources on disk, None if one isn't known."""
    sizes = [source.num_bytes for source in sources]
    return None if None in sizes else sum(size for size in sizes if size is not None)
