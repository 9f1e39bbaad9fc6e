"""Texts in memory as a source of a corpus: read once, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.data import CorpusInfo
from limbeck.errors import DataError, shorten
from limbeck.files import sha256_of_texts
from limbeck.sources import MemorySource, open_rows


def read_texts(texts: Iterable[Any], *, field: str, name: str) -> MemorySource:
    """Returns texts as rows, none of which is read yet.

    Args:
        texts: Strings or mappings; a data set or frame.
        field: Column that strings get.
        name: What messages call them.
    """
    return MemorySource(name, _as_rows(texts, field=field, name=name))


def name_texts(texts: Iterable[Any], *, out: Path) -> str:
    """Returns a name that differs where texts differ, as far as that can be known.

    Texts of a generator can be read once only, so that it can't be known whether a finished corpus
    is of the same.

    Args:
        texts: The texts.
        out: The corpus folder.

    Raises:
        DataError: If a finished corpus is there, and the texts may be others.
    """
    fingerprint = getattr(texts, "_fingerprint", None)  # as `datasets` keeps it for its own cache
    if fingerprint is None and isinstance(texts, Sequence):
        fingerprint = sha256_of_texts(json.dumps(text, default=str) + "\n" for text in texts)
    if fingerprint is not None:
        return f"texts in memory ({fingerprint})"
    if CorpusInfo.exists(out):
        raise DataError(
            f"{out} holds a finished corpus, and whether it is of the same texts can't be known of "
            f"a generator; take it as it is with limbeck.data.Corpus.open({str(out)!r}), give "
            "another out=..., or remove it"
        )
    return "texts of a generator"


def write_texts(texts: Iterable[Any], path: Path, *, field: str) -> None:
    """Writes texts as JSON lines.

    Args:
        texts: Strings or mappings; a data set or frame.
        path: The file.
        field: Column that strings get, and that is kept of mappings.

    Raises:
        DataError: If one has no such column, or it holds no text.
    """
    rows = _as_rows(texts, field=field, name="texts")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            text = row.get(field) if isinstance(row, Mapping) else row
            if not isinstance(text, str):
                raise DataError(
                    f"text {number} of texts is {shorten(row)}; accepted: a str, or a mapping with "
                    f"one in the column '{field}'"
                )
            file.write(json.dumps({field: text}) + "\n")


def write_columns(rows: Iterable[Any], path: Path, *, columns: Sequence[str]) -> None:
    """Writes rows of one or more texts as JSON lines.

    Args:
        rows: Strings, tuples of a row's texts or mappings; a data set or frame.
        path: The file.
        columns: Columns that strings and tuples get, and that are kept of mappings.

    Raises:
        DataError: If a row is none of these, or has another number of texts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(_as_rows(rows, field=columns[0], name="texts")):
            found = row
            if isinstance(row, tuple | list) and len(row) == len(columns):
                found = dict(zip(columns, row, strict=True))
            if not isinstance(found, Mapping):
                raise DataError(
                    f"row {number} of texts is {shorten(row)}; accepted: a str, a tuple of "
                    f"{len(columns)}, or a mapping with {', '.join(map(repr, columns))}"
                )
            kept = {name: found[name] for name in columns if name in found}
            file.write(json.dumps(kept, default=str) + "\n")


def _as_rows(texts: Iterable[Any], *, field: str, name: str) -> Iterator[Mapping[str, Any]]:
    if hasattr(texts, "column_names") or hasattr(texts, "columns"):
        yield from (row.values for row in open_rows(name, texts).rows())
        return
    for text in texts:
        yield {field: text} if isinstance(text, str) else text
