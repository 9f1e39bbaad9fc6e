"""Progress in a notebook: one area a stage that is drawn anew, without widgets to install."""

from __future__ import annotations

import html
import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from limbeck.terminal.progress import Meter

_REDRAW_SECONDS = 0.25  # each drawing is a message to the browser


def in_notebook() -> bool:
    """Tells whether the process is a notebook's kernel, which shows HTML."""
    # Where nobody has imported IPython there is no kernel, and no reason to import it.
    if "IPython" not in sys.modules:
        return False
    shell = importlib.import_module("IPython").get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """Draws a bar under the cell for each running stage; what it leaves is one line."""

    @contextmanager
    def stage(
        self, description: str, *, total: float | None, unit: str
    ) -> Iterator[_NotebookStage]:
        """Opens a stage."""
        stage = _NotebookStage(description, Meter(total, unit))
        yield stage
        stage.finish()

    def log(self, message: str) -> None:
        """Shows one line that stays."""
        _display(f"<div>{html.escape(message)}</div>", plain=message)


class _NotebookStage:
    def __init__(self, description: str, meter: Meter) -> None:
        self._description, self._meter = description, meter
        self._handle = _display(self._bar(), plain=description, keep=True)
        self._drawn = time.monotonic()

    def advance(self, amount: float = 1) -> None:
        """Adds work done; draws if it is time."""
        self._meter.advance(amount)
        now = time.monotonic()
        if now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._draw(self._bar(), plain=self._words())

    def reach(self, share: float) -> None:
        """Sets the share that is done."""
        self._meter.share = share

    def update(self, **fields: str | float) -> None:
        """Sets figures shown beside the bar."""
        self._meter.fields.update(fields)

    def finish(self) -> None:
        """Leaves a line in place of the bar."""
        line = f"{self._description}: {self._meter.summarise()}"
        self._draw(f"<div>{html.escape(line)}</div>", plain=line)

    def _bar(self) -> str:
        total, done = self._meter.extent()
        extent = f' max="{total:g}" value="{done:g}"' if total else ""
        bar = f"<progress{extent}></progress>"
        return f"<div>{bar} {html.escape(self._words())}</div>"

    def _words(self) -> str:
        return ": ".join(filter(None, (self._description, self._meter.describe())))

    def _draw(self, content: str, *, plain: str) -> None:
        self._handle.update({"text/html": content, "text/plain": plain}, raw=True)


def _display(content: str, *, plain: str, keep: bool = False) -> Any:
    show = importlib.import_module("IPython.display").display
    return show({"text/html": content, "text/plain": plain}, raw=True, display_id=keep or None)
