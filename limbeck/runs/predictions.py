"""What a model predicted of each example: `predictions.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path

from limbeck.errors import DataError
from limbeck.files import read_json_lines, sha256_of, write_json_lines
from limbeck.tasks import Record

PREDICTIONS_FILE = "predictions.jsonl"


def write_predictions(folder: Path, records: Mapping[str, Sequence[Record]]) -> str:
    """Writes one line an example of each split, and returns the file's SHA-256.

    Raises:
        DataError: If the file can't be written.
    """
    path = folder / PREDICTIONS_FILE
    rows = ({"split": split, **record} for split, values in records.items() for record in values)
    write_json_lines(path, rows, error=DataError)
    return sha256_of(path)


def read_predictions(folder: Path, split: str, *, sha256: str) -> list[Record]:
    """Reads the labelled predictions of a split, in the order of the examples.

    Args:
        folder: The folder of a seed, or of an evaluation.
        split: The split.
        sha256: What its record says that the file's is.

    Raises:
        DataError: If the file is missing, damaged or of another run, or has none of the split.
    """
    path = folder / PREDICTIONS_FILE
    if not path.exists():
        raise DataError(f"{path} is missing; run that seed or evaluation again, which writes it")
    if sha256_of(path) != sha256:
        raise DataError(
            f"{path} differs from its checksum in result.json: it was changed, or the folder "
            "mixes two runs; run it again"
        )
    rows = read_json_lines(path, error=DataError)
    found = [row for row in rows if row.get("split") == split and row.get("label") is not None]
    if not found:
        raise DataError(f"{path} has no labelled prediction of the split '{split}'")
    return sorted(found, key=itemgetter("index"))


def find_difference(records: Sequence[Record], others: Sequence[Record]) -> str | None:
    """Says in what examples two lists of predictions differ, or returns None."""
    if len(records) != len(others):
        return f"{len(records)} predictions against {len(others)}"
    for record, other in zip(records, others, strict=True):
        index, label = itemgetter("index", "label")(record)
        other_index, other_label = itemgetter("index", "label")(other)
        if index != other_index:
            return "the indices differ"
        if label != other_label:
            return f"example {index} has label {label} against {other_label}"
    return None
