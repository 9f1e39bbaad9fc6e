"""Failed writes of a corpus, explained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limbeck.errors import DataError
from limbeck.system_errors import explain


@contextmanager
def explain_failed_writes(out: Path) -> Iterator[None]:
    """Turns the system's errors in the block, such as a full disk, into one that names the folder.

    Raises:
        DataError: If a file or the folder can't be written.
    """
    try:
        yield
    except BrokenPipeError:  # of the terminal that showed the progress
        raise
    except OSError as error:  # readers explain their own
        raise DataError(
            f"{explain(error, path=out, writes=True)}. When that is mended, the same build "
            "continues where it stopped"
        ) from error
