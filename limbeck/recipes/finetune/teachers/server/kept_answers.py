"""What a server has answered, on disk: a line an answer, so that nothing is asked or paid twice."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from limbeck.errors import CheckpointError
from limbeck.files import crc32_of, parse_json, sha256_of_texts
from limbeck.system_errors import raised_as
from limbeck.train import Progress

FILE_NAME: Final = "answers.jsonl"
_CHECKSUM = "checksum"


def name_request(url: str, body: Mapping[str, Any]) -> str:
    """Returns by what an answer is known: the checksum of what was asked, and of whom."""
    return sha256_of_texts([url, "\n", json.dumps(body, sort_keys=True, ensure_ascii=True)])


class KeptAnswers(Mapping[str, Any]):
    """The answers in a folder by the name of their request, and those that come in.

    A line that was cut by a kill or damaged is left out, and asked again.

    Args:
        folder: Where they are; teachers, tasks and runs may share it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._found: dict[str, Any] = {}
        self._writing = threading.Lock()
        self._is_cut = False  # the last line, by a kill or a full disk
        self.num_damaged = 0
        self._read()

    def __getitem__(self, name: str) -> Any:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @contextmanager
    def own(self, progress: Progress) -> Iterator[None]:
        """Lets no other process ask meanwhile; what one before has asked is read first.

        Raises:
            CheckpointError: If the folder can't be written.
        """
        with raised_as(CheckpointError, self._path, writes=True):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_suffix(".lock"))
            try:
                lock.acquire(blocking=False)
            except Timeout:
                progress.log(f"{self._path}: waiting for another process, which asks just now")
                lock.acquire()
        try:
            self._read()
            if self.num_damaged:
                lines = "line" if self.num_damaged == 1 else "lines"
                progress.log(
                    f"{self._path}: {self.num_damaged:,} {lines} cut or damaged, asked again"
                )
            yield
        finally:
            lock.release()

    def add(self, answers: Mapping[str, Any]) -> None:
        """Keeps answers before anything else is done with them.

        Raises:
            CheckpointError: If they can't be written.
        """
        lines = "".join(_seal(name, answer) for name, answer in answers.items()).encode()
        with self._writing, raised_as(CheckpointError, self._path, writes=True):
            with self._path.open("ab") as file:
                start, self._is_cut = b"\n" * self._is_cut, True
                file.write(start + lines)
                file.flush()
                os.fsync(file.fileno())
            self._is_cut = False
            self._found.update(answers)

    def _read(self) -> None:
        self._found, self.num_damaged, self._is_cut = {}, 0, False
        if not self._path.exists():
            return
        with raised_as(CheckpointError, self._path, writes=False), self._path.open("rb") as file:
            for line in file:
                row, self._is_cut = _open_seal(line), not line.endswith(b"\n")
                if row is None:
                    self.num_damaged += bool(line.strip())
                else:
                    self._found[row["request"]] = row["answer"]


def _seal(name: str, answer: Any) -> str:
    row = {"request": name, "answer": answer}
    return json.dumps({**row, _CHECKSUM: crc32_of(row)}) + "\n"


def _open_seal(line: bytes) -> dict[str, Any] | None:
    """Returns a line's row; None where it is not what was written."""
    try:
        row = parse_json(line.decode())
    except ValueError:
        return None
    if not isinstance(row, dict) or row.keys() != {"request", "answer", _CHECKSUM}:
        return None
    checksum = row.pop(_CHECKSUM)
    return row if crc32_of(row) == checksum else None
