"""The splits of a data set: train, validation, test, transfer, wherever each comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from limbeck.errors import DataError, did_you_mean, shorten, shorten_names
from limbeck.sources.classes import merge_class_names
from limbeck.sources.files import FileSource, expand_glob, formats_by_ending, open_file
from limbeck.sources.hub import PREFIX, DatasetSource, HubAddress
from limbeck.sources.memory import open_rows
from limbeck.sources.opening import COMPRESSIONS
from limbeck.sources.rows import Row, RowSource

Data: TypeAlias = str | Path | Mapping[str, str | Path | Iterable[Any]]
"""A folder with train, validation and test files, `hf://owner/name[:config]`, or for each split a
file, a glob, `hf://owner/name[:config]#split` or rows in memory, also as a frame."""

_SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
    "transfer": ("transfer", "unlabelled", "unlabeled", "unsupervised"),
}


def name_split(found: str, *, suffix: str = "") -> str | None:
    """Returns what a split is called here, such as `validation` for `dev`; None if it is none.

    Args:
        found: Its name in a data set.
        suffix: What the name may end in.
    """
    stem = found.removesuffix(suffix)
    return next((name for name, stems in _SPLIT_NAMES.items() if stem in stems), None)


@dataclass(frozen=True)
class SplitRows:
    """The rows of one split.

    Attributes:
        where: The files or the data set, for messages.
        rows: In the order of the source.
        class_names: For columns of classes, as data sets declare them: the names by number.
        is_held_out: Whether these are rows of another split, held out of it.
    """

    where: str
    rows: list[Row]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_held_out: bool = False


def read_splits(data: Data, *, suffix: str = "") -> dict[str, SplitRows]:
    """Reads all splits of a data set.

    Args:
        data: Where the rows are; see `Data`.
        suffix: What names of splits may end in: `_matched` takes `validation_matched` too.

    Raises:
        DataError: If there is nothing to read, a row is malformed, or a split is empty.
    """
    if isinstance(data, Path):
        data = str(data)
    if isinstance(data, Mapping):
        sources = {name: _open_split(name, given) for name, given in data.items()}
    elif not isinstance(data, str):
        raise DataError(
            f"data is {type(data).__name__} {shorten(str(data))}, which does not say of which "
            'split; give {"train": ..., "validation": ...}, a folder, or '
            f"{PREFIX}owner/name"
        )
    elif data.startswith(PREFIX):
        sources = _open_hub(HubAddress.parse(data), suffix=suffix)
    else:
        sources = {
            name: _open_files(files)
            for name, files in _files_by_split(Path(data), suffix=suffix).items()
        }
    return {name: _read(name, parts) for name, parts in sources.items()}


def read_parts(
    data: Data, *, names: Sequence[str], splits_folder: str
) -> tuple[dict[str, SplitRows], dict[str, SplitRows]]:
    """Reads a data set whose splits refer to what all of them share, such as a corpus.

    Args:
        data: A folder, or each part and each split by its name, as for `read_splits`.
        names: The shared parts; all must be there.
        splits_folder: The folder within the folder where the splits are; if there is none, they
            stand beside the parts.

    Returns:
        The parts, and the splits.

    Raises:
        DataError: As `read_splits`, or if a part is missing.
    """
    if isinstance(data, Mapping):
        parts = {name: _open_given(name, data[name]) for name in names if name in data}
        splits: Data = {name: given for name, given in data.items() if name not in names}
    elif isinstance(data, str | Path) and not str(data).startswith(PREFIX):
        folder = Path(data)
        _require_folder(folder, names, splits_folder)
        parts = {
            name: _open_files(files)
            for name, files in _find_files(folder, {name: (name,) for name in names}).items()
        }
        splits = folder / splits_folder if (folder / splits_folder).is_dir() else folder
    else:
        raise DataError(
            f"data = {shorten(str(data))} can't be read as parts; accepted: a folder with "
            f"{', '.join(names)} and {splits_folder}, or each by its name, such as "
            f"data.{names[0]}=FILE"
        )
    for name in names:
        if name not in parts:
            raise DataError(
                f"{_describe(data)} has no {name}; it needs {', '.join(names)} and a split, such "
                f"as {names[0]}.jsonl in a folder or data.{names[0]}=FILE"
            )
    if not splits:
        raise DataError(
            f"{_describe(data)} has no split; accepted: {', '.join(_SPLIT_NAMES)}, such as "
            "data.test=FILE"
        )
    found = {name: _read(name, sources) for name, sources in parts.items()}
    return found, read_splits(splits)


def _require_folder(folder: Path, names: Sequence[str], splits_folder: str) -> None:
    if not folder.is_dir():
        kind = "a single file" if folder.is_file() else "not there"
        raise DataError(
            f"data = '{folder}' is {kind}; give a folder with "
            f"{', '.join(f'{name}.jsonl' for name in names)} and {splits_folder}/test.tsv, or each "
            f"by its name, such as data.{names[0]}=FILE"
        )


def _describe(data: Data) -> str:
    return f"data ({', '.join(data) or 'empty'})" if isinstance(data, Mapping) else str(data)


def _read(name: str, sources: Sequence[RowSource]) -> SplitRows:
    where = ", ".join(source.name for source in sources)
    rows: list[Row] = []
    for source in sources:
        for row in source.rows():
            if row.problem:
                raise DataError(row.problem)
            rows.append(row)
    if not rows:
        split = f"{where} ({name})" if where != name else name
        raise DataError(f"{split} has no rows; give at least one")
    class_names = merge_class_names((source.name, source.class_names) for source in sources)
    return SplitRows(where, rows, class_names)


def _open_split(name: str, given: str | Path | Iterable[Any]) -> Sequence[RowSource]:
    """Returns the sources of one split that stands under its name."""
    if name not in _SPLIT_NAMES:
        raise DataError(
            f"data.{name}: there is no split of that name; accepted: {', '.join(_SPLIT_NAMES)}."
            + did_you_mean(name, _SPLIT_NAMES)
        )
    return _open_given(name, given)


def _open_given(name: str, given: str | Path | Iterable[Any]) -> Sequence[RowSource]:
    """Returns the sources of what stands under a name."""
    if isinstance(given, Path):
        given = str(given)
    if not isinstance(given, str):
        return [open_rows(name, given)]
    if given.startswith(PREFIX):
        splits = _open_hub(HubAddress.parse(given))
        if len(splits) != 1:
            raise DataError(f"'{given}' does not say which split; write {given}#train, for example")
        return next(iter(splits.values()))
    path = Path(given)
    files = [path] if path.is_file() else expand_glob(given)
    if not files:
        raise DataError(f"'{given}' is neither a file nor a glob that matches one")
    return _open_files(files)


def _open_files(files: Sequence[Path]) -> list[FileSource]:
    return [open_file(path, reader="tasks") for path in files]


def _open_hub(address: HubAddress, *, suffix: str = "") -> dict[str, Sequence[RowSource]]:
    """Returns the splits that are train, validation or test, or the one that the address names."""
    loaded = address.load()
    if address.split:
        return {address.split: [DatasetSource(str(address), loaded)]}
    parts: dict[str, Sequence[RowSource]] = {
        name: [DatasetSource(f"{address}#{name}", loaded[found])]
        for name, stems in _SPLIT_NAMES.items()
        for found in list(loaded)
        if found.removesuffix(suffix) in stems
    }
    if not parts:
        raise DataError(
            f"{address} has the splits {shorten_names(loaded)}; say which is which, such as "
            f"data.validation={address}#{next(iter(loaded))}"
        )
    return parts


@cache
def _file_pattern() -> re.Pattern[str]:
    """Returns what names of files are split into: `train-00-of-03.jsonl.gz`."""
    endings = "|".join(ending.removeprefix(".") for ending in formats_by_ending("tasks"))
    compressions = "|".join(map(re.escape, COMPRESSIONS))
    return re.compile(
        r"(?P<stem>[^.]+?)(-(?P<number>\d+)(-of-(?P<count>\d+))?)?"
        rf"\.(?P<format>{endings})({compressions})?"
    )


def _files_by_split(folder: Path, *, suffix: str) -> dict[str, list[Path]]:
    """Returns the files of each split of a folder, by their names."""
    if not folder.is_dir():
        kind = "a single file" if folder.is_file() else "not there"
        raise DataError(
            f"data = '{folder}' is {kind}; give a folder with train, validation and test files, "
            f"one file per split (data.train={folder}), a file of which a part is held out "
            f"(task_options.validation_ratio=0.1), or a Hub data set ({PREFIX}owner/name)"
        )
    found = _find_files(folder, _SPLIT_NAMES, suffix=suffix)
    if not found:
        names = sorted(path.name for path in folder.iterdir())
        raise DataError(
            f"{folder} has no train, validation or test file (it has: "
            f"{shorten_names(names, count=10)}); expected names are train.jsonl, "
            "validation.csv, test.tsv.gz and the like, or give data.train=FILE"
        )
    return found


def _find_files(
    folder: Path, stems: Mapping[str, Sequence[str]], *, suffix: str = ""
) -> dict[str, list[Path]]:
    """Returns the files of each part of a folder, by what their names may begin with."""
    names = sorted(path.name for path in folder.iterdir())
    named = [match for name in names if (match := _file_pattern().fullmatch(name))]
    found: dict[str, list[Path]] = {}
    for part, accepted in stems.items():
        matches = [match for match in named if match["stem"].removesuffix(suffix) in accepted]
        if matches:
            _require_one_set(matches, folder=folder, split=part)
            found[part] = [folder / match.string for match in matches]
    return found


def _require_one_set(matches: list[re.Match[str]], *, folder: Path, split: str) -> None:
    """Refuses files that are neither one file nor all the shards of one."""
    numbers = [match["number"] for match in matches]
    kinds = {(match["stem"], match["format"], match["count"]) for match in matches}
    is_one = len(matches) == 1 or (None not in numbers and len(set(numbers)) == len(numbers))
    if len(kinds) > 1 or not is_one:
        names = shorten_names(match.string for match in matches)
        raise DataError(
            f"{folder} has several files for {split}: {names}; say which with data.{split}=FILE"
        )
    if matches[0]["count"] is None:
        return
    count, present = int(matches[0]["count"]), {int(number) for number in numbers}
    missing = set(range(count)) - present
    if missing and present != set(range(1, count + 1)):  # some count from 1
        raise DataError(
            f"{folder} has {len(matches)} of the {count} shards of {split}: no number "
            f"{shorten_names(sorted(missing), count=10)}; add what is missing, or "
            f"give what there is with data.{split}='{folder}/{matches[0]['stem']}-*'"
        )
