"""The words of a corpus and how often each occurs: all that a vocabulary is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path

from limbeck.errors import DataError
from limbeck.tokenizers.layouts import MAX_WORD_LENGTH
from limbeck.tokenizers.texts import find_surrogate

_FOLD_AT = 500_000
_CHUNK_LENGTH = 100_000


def read_texts(corpus: Iterable[str | PathLike[str]]) -> Iterator[str]:
    """Yields the texts of a corpus, those of files line by line.

    Raises:
        DataError: If an item is neither text nor a file that can be read.
    """
    if isinstance(corpus, (str, PathLike)):
        raise DataError(
            f"corpus is a single {type(corpus).__name__}; give a list of texts, or a list of "
            "pathlib.Path for files."
        )
    for index, item in enumerate(corpus):
        if isinstance(item, str):
            if (problem := find_surrogate(item)) is not None:
                raise DataError(f"text {index} of the corpus {problem}")
            yield item
        elif isinstance(item, PathLike):
            yield from _read_lines(Path(item))
        else:
            raise DataError(
                f"item {index} of the corpus is {item!r} ({type(item).__name__}); accepted: a "
                "text as str, or a file as pathlib.Path."
            )


def _read_lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield line.decode("utf-8")
                except UnicodeDecodeError:
                    raise DataError(
                        f"{path}, line {number} is not UTF-8; convert the file to UTF-8 first."
                    ) from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error


def count_words(
    texts: Iterable[str],
    *,
    cut: Callable[[str], list[str]],
    find_words: Callable[[str], Iterable[str]],
) -> Counter[str]:
    """Counts words as a pipeline finds them, but for those that are too long to be any.

    Args:
        texts: The texts.
        cut: Divides a text where its words never go on.
        find_words: Returns the words of such a part. Finding them once in each different part, not
            in each text, is what makes this fast.

    Raises:
        DataError: If there is no word.
    """
    words: Counter[str] = Counter()
    raw: Counter[str] = Counter()

    def fold() -> None:
        for string, count in raw.items():
            for word in find_words(string):
                if len(word) <= MAX_WORD_LENGTH:
                    words[word] += count
        raw.clear()

    for text in texts:
        raw.update(cut(text))
        if len(raw) >= _FOLD_AT:
            fold()
    fold()
    if not words:
        raise DataError("the corpus to train a vocabulary from has no words; give it some text.")
    return words


def repeat_words(counts: Counter[str]) -> Iterator[str]:
    """Yields texts in which every word occurs as often as it was counted."""
    chunk: list[str] = []
    for word in sorted(counts):
        left = counts[word]
        while left:
            share = min(left, _CHUNK_LENGTH - len(chunk))
            chunk += [word] * share
            left -= share
            if len(chunk) == _CHUNK_LENGTH:
                yield " ".join(chunk)
                chunk = []
    yield " ".join(chunk)
