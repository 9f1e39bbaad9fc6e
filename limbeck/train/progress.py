"""What long work tells whoever watches it; `cli` draws it, the library never prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One running piece of work."""

    def advance(self, amount: float = 1) -> None:
        """Adds to the work done, in the stage's unit."""

    def reach(self, share: float) -> None:
        """Tells which part of all is done, where the units in all aren't known."""

    def update(self, **fields: str | float) -> None:
        """Shows named figures beside the work done, such as `loss=1.5`."""


class Progress(Protocol):
    """Where long work reports; given to every recipe's `run`."""

    def stage(
        self, description: str, *, total: float | None, unit: str
    ) -> AbstractContextManager[Stage]:
        """Opens a stage of `total` units (None where it can't be known).

        Where nothing can be counted `unit` is empty.
        """

    def log(self, message: str) -> None:
        """Shows one line that stays."""


class _SilentStage:
    def advance(self, amount: float = 1) -> None:
        """Shows nothing."""

    def reach(self, share: float) -> None:
        """Shows nothing."""

    def update(self, **fields: str | float) -> None:
        """Shows nothing."""


class SilentProgress:
    """Shows nothing: for library use and tests."""

    @contextmanager
    def stage(self, description: str, *, total: float | None, unit: str) -> Iterator[Stage]:  # noqa: ARG002
        """Opens a stage that shows nothing."""
        yield _SilentStage()

    def log(self, message: str) -> None:
        """Drops the line."""
