"""Files with a type: frozen, versioned, sealed; what is wrong in them is named by its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from limbeck.errors import DataError, LimbeckError
from limbeck.files.checksums import sha256_of_texts
from limbeck.files.json_objects import find_not_finite, read_json, write_json

SEAL = "checksum"
"""Where a file says what the checksum of all else in it is."""


class Part(BaseModel):
    """A frozen value of a typed file; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TypedFile(Part):
    """A JSON file of a fixed name in a folder, with a checksum over its values.

    A value that was damaged is most often still a value, such as a 3 for a 1. A file without a
    checksum is taken as it is: by hand, nobody writes one.

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
        write_json(folder / self.FILE_NAME, seal(self.to_dict()), error=error)
        return self

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Tells whether a folder has such a file."""
        return (folder / cls.FILE_NAME).exists()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the file.

        Raises:
            DataError: If it is not there, not JSON, of another version, a field is wrong or its
                checksum is another; the message names the file, the field and what helps.
        """
        path, key = folder / cls.FILE_NAME, cls.FORMAT_KEY
        remedy = cls.REMEDY.format(folder=folder)
        sealed = read_json(path, error=DataError, remedy=remedy)
        values = {name: value for name, value in sealed.items() if name != SEAL}
        version = values.pop(key, None)
        if version != cls.FORMAT:
            age = "a newer" if isinstance(version, int) and version > cls.FORMAT else "an older"
            given = f"no {key}" if version is None else f"{key} {version}"
            raise DataError(
                f"{path} has {given}, that of {age} Limbeck; this version reads {key} "
                f"{cls.FORMAT}: {remedy}"
            )
        try:
            found = cls.model_validate(values)
        except ValidationError as error:
            raise DataError(f"{path} is damaged: {_explain(error)}; {remedy}") from None
        for name, number in find_not_finite(sealed):
            raise DataError(f"{path} is damaged: {name} is {number}; {remedy}")
        require_seal(sealed, path=path, remedy=remedy, error=DataError)
        return found


def seal(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns plain JSON values with their checksum, which stands last.

    Example:
        >>> sealed = seal({"text": "hello"})
        >>> list(sealed)
        ['text', 'checksum']
        >>> seal(sealed) == sealed
        True
    """
    bare = {name: value for name, value in values.items() if name != SEAL}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return {**bare, SEAL: sha256_of_texts([text])}


def require_seal(
    values: Mapping[str, Any], *, path: Path, remedy: str, error: type[LimbeckError]
) -> None:
    """Refuses values that are not those that were sealed; without a checksum any are taken.

    Args:
        values: What was read.
        path: Where from.
        remedy: What helps.
        error: What is raised.

    Raises:
        error: If the values give another checksum than the one that stands beside them.
    """
    if SEAL in values and seal(values)[SEAL] != values[SEAL]:
        raise error(
            f"{path} is damaged: its values differ from its {SEAL}; {remedy}. If you changed it "
            f"yourself, remove its line '{SEAL}'"
        )


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
