"""CoNLL's columns: a word a line, its tag in the last column, blank lines between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from limbeck.errors import DataError

_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")  # a no-break space can be a word


def read_sentences(path: Path, text: TextIO) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields each sentence's `tokens` and `ner_tags`, and the place of its first word.

    Where words stand alone, without a tag, `ner_tags` is None.

    Raises:
        DataError: If some words of a sentence have a tag and others have none.
    """
    lines = (_BLANKS.split(line.strip(" \t\r\n")) for line in text)
    numbered = enumerate(lines, start=1)
    for is_break, group in groupby(numbered, lambda item: item[1][0] in ("", _DOCUMENT)):
        if is_break:
            continue
        words = list(group)
        bare = [(number, fields[0]) for number, fields in words if len(fields) == 1]
        if 0 < len(bare) < len(words):
            number, word = bare[0]
            raise DataError(
                f"{path}, line {number}: '{word}' has a word and no tag; a line needs both, the "
                "tag in the last column"
            )
        tags = None if bare else [fields[-1] for _, fields in words]
        tokens = [fields[0] for _, fields in words]
        yield {"tokens": tokens, "ner_tags": tags}, f"{path}, line {words[0][0]}"
