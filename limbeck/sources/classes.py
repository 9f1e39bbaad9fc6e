"""What data sets declare of their classes: the names by number, as `datasets` writes them down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from limbeck.errors import DataError, shorten, shorten_names

_CARD: Final = "README.md"
_LEGACY: Final = "dataset_infos.json"


def class_names_of(features: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Returns the names by number of columns of classes, or of lists of them.

    Args:
        features: Those of `datasets`, by column; None where they are not known.
    """
    import datasets

    return {
        column: tuple(inner.names)
        for column, feature in (features or {}).items()
        for inner in [getattr(feature, "feature", feature)]  # of a list's items
        if isinstance(inner, datasets.ClassLabel)
    }


def read_class_names(folder: Path) -> dict[str, tuple[str, ...]]:
    """Returns what a folder of files, or the one that it lies in, declares beside them.

    Of several configurations counts the one that has the folder's name; else what all of them
    agree on.

    Raises:
        DataError: If the declaration can't be read.
    """
    for place in (folder, folder.absolute().parent):
        declarations = [path for path in (place / _CARD, place / _LEGACY) if _declares(path)]
        if declarations:
            return _agreed(_read_infos(declarations[0]), name=folder.absolute().name)
    return {}


def _declares(path: Path) -> bool:
    """Tells whether a file is a declaration, without what is heavy to import."""
    try:
        if path.name == _LEGACY:
            return path.is_file()
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:  # a folder that the data do not need, such as the parent's
        return False
    return text.startswith("---") and "dataset_info" in text.partition("\n---")[0]


def _read_infos(path: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    from datasets.info import DatasetInfosDict

    try:
        infos = DatasetInfosDict.from_directory(str(path.parent))
        return {name: class_names_of(info.features) for name, info in infos.items()}
    except Exception as error:  # of YAML, JSON, or types that the library does not know
        raise DataError(
            f"{path} declares the columns of the data beside it, but can't be read: "
            f"{shorten(str(error), length=200, quoted=False)}; correct or remove it"
        ) from error


def _agreed(
    by_config: Mapping[str, Mapping[str, tuple[str, ...]]], *, name: str
) -> dict[str, tuple[str, ...]]:
    if name in by_config:
        return dict(by_config[name])
    columns = {column for declared in by_config.values() for column in declared}
    found = {
        column: {declared[column] for declared in by_config.values() if column in declared}
        for column in columns
    }
    return {column: next(iter(names)) for column, names in found.items() if len(names) == 1}


def merge_class_names(
    declared: Iterator[tuple[str, Mapping[str, tuple[str, ...]]]],
) -> dict[str, tuple[str, ...]]:
    """Returns what the parts of a split declare together.

    Args:
        declared: The name of each part, and what it declares.

    Raises:
        DataError: If two of them name the classes of a column in another way.
    """
    found: dict[str, tuple[str, ...]] = {}
    origin: dict[str, str] = {}
    for part, names_by_column in declared:
        for column, names in names_by_column.items():
            if found.setdefault(column, names) != names:
                raise DataError(
                    f"{part} declares the classes of column '{column}' as "
                    f"{shorten_names(names)}, and {origin[column]} as "
                    f"{shorten_names(found[column])}: the same number means another class. Give "
                    "them as separate splits, or write names in place of numbers"
                )
            origin.setdefault(column, part)
    return found
