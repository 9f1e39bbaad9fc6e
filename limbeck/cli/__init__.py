"""The command line: words and exit codes, no logic. Heavy imports happen inside commands."""

from __future__ import annotations

from limbeck.cli._main import main

__all__ = ["main"]
