"""Lists that a table holds as text, as `str(list)` and JSON write them."""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress
from typing import Any

BRACKETED = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
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


def parse_list(text: str) -> list[Any] | None:
    """Returns the list that a text is, None if it is none of texts and numbers.

    Arrays as NumPy prints them are none: their texts have no comma between them, and would be
    joined.

    Example:
        >>> parse_list("['good', 'dull']"), parse_list('["a", 1]'), parse_list("['a' 'b']")
        (['good', 'dull'], ['a', 1], None)
    """
    if not BRACKETED.fullmatch(text):
        return None
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        return found if all(isinstance(item, str | int | float) for item in found) else None
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        node = ast.parse(text.strip(), mode="eval").body
        if not isinstance(node, ast.List):  # "[1] + [2]" has brackets at its ends too
            return None
        parts = [ast.get_source_segment(text.strip(), item) or "" for item in node.elts]
        if all(_ONE_LITERAL.fullmatch(part) for part in parts):
            return [ast.literal_eval(part) for part in parts]
    return None
