"""Text that comes from elsewhere, made safe to show: it can't drive the terminal it is shown on."""

from __future__ import annotations

import re

UNSEEN = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Controls beyond ASCII, line separators, and what turns the direction of writing, as a pattern."""

# But for tab and line feed: with them labels and texts could hide or forge what stands on screen.
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f{UNSEEN}]")


def printable(text: str) -> str:
    r"""Returns text with control characters spelt out.

    Example:
        >>> print(printable("label \x1b[31mred"))
        label \x1b[31mred
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
