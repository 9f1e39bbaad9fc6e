"""CoNLL's columns: a word a line, its tag in the last column, blank lines between sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from limbeck.errors import DataError

_DOCUMENT = "-DOCSTART-"


def read_sentences(path: Path, text: TextIO) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields each sentence's `tokens` and `ner_tags`, and the place of its first word.

    Raises:
        DataError: If a line has no tag.
    """
    words: list[str] = []
    tags: list[str] = []
    first = 1
    for number, line in enumerate(text, start=1):
        fields = line.split()
        if fields and fields[0] != _DOCUMENT:
            if len(fields) < 2:
                raise DataError(
                    f"{path}, line {number}: '{line.strip()}' has a word and no tag; a line needs "
                    "both, the tag in the last column"
                )
            first = first if words else number
            words.append(fields[0])
            tags.append(fields[-1])
        elif words:
            yield {"tokens": words, "ner_tags": tags}, f"{path}, line {first}"
            words, tags = [], []
    if words:
        yield {"tokens": words, "ner_tags": tags}, f"{path}, line {first}"
