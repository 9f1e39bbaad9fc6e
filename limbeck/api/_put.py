"""What was in memory, put into a run's folder once; a run that was begun keeps what it has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from limbeck.errors import DataError
from limbeck.files import own_folder, partial_path, sha256_of
from limbeck.runs import RunRecord


def put(target: Path, write: Callable[[Path], object], *, out: Path) -> None:
    """Writes a file or folder of a run's folder, unless just that is there.

    Args:
        target: The file or folder.
        write: Writes it to the path that it is given.
        out: The run's folder.

    Raises:
        DataError: If a run has been begun there with something else.
        FolderInUseError: If a run is under way there.
    """
    with own_folder(out, work="a call of limbeck"):
        fresh = partial_path(target)
        _remove(fresh)
        try:
            write(fresh)
            if target.exists() and RunRecord.exists(out):
                if _checksums(fresh) != _checksums(target):
                    raise DataError(
                        f"{out} holds a run that was begun with another {target.stem} than the one "
                        f"given now; give another out=..., or remove {out} to start over"
                    )
                return
            _remove(target)
            fresh.replace(target)
        finally:
            _remove(fresh)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _checksums(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file.relative_to(path)): sha256_of(file) for file in files}
