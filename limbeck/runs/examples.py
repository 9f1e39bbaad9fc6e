"""What the examples of a task were when its first run finished: `examples.json`."""

from __future__ import annotations

from typing import ClassVar

from limbeck.files.typed import TypedFile


class ExamplesRecord(TypedFile):
    """The examples of a task of a suite."""

    FILE_NAME: ClassVar[str] = "examples.json"
    REMEDY: ClassVar[str] = "remove {folder} to run the task again"

    splits: dict[str, str]
    """For each split, the SHA-256 over its examples and labels."""
