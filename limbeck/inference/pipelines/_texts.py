"""What pipelines are given, checked, and texts or pairs of them as tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tokenizers import Encoding

from limbeck.errors import DataError, shorten
from limbeck.inference._base import FloatArray
from limbeck.inference.engines import Outputs
from limbeck.sources import require_whole_characters
from limbeck.tokenizers import Tokenizer

Pair = tuple[str, str | None]
"""A text, and the second one where there is one."""


def check_text(index: int, text: object) -> str:
    """Returns a text.

    Raises:
        DataError: If it is none.
    """
    if isinstance(text, str):
        require_whole_characters(text, f"input {index}")
        return text
    raise DataError(
        f"input {index} is {shorten(text)}; accepted: a text, or a list of texts; leave out what "
        "has none"
    )


def check_text_of(index: int, name: str, text: object) -> str:
    """Returns the text that an input has under a name.

    Raises:
        DataError: If it is none.
    """
    if not isinstance(text, str):
        raise DataError(f"input {index}: {name} = {shorten(text)}; accepted: a text")
    require_whole_characters(text, f"input {index}: {name}")
    return text


def check_texts_of(index: int, name: str, texts: object, *, least: int = 1) -> list[str]:
    """Returns the list of texts that an input has under a name.

    Raises:
        DataError: If it is no list of texts, or too short.
    """
    found = list(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else None
    if found is None or isinstance(texts, Mapping) or len(found) < least:
        number = "one text or more" if least == 1 else f"{least} texts or more"
        raise DataError(f"input {index}: {name} = {shorten(texts)}; accepted: a list of {number}")
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(f"input {index}: {name}[{place}] is {shorten(text)}; accepted: a text")
        require_whole_characters(text, f"input {index}: {name}[{place}]")
    return found


def encode_pairs(
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    *,
    max_length: int,
    truncation: str = "longest_first",
) -> list[Encoding]:
    """Returns texts and pairs as tokens, which the tokenizer takes apart.

    Args:
        tokenizer: The model's.
        pairs: A text with None, or with the second one.
        max_length: Where they are cut, in tokens.
        truncation: Which text of a pair is: `longest_first`, `only_first`, `only_second`.

    Raises:
        DataError: If the tokenizer makes no tokens of one, or a pair can't be cut as asked.
    """
    found: dict[int, Encoding] = {}
    for has_second in (False, True):
        chosen = [i for i, (_, second) in enumerate(pairs) if (second is not None) == has_second]
        if chosen:
            rows = tokenizer.encode_rows(
                [pairs[i][0] for i in chosen],
                [pairs[i][1] or "" for i in chosen] if has_second else None,
                truncation=truncation if has_second else True,  # type: ignore[arg-type]
                max_length=max_length,
            )
            found.update(zip(chosen, rows, strict=True))
    for place, (text, _) in enumerate(pairs):
        if not len(found[place]):
            raise DataError(
                f"the model's tokenizer makes no tokens of {shorten(text)}; accepted: texts with "
                "some"
            )
    return [found[place] for place in range(len(pairs))]


def logits_of_rows(outputs: Outputs, _: Sequence[Encoding]) -> FloatArray:
    """Returns the logits of a batch's rows, for pipelines that take them as they are."""
    return outputs["logits"]
