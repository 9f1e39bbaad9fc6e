"""Sentences with a tag for every word, from CoNLL's columns or rows of lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from limbeck.errors import DataError, shorten
from limbeck.sources import Row, SplitRows, require_whole_characters
from limbeck.tasks._held_out import DataSettings
from limbeck.tasks._labels import as_label
from limbeck.tasks._lists import as_list
from limbeck.tasks._main_metric import TagMetric
from limbeck.tasks._tags import Scheme, guess_scheme, to_bio2
from limbeck.tasks._texts import (
    UNLABELLED_SPLITS,
    require_all_or_none,
    require_column,
)


class NerSettings(DataSettings):
    """Which columns hold what, and what the tags are."""

    tokens_column: str = "tokens"
    """Column with the list of words."""
    tags_column: str = "ner_tags"
    """Column with the list of tags, one a word."""
    scheme: Scheme = "auto"
    """What the tags are in: `iob1`, `bio2`, `bioes` (and BILOU), or `auto` to see by the tags. They
    are trained and scored as BIO2."""
    types: dict[str, str] = Field(default_factory=dict)
    """Types of entities to read as others: `types.MISC=O` reads none where the data have MISC."""
    metric: TagMetric = "f1"
    """Main metric, by which the best epoch is chosen; `accuracy` is that of tags, the others are of
    whole entities."""
    labels: tuple[str, ...] | None = None
    """All tags in the order of the model's logits, by which data may number them; by default those
    of the model or the data."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and the tag of each, or None where they are not public."""

    words: tuple[str, ...]
    label: tuple[str, ...] | None

    def shown(self) -> dict[str, Any]:
        """Returns nothing: a prediction has the words already."""
        return {}


def read_tagged(
    rows: SplitRows, settings: NerSettings, *, split: str, numbers: Sequence[str] = ()
) -> list[Sentence]:
    """Makes sentences of rows, their tags in BIO2.

    Args:
        rows: The rows of one split.
        settings: Which columns hold what, and what the tags are.
        split: Its name; tags of `transfer` are not looked at.
        numbers: What the data set calls 0, 1, ... in splits that do not say it themselves.

    Raises:
        DataError: If words or tags are missing or malformed; the message names file and line.
    """
    names = rows.class_names.get(settings.tags_column) or numbers or settings.labels or ()
    words = [_words(row, settings.tokens_column) for row in rows.rows]
    if split == "transfer":
        return [Sentence(tokens, None) for tokens in words]
    tags = [
        _tags(row, settings.tags_column, names=names, num_words=len(tokens), split=split)
        for row, tokens in zip(rows.rows, words, strict=True)
    ]
    scheme = settings.scheme
    if scheme == "auto":
        scheme = guess_scheme([given for given in tags if given is not None])
    sentences = [
        Sentence(
            tokens,
            None
            if given is None
            else to_bio2(given, scheme=scheme, types=settings.types, place=row.place),
        )
        for row, tokens, given in zip(rows.rows, words, tags, strict=True)
    ]
    require_all_or_none(split, rows, sentences, settings.tags_column)
    return sentences


def _words(row: Row, column: str) -> tuple[str, ...]:
    require_column(row, column, "tokens_column")
    words = as_list(row.values[column])
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise DataError(
            f"{row.place}: column '{column}' holds {shorten(words)}; accepted: a list of one or "
            "more words"
        )
    for word in words:
        require_whole_characters(word, f"{row.place}: column '{column}'")
    return tuple(words)


def _tags(
    row: Row, column: str, *, names: Sequence[str], num_words: int, split: str
) -> list[str] | None:
    if split not in UNLABELLED_SPLITS:
        require_column(row, column, "tags_column")
    tags = as_list(row.values.get(column))
    if tags is None or tags == "":
        return None
    if not isinstance(tags, list) or len(tags) != num_words:
        count = len(tags) if isinstance(tags, list) else "no list of"
        raise DataError(
            f"{row.place}: {num_words} words, but {count} tags in column '{column}'; each word "
            "needs one"
        )
    texts = [as_label(str(tag)) for tag in tags]  # a file of columns has its numbers as text
    if names and all(text.isdecimal() and int(text) < len(names) for text in texts):
        return [names[int(text)] for text in texts]
    return texts
