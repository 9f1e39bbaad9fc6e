"""`python -m limbeck`, the same as `limbeck`."""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def run() -> int:
    """Runs the command line; Ctrl-C ends it without a traceback while it is still imported, too."""
    try:
        from limbeck.cli import main

        return main()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(run())
