"""Precision, recall, F1 and support by label, as `evaluate` writes them down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_FIGURES = ("precision", "recall", "f1", "support")


def per_label(names: Sequence[str], columns: Sequence[Any]) -> dict[str, dict[str, float]]:
    """Returns the four figures of each label.

    Args:
        names: The labels.
        columns: Precision, recall, F1 and support, each with one value a label.

    Example:
        >>> per_label(["yes"], [[0.5], [1.0], [0.67], [3]])
        {'yes': {'precision': 0.5, 'recall': 1.0, 'f1': 0.67, 'support': 3.0}}
    """
    return {
        name: {figure: float(column[i]) for figure, column in zip(_FIGURES, columns, strict=True)}
        for i, name in enumerate(names)
    }
