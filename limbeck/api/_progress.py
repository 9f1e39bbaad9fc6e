"""Where a call reports."""

from __future__ import annotations

import sys

from limbeck.terminal import NotebookProgress, in_notebook, open_progress
from limbeck.train import Progress, SilentProgress


def choose_progress(given: bool | Progress | None) -> Progress:  # noqa: FBT001 - it is no switch
    """Returns where a call reports.

    Args:
        given: True shows progress, False shows none, None shows it to whoever looks: on a terminal
            and in a notebook, not in a script whose output goes elsewhere.
    """
    if given is not None and not isinstance(given, bool):
        return given
    if in_notebook() and given is not False:
        return NotebookProgress()
    return open_progress() if given or (given is None and sys.stderr.isatty()) else SilentProgress()
