"""Values that several rooms agree on."""

from __future__ import annotations

from typing import Final

IGNORE_INDEX: Final = -100
"""Label of a position that carries no loss."""
