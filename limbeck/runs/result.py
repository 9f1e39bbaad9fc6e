"""What all results have in common: `result.json`, whose presence says that a run is complete."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from limbeck.errors import DataError
from limbeck.files import read_json
from limbeck.files.typed import TypedFile
from limbeck.runs.run import RunRecord

RESULT_FILE = "result.json"
REMEDY = "run it again, after removing {folder} or with another out=..."


class ResultRecord(TypedFile):
    """What came of a run; every recipe has its own."""

    FILE_NAME: ClassVar[str] = RESULT_FILE
    REMEDY: ClassVar[str] = REMEDY

    recipe: str
    """Name of the recipe."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result as it stands in a run folder that was moved.

        Args:
            old: The folder as the paths in it name it.
            new: The folder now.
        """
        del old, new
        return self

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the result of a finished run.

        Raises:
            DataError: If the folder is missing, its run has not finished or is of another recipe,
                or the file can't be used.
        """
        recipe, wanted = read_recipe(folder), cls.model_fields["recipe"].default
        if recipe != wanted:
            raise DataError(f"{folder} holds a run of '{recipe}', not of '{wanted}'")
        return super().read(folder)


def move_path(path: str, old: Path, new: Path) -> str:
    """Returns a path within a folder that was moved; another one as it is.

    Example:
        >>> move_path("runs/a/model", Path("runs/a"), Path("b"))
        'b/model'
    """
    return str(new / Path(path).relative_to(old)) if Path(path).is_relative_to(old) else path


def read_recipe(folder: Path) -> object:
    """Returns which recipe a finished run is of, as its result says.

    Raises:
        DataError: If the folder is missing, its run has not finished, or the file can't be read.
    """
    if not folder.is_dir():
        raise DataError(f"there is no run folder {folder}")
    if not (folder / RESULT_FILE).exists():
        state = "has not finished" if RunRecord.exists(folder) else "is not a run folder"
        raise DataError(
            f"{folder} has no {RESULT_FILE}: it {state}; start it again with the same settings "
            "to let it finish"
        )
    remedy = REMEDY.format(folder=folder)
    return read_json(folder / RESULT_FILE, error=DataError, remedy=remedy).get("recipe")
