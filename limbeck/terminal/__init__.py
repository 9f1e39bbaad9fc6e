"""Progress as people see it: a bar on a terminal or in a notebook, lines elsewhere, or nothing."""

from __future__ import annotations

from limbeck.terminal.notebook import NotebookProgress, in_notebook
from limbeck.terminal.progress import BarProgress, Meter, PlainProgress, open_progress

__all__ = [
    "BarProgress",
    "Meter",
    "NotebookProgress",
    "PlainProgress",
    "in_notebook",
    "open_progress",
]
