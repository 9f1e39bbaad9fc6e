"""What a build or a check reports to where nobody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limbeck.train.progress import Progress


def make_silent_progress() -> Progress:
    """Returns a progress that shows nothing.

    Its room imports torch, for which a corpus command, which brings a progress of its own, should
    not have to wait.
    """
    from limbeck.train.progress import SilentProgress

    return SilentProgress()
