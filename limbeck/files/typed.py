"""Files with a type: frozen, versioned, and refused with the place of what is wrong in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from limbeck.errors import DataError, LimbeckError
from limbeck.files.json_objects import read_json, write_json


class Part(BaseModel):
    """A frozen value of a typed file; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TypedFile(Part):
    """A JSON file of a fixed name in a folder.

    Example:
        >>> class Note(TypedFile):
        ...     FILE_NAME = "note.json"
        ...     REMEDY = "write {folder} again"
        ...     text: str
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> Note(text="hello").write(folder).text
        'hello'
        >>> Note.read(folder)
        Note(text='hello')
    """

    FILE_NAME: ClassVar[str]
    """Name of the file."""
    FORMAT: ClassVar[int] = 1
    """Version of the layout; a change that old files do not fit makes it one more."""
    FORMAT_KEY: ClassVar[str] = "format"
    """Where the version stands in the file."""
    REMEDY: ClassVar[str]
    """What helps against a file that can't be used; `{folder}` is where it lies."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, the version first."""
        return {self.FORMAT_KEY: self.FORMAT, **self.model_dump(mode="json")}

    def write(self, folder: Path, *, error: type[LimbeckError] | None = DataError) -> Self:
        """Writes the file atomically and returns what was written.

        Args:
            folder: Where to; made if it does not exist.
            error: What is raised where it can't be written, as for `replace_file`.
        """
        write_json(folder / self.FILE_NAME, self.to_dict(), error=error)
        return self

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Tells whether a folder has such a file."""
        return (folder / cls.FILE_NAME).exists()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the file.

        Raises:
            DataError: If it is not there, not JSON, of another version, or a field is wrong; the
                message names the file, the field and what helps.
        """
        path, key = folder / cls.FILE_NAME, cls.FORMAT_KEY
        remedy = cls.REMEDY.format(folder=folder)
        values = read_values(path, remedy=remedy)
        version = values.pop(key, None)
        if version != cls.FORMAT:
            age = "a newer" if isinstance(version, int) and version > cls.FORMAT else "an older"
            found = f"no {key}" if version is None else f"{key} {version}"
            raise DataError(
                f"{path} has {found}, that of {age} Limbeck; this version reads {key} "
                f"{cls.FORMAT}: {remedy}"
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise DataError(f"{path} is damaged: {_explain(error)}; {remedy}") from None


def read_values(path: Path, *, remedy: str) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Raises:
        DataError: If it can't be read; the message ends with what helps.
    """
    try:
        return read_json(path, error=DataError)
    except DataError as error:
        raise DataError(f"{str(error).rstrip('.')}; {remedy}") from error.__cause__


def _explain(error: ValidationError) -> str:
    """Describes the first of the fields that are wrong, by its place."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"it lacks {place}"
    if first["type"] == "extra_forbidden":
        return f"there is no field '{place}'"
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else said
