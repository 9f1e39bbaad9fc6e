"""`python -m limbeck`, the same as `limbeck`."""

from __future__ import annotations

import signal
import sys

_INTERRUPTED = 130


def run() -> int:
    """Runs the command line; Ctrl-C ends it without a traceback while it is still imported, too."""
    try:
        from limbeck.cli import main

        code = main()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        # Another Ctrl-C ends the process at once, without a traceback of its clearing up. Not in
        # `main`, which may be called in a process that goes on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code


if __name__ == "__main__":
    sys.exit(run())
