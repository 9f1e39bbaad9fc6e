"""CoNLL's columns: a word a line, its tag in the last column, blank lines between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from limbeck.errors import shorten
from limbeck.sources.opening import decode_line, read_whole_lines, split_returns
from limbeck.sources.rows import ReadOptions, Row

ENDINGS: Final = (".conll", ".bio", ".txt")
SERVES: Final = ("tasks",)

_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")  # a no-break space can be a word


def read(path: Path, options: ReadOptions, *, start: int) -> Iterator[Row]:
    """Yields each sentence's `tokens` and `ner_tags`; its place is that of its first word.

    Where words stand alone, without a tag, `ner_tags` is None. A sentence of which some words have
    a tag and others have none is malformed.

    Raises:
        DataError: If the file can't be read or is not UTF-8.
    """
    texts = (
        text
        for line in read_whole_lines(path, format_="CoNLL's columns")
        for text in split_returns(decode_line(line, path))
    )
    numbered = enumerate((_BLANKS.split(text.strip(" \t\r\n")) for text in texts), start=1)
    for is_break, group in groupby(numbered, lambda item: item[1][0] in ("", _DOCUMENT)):
        words = list(group)
        last = words[-1][0]
        if is_break or last <= start:
            continue
        bare = [(number, fields[0]) for number, fields in words if len(fields) == 1]
        place = f"{path}, line {words[0][0]}"
        if 0 < len(bare) < len(words):
            number, word = bare[0]
            problem = (
                f"{path}, line {number}: {shorten(word)} has a word and no tag; a line needs both, "
                "the tag in the last column"
            )
            yield Row({}, place, last, problem=problem)
            continue
        tags = None if bare else [fields[-1] for _, fields in words]
        yield Row({"tokens": [fields[0] for _, fields in words], "ner_tags": tags}, place, last)
