"""What a teacher that is no model says of a text, as the logits that losses compare.

A row says one of these, whatever else it holds:

- `probabilities` or `scores`: one for each label, a list in the labels' order or an object by name;
- `logits`: the same before a softmax, or before a sigmoid where a text may have several labels;
- `label`, or `labels` where there may be several, with its `confidence` or `score` if it has one;
- `score` or `prediction`: a number, for a task that predicts numbers.

A label with confidence c has the probability c and the k - 1 others share the rest equally; without
one it is certain. Certain means a probability of all but a millionth, which has finite logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from limbeck.errors import DataError, SettingsError, shorten, shorten_names
from limbeck.files import parse_json
from limbeck.metrics import Classes, LabelSets, Numbers
from limbeck.sources import Row
from limbeck.tasks import LabelSet, Task

_LEAST = 1e-6
"""Probability of what is ruled out: at a temperature of 2 it still counts as 0.1 %."""
_TOLERANCE = 0.01
"""What a sum of probabilities may be off 1: they may have been rounded to two digits."""
_LARGEST = 1e18
"""What a float32 holds the square of, which losses take."""
_PROBABILITIES = ("probabilities", "scores")
_LABELS = ("label", "labels")
_CONFIDENCES = ("confidence", "score")
_NUMBERS = ("score", "prediction")

Logits = tuple[float, ...]
"""One for each of the task's labels in their order, or the number alone."""


@dataclass(frozen=True, kw_only=True)
class AnswerReader:
    """Reads what is said of a text.

    Attributes:
        task: Its labels are matched by name.
        labels: Those of the task.
    """

    task: Task
    labels: LabelSet

    @classmethod
    def of(cls, task: Task, *, renamed: Mapping[str, str], teacher: str) -> AnswerReader:
        """Returns the reader for a task.

        Args:
            task: The task.
            renamed: Labels that are read as others.
            teacher: What is read, for the message.

        Raises:
            SettingsError: If such answers are of no use to the task.
        """
        if task.predictions not in (Classes, LabelSets, Numbers):
            raise SettingsError(
                f"teacher = {teacher} says something of whole texts, but {task.name} asks for more "
                "than that; accepted: a task of classes, of several labels, or of numbers, or a "
                "model as teacher"
            )
        return cls(task=task, labels=LabelSet(task.labels, renamed=renamed))

    def read(self, row: Row) -> Logits:
        """Returns what a row says.

        Raises:
            DataError: If it says nothing, or what can't be meant.
        """
        if self.task.predictions is Numbers:
            return (self._number(row),)
        for column in (*_PROBABILITIES, "logits"):
            if is_given(row, column):
                values = self._by_label(row, column)
                return values if column == "logits" else self._of_probabilities(row, column, values)
        for column in _LABELS:
            if is_given(row, column):
                return self._of_label(row, column)
        raise DataError(
            f"{row.place}: says nothing of its text; accepted: probabilities (a list in the order "
            f"{shorten_names(self.task.labels)}, or an object by name), logits, or a label with "
            f"its confidence; it has: {shorten_names(row.values)}"
        )

    def certain(self, label: Any) -> Logits:
        """Returns what a teacher says that is certain of a label, given as the task's examples."""
        if self.task.predictions is Numbers:
            return (float(label),)
        present = set(label) if self.task.predictions is LabelSets else {label}
        return self.confident(present, 1.0)

    def confident(self, present: set[int], confidence: float) -> Logits:
        """Returns logits where labels, by their places, have a probability, others what is left."""
        count = len(self.task.labels)
        if self.task.predictions is LabelSets:
            rest = 1 - confidence
            return _log_odds([confidence if i in present else rest for i in range(count)])
        rest = (1 - confidence) / (count - 1)
        return _centred([confidence if i in present else rest for i in range(count)])

    def _of_label(self, row: Row, column: str) -> Logits:
        given = _parsed(row.values[column])
        several = self.task.predictions is LabelSets
        if not several and isinstance(given, list | dict):
            raise DataError(
                f"{row.place}: column '{column}' holds {shorten(given)}; accepted: one label of "
                f"{shorten_names(self.task.labels)}"
            )
        names = given if isinstance(given, list) else [given]
        present = {self._place(row, column, name) for name in names}
        found = next((name for name in _CONFIDENCES if is_given(row, name)), None)
        confidence = 1.0 if found is None else _read_number(row, found, row.values[found])
        least = 0.5 if several else 1 / len(self.task.labels)
        if not least <= confidence <= 1:
            raise DataError(
                f"{row.place}: {found} = {confidence:g} says that something else is likelier than "
                f"{shorten(given)}; accepted: {least:.3g} to 1, as a share and not per cent"
            )
        return self.confident(present, confidence)

    def _of_probabilities(self, row: Row, column: str, values: Logits) -> Logits:
        wrong = [value for value in values if not 0 <= value <= 1]
        if wrong:
            raise DataError(
                f"{row.place}: {column} holds {wrong[0]:g}; accepted: 0 to 1. Numbers before a "
                "softmax stand in a column 'logits'"
            )
        if self.task.predictions is LabelSets:
            return _log_odds(values)
        total = math.fsum(values)
        if abs(total - 1) > _TOLERANCE:
            raise DataError(
                f"{row.place}: {column} add up to {total:.4g}; accepted: 1, off by at most "
                f"{_TOLERANCE:g}. Numbers before a softmax stand in a column 'logits'"
            )
        return _centred([value / total for value in values])

    def _by_label(self, row: Row, column: str) -> Logits:
        """Returns a row's numbers in the order of the task's labels."""
        given, names = _parsed(row.values[column]), self.task.labels
        if isinstance(given, Mapping):
            found = {self._place(row, column, name): value for name, value in given.items()}
            missing = [name for i, name in enumerate(names) if i not in found]
            if missing or len(found) < len(given):
                what = f"nothing of {shorten_names(missing)}" if missing else "one label twice"
                raise DataError(
                    f"{row.place}: {column} says {what}; accepted: each of {shorten_names(names)}"
                )
            given = [found[i] for i in range(len(names))]
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != len(names):
            size = f"{len(given)} numbers" if isinstance(given, list) else shorten(given)
            raise DataError(
                f"{row.place}: {column} holds {size}; accepted: {len(names)}, in the order "
                f"{shorten_names(names)}, or an object with the number of each by name"
            )
        return tuple(_read_number(row, column, value) for value in given)

    def _place(self, row: Row, column: str, name: Any) -> int:
        place = self.labels.place(str(name).strip(), is_number=not isinstance(name, str))
        if place is None:
            raise self.labels.unknown(str(name), row, column)
        return place

    def _number(self, row: Row) -> float:
        for column in (*_NUMBERS, *_LABELS):
            if is_given(row, column):
                return _read_number(row, column, row.values[column])
        raise DataError(
            f"{row.place}: says nothing of its text; accepted: a number in a column 'score'; it "
            f"has: {shorten_names(row.values)}"
        )


