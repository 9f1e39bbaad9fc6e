"""What an exported folder says of itself, in `export.json` beside its `config.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from limbeck.files import sha256_of
from limbeck.files.typed import TypedFile


class ExportInfo(TypedFile):
    """How a model that was exported is run: enough for an engine that reads no weights of ours."""

    FILE_NAME: ClassVar[str] = "export.json"
    REMEDY: ClassVar[str] = "export the model again"

    target: str
    """What it was exported to, as `limbeck list targets` shows it."""
    engine: str | None
    """What runs it, as `limbeck list engines` shows it; None for what is run elsewhere only."""
    precision: str
    """Type of its weights: fp32, fp16, int8 or int4."""
    kind: str
    """Which head it has, by the name of `limbeck.models.Kind`."""
    inputs: tuple[str, ...]
    """Names of its inputs, in order."""
    outputs: tuple[str, ...]
    """Names of its outputs, in order."""
    max_tokens: int | None
    """Longest row in tokens; None where any length is taken."""
    token_buckets: tuple[int, ...] | None = None
    """The only lengths of rows that it takes, in tokens; None where every length is taken."""
    files: dict[str, str]
    """SHA-256 of each file that the engine reads, by its path within the folder; what is run comes
    first."""
    made_with: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries that wrote it, and of the format."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the target chose, such as the layers that stayed in float."""

    def changed_file(self, folder: Path) -> str | None:
        """Returns the first of its files that is missing or another than was written; or None."""
        for name, checksum in self.files.items():
            path = folder / name
            if not path.is_file() or sha256_of(path) != checksum:
                return name
        return None
