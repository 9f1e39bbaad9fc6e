"""What an exported folder says of itself, in `export.json` beside its `config.json`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator

from limbeck.errors import CheckpointError, shorten
from limbeck.files import sha256_of
from limbeck.files.typed import TypedFile
from limbeck.system_errors import raised_as

_FORMATS: Final = {
    "onnx": ("onnxruntime", "fp32"),
    "openvino": ("openvino", "fp32"),
    "litert": ("litert", "fp32"),
    "executorch": ("executorch", "fp32"),
    "coreml": (None, "fp16"),
    "torch_export": (None, "fp32"),
    "web": ("onnxruntime", "int8"),
    "sparse": ("torch", "int8"),
}
"""What runs each format here, and the type of weights where the target's name says no other."""
_PRECISIONS: Final = ("fp32", "fp16", "int8", "int4", "int2")


class ExportInfo(TypedFile):
    """How a model that was exported is run: enough for an engine that reads no weights of ours."""

    FILE_NAME: ClassVar[str] = "export.json"
    REMEDY: ClassVar[str] = "export the model again"

    target: str
    """What it was exported to, as `limbeck list targets` shows it."""
    engine: str | None
    """What runs it, as `limbeck list engines` shows it; None for what is run elsewhere only."""
    precision: str
    """Type of its weights: fp32, fp16, int8, int4 or int2."""
    kind: str
    """Which head it has, by the name of `limbeck.models.Kind`."""
    inputs: tuple[str, ...]
    """Names of its inputs, in order."""
    outputs: tuple[str, ...]
    """Names of its outputs, in order."""
    max_tokens: int | None = Field(ge=1)
    """Longest row in tokens; None where any length is taken."""
    token_buckets: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """The only lengths of rows that it takes, in tokens; None where every length is taken."""
    files: dict[str, str] = Field(min_length=1)
    """SHA-256 of each file that the engine reads, by its path within the folder; what is run comes
    first."""
    made_with: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries that wrote it, and of the format."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the target chose, such as the layers that stayed in float."""

    @field_validator("files")
    @classmethod
    def _require_within(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if leads_out(name):
                raise ValueError(
                    f"{shorten(name)} is outside its folder, where nothing is opened; accepted: "
                    "files of the folder"
                )
        return files

    @model_validator(mode="after")
    def _require_one_story(self) -> Self:
        """Refuses an engine or a precision that the target does not have."""
        words = self.target.split("_")
        known = next((_FORMATS[name] for name in _FORMATS if _begins(self.target, name)), None)
        if known is None:  # of a later version
            return self
        engine, precision = known
        precision = next((word for word in words if word in _PRECISIONS), precision)
        for name, given, wanted in (
            ("engine", self.engine, engine),
            ("precision", self.precision, precision),
        ):
            if given != wanted:
                raise ValueError(
                    f"target = {self.target!r} has {name} = {wanted!r}, and {given!r} is given"
                )
        return self

    def changed_file(self, folder: Path) -> str | None:
        """Returns the first of its files that is missing or another than was written; or None.

        Raises:
            CheckpointError: If one can't be read.
        """
        for name, checksum in self.files.items():
            path = folder / name
            with raised_as(CheckpointError, path, writes=False):
                if not path.is_file() or sha256_of(path) != checksum:
                    return name
        return None


def _begins(target: str, name: str) -> bool:
    return target == name or target.startswith(f"{name}_")


def leads_out(name: str) -> bool:
    """Tells whether the name of a file that a folder's own file gives leads out of the folder.

    Example:
        >>> [leads_out(name) for name in ("onnx/model.onnx", "../model.onnx", "/model.onnx")]
        [False, True, True]
    """
    pure = PurePosixPath(name)
    return (
        not name
        or pure.is_absolute()
        or ".." in pure.parts
        or bool(PureWindowsPath(name).drive)
        or "\\" in name
        or "\0" in name
    )