def is_given(row: Row, column: str) -> bool:
    """Tells whether a row has something in a column."""
    return row.values.get(column) not in (None, "")


def _parsed(value: Any) -> Any:
    """Returns the list or object that a table holds as text; everything else as it is."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        with suppress(ValueError):
            return parse_json(value)
    return value


def _read_number(row: Row, column: str, value: Any) -> float:
    found = math.nan
    if not isinstance(value, bool):
        with suppress(TypeError, ValueError, OverflowError):
            found = float(value)
    if not math.isfinite(found):
        raise DataError(
            f"{row.place}: {shorten(value)} in column '{column}' is not a finite number; correct "
            "or remove the row"
        )
    if abs(found) > _LARGEST:
        raise DataError(
            f"{row.place}: {shorten(value)} in column '{column}' is too large to be learned; "
            f"accepted: up to {_LARGEST:g} on either side of 0"
        )
    return found


def _centred(probabilities: Sequence[float]) -> Logits:
    """Returns logits around 0, as those of a model are, whose softmax the probabilities are."""
    logs = [math.log(max(value, _LEAST)) for value in probabilities]
    mean = math.fsum(logs) / len(logs)
    return tuple(value - mean for value in logs)


def _log_odds(probabilities: Sequence[float]) -> Logits:
    """Returns the logits whose sigmoids the probabilities are."""
    bounded = [min(max(value, _LEAST), 1 - _LEAST) for value in probabilities]
    return tuple(math.log(value / (1 - value)) for value in bounded)
