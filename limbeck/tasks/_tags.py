"""Tags of words in the schemes that data sets use, brought into one of them, BIO2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from limbeck.errors import DataError, shorten

Scheme = Literal["auto", "iob1", "bio2", "bioes"]

OUTSIDE = "O"
_TAG = re.compile(r"(?P<place>[BIESLU])-(?P<type>.+)")
_OTHER_LETTERS = {"L": "E", "U": "S"}  # BILOU writes these


def guess_scheme(sentences: Sequence[Sequence[str]]) -> Scheme:
    """Returns BIOES if it is used, BIO2 if every entity begins with B, and otherwise IOB1."""
    if any(tag[:2] in ("E-", "S-", "L-", "U-") for tags in sentences for tag in tags):
        return "bioes"
    return "bio2" if all(_first_dangling(tags) is None for tags in sentences) else "iob1"


def to_bio2(
    tags: Sequence[str], *, scheme: Scheme, types: Mapping[str, str], place: str
) -> tuple[str, ...]:
    """Returns a sentence's tags in BIO2.

    Args:
        tags: As the data set has them.
        scheme: What they are in.
        types: Types of entities that are read as others, or as `O` for none.
        place: File and line, for messages.

    Raises:
        DataError: If a tag is none, or `scheme` is `bio2` and an entity begins with I.
    """
    for tag in tags:
        if tag != OUTSIDE and not _TAG.fullmatch(tag):
            raise DataError(
                f"{place}: {shorten(tag)} is no tag; accepted: O, or B-, I-, E- or S- and a "
                "type, such as B-PER, or the number of a tag in task_options.labels. Are "
                "task_options.tokens_column and task_options.tags_column right?"
            )
    dangling = _first_dangling(tags)
    if scheme == "bio2" and dangling is not None:
        raise DataError(
            f"{place}: {shorten(tags[dangling])} at word {dangling} has no B- before it; correct "
            "it, or set task_options.scheme = 'iob1', where entities may begin with I-"
        )
    result, inside = [], OUTSIDE
    for tag in tags:
        if tag == OUTSIDE:
            result.append(OUTSIDE)
            inside = OUTSIDE
            continue
        letter, kind = tag[0], tag[2:]
        letter = _OTHER_LETTERS.get(letter, letter)
        begins = letter in "BS" or inside != kind
        # an entity that E or S has ended does not go on
        inside = OUTSIDE if letter in "ES" else kind
        mapped = types.get(kind, kind)
        result.append(OUTSIDE if mapped == OUTSIDE else f"{'B' if begins else 'I'}-{mapped}")
    return tuple(result)


def _first_dangling(tags: Sequence[str]) -> int | None:
    """Returns the first I that does not go on with an entity of its type."""
    previous = OUTSIDE
    for number, tag in enumerate(tags):
        if tag.startswith("I-") and previous[2:] != tag[2:]:
            return number
        previous = tag
    return None
