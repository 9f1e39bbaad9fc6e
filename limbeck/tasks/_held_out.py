"""Validation that is held out of the training split, where a data set has none."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from limbeck.config import Settings
from limbeck.errors import DataError
from limbeck.sources import Data, Row, SplitRows, read_splits
from limbeck.tasks._examples import Split


class DataSettings(Settings):
    """What is held out of the training split."""

    validation_ratio: float | None = Field(default=None, gt=0, lt=1)
    """Share of the training rows to hold out for validation, where the data have no validation
    split; `data` may be a single file then. Rows of one text stay together."""
    validation_seed: int = Field(default=0, ge=0)
    """Decides which rows are held out."""


def read_rows(
    data: Data, settings: DataSettings, *, document: Callable[[Row], object], suffix: str = ""
) -> dict[str, SplitRows]:
    """Reads the rows of a data set, and holds validation out of them if that is asked for.

    Args:
        data: The data set.
        settings: Whether, how many, and which.
        document: Returns what a row is about, its text most often: rows that are about the same are
            held out together, or the model would be scored on texts that it was trained on.
        suffix: What the names of the splits may end in.

    Raises:
        DataError: If the data can't be read, or all rows are about the same.
    """
    ratio = settings.validation_ratio
    if ratio is not None and isinstance(data, str | Path) and Path(data).is_file():
        data = {"train": data}
    splits = read_splits(data, suffix=suffix)
    if ratio is None or "validation" in splits or "train" not in splits:
        return splits
    train = splits.pop("train")
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(train.rows):
        groups[_normalise(document(row))].append(number)
    if len(groups) < 2:
        raise DataError(
            f"{train.where}: all {len(train.rows):,} rows have the same text, so that none can be "
            "held out for validation; give a validation split with data.validation=FILE"
        )
    count = min(round(ratio * len(train.rows)), len(train.rows) - 1)
    chosen = _choose(groups, count=count, seed=settings.validation_seed)
    kept = [row for number, row in enumerate(train.rows) if number not in chosen]
    held_out = [row for number, row in enumerate(train.rows) if number in chosen]
    return {
        "train": replace(train, rows=kept),
        "validation": replace(train, rows=held_out, is_held_out=True),
        **splits,
    }


def count_held_out(rows: Mapping[str, SplitRows], splits: Mapping[str, Split]) -> int:
    """Returns how many examples of validation were held out of the training split."""
    return sum(
        len(splits[name].examples) for name, of_split in rows.items() if of_split.is_held_out
    )


def _choose(groups: Mapping[str, list[int]], *, count: int, seed: int) -> set[int]:
    """Returns the rows to hold out: no more than `count`, but at least those of one text.

    Which text comes first depends on it and the seed alone, so that a row that is added or moved
    leaves the others where they are, but for the last few.
    """

    def rank(text: str) -> bytes:
        return hashlib.sha256(f"{seed} {text}".encode("utf-8", "surrogatepass")).digest()

    chosen: set[int] = set()
    for text in sorted(groups, key=rank):
        if len(chosen) + len(groups[text]) <= count:
            chosen.update(groups[text])
    smallest: list[int] = min(groups.values(), key=len)
    return chosen or set(smallest)


def _normalise(document: object) -> str:
    """Returns a text without what makes two of them differ for the eye alone."""
    words = document if isinstance(document, list) else [document]
    return " ".join(" ".join(map(str, words)).casefold().split())
