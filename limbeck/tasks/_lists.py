"""Lists that a table holds as text, as `str` and JSON write them: lists, tuples and sets."""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress
from typing import Any

_OPEN, _CLOSE = r"[\[({]", r"[\])}]"
_BRACKETED = re.compile(rf"\s*{_OPEN}.*{_CLOSE}\s*", re.DOTALL)
_SQUARE = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_QUOTED_PART = re.compile(rf"""\s*{_OPEN}\s*['"].*|.*['"]\s*{_CLOSE}\s*""", re.DOTALL)
"""A quotation mark just within a bracket: text that was cut off has one bracket only."""
_ONE_LITERAL = re.compile(r"""'(\\.|[^'\\])*'|"(\\.|[^"\\])*"|-?[\d.]+""", re.DOTALL)


def as_list(value: Any) -> Any:
    """Returns the list that a value is or, in a table, was written as; else the value."""
    found = parse_list(value) if isinstance(value, str) else None
    return value if found is None else found


def is_list_text(text: str) -> bool:
    """Tells whether a text is a list of texts or numbers that was written as text.

    Example:
        >>> is_list_text("['good', 'dull']"), is_list_text("[sic]"), is_list_text("good, dull")
        (True, False, False)
    """
    return parse_list(text) is not None


def is_meant_as_list(text: str) -> bool:
    """Tells whether a text is a list that was written as text, be it cut short or malformed.

    Example:
        >>> [is_meant_as_list(text) for text in ("['good', 'du", "[good]", "(other)", "good, dull")]
        [True, True, False, False]
    """
    return bool(_SQUARE.fullmatch(text) or _QUOTED_PART.fullmatch(text)) or is_list_text(text)


def parse_list(text: str) -> list[Any] | None:
    """Returns the list that a text is, None if it is none of texts and numbers.

    Tuples and sets are lists too. Arrays as NumPy prints them are none: their texts have no comma
    between them, and would be joined.

    Example:
        >>> parse_list("['good', 'dull']"), parse_list('["a", 1]'), parse_list("['a' 'b']")
        (['good', 'dull'], ['a', 1], None)
        >>> parse_list("('good', 'dull')"), parse_list("{'good'}"), parse_list("(good)")
        (['good', 'dull'], ['good'], None)
    """
    if not _BRACKETED.fullmatch(text):
        return None
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        is_flat = isinstance(found, list) and all(
            isinstance(item, str | int | float) for item in found
        )
        return found if is_flat else None
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        node = ast.parse(text.strip(), mode="eval").body
        # "[1] + [2]" has brackets at its ends too, and "(1)" is a number
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            return None
        parts = [ast.get_source_segment(text.strip(), item) or "" for item in node.elts]
        if all(_ONE_LITERAL.fullmatch(part) for part in parts):
            return [ast.literal_eval(part) for part in parts]
    return None
