"""Labels as data sets write them, and their place in the order of a model's logits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from limbeck.errors import DataError, did_you_mean
from limbeck.sources import Row

UNLABELLED = ("", "-1")


class LabelSet:
    """The labels of a task, in the order of the logits.

    Args:
        names: One name per logit. Where no name is a whole number, data may also give the index.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._index = {name: i for i, name in enumerate(self.names)}
        folded = {name.casefold(): i for i, name in enumerate(self.names)}
        if len(folded) == len(self.names):  # "negative" in the data is the label NEGATIVE
            self._index = folded | self._index
        if not any(_is_whole(name) for name in self.names):
            self._index |= {str(i): i for i in range(len(self.names))}

    def __len__(self) -> int:
        return len(self.names)

    def index(self, row: Row, column: str) -> int | None:
        """Returns the index of a row's label, or None where it has none.

        Raises:
            DataError: If the label is not one of the set.
        """
        text = label_text(row, column)
        found = self._index.get(text, self._index.get(text.casefold()))
        if found is not None:
            return found
        if text in UNLABELLED:
            return None
        raise DataError(
            f"{row.place}: unknown label '{text}' in column '{column}'; known: "
            f"{', '.join(self.names)}.{did_you_mean(text, self.names)} Correct the row, or give "
            "all labels in task_options.labels."
        )


def label_text(row: Row, column: str) -> str:
    """Returns a row's label as text: `1`, `1.0` and `"1"` are the same; empty where it has none.

    Raises:
        DataError: If the value can't be a label, such as 0.37 or a list.
    """
    value = row.values.get(column)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():  # as a table with gaps has whole numbers
        value = int(value)
    if isinstance(value, int | str):
        return str(value).strip()
    raise DataError(
        f"{row.place}: the label {value!r} in column '{column}' is not a class; a label is text "
        "or a whole number. Is task_options.label_column right?"
    )


def infer_labels(rows: Iterable[Row], column: str) -> tuple[str, ...]:
    """Returns the labels that occur, in order; 0 to k-1 are called LABEL_0 to LABEL_{k-1}.

    Raises:
        DataError: If there are fewer than two.
    """
    rows = list(rows)
    found = {label_text(row, column) for row in rows} - set(UNLABELLED)
    if len(found) < 2:
        raise DataError(
            f"{rows[0].place.rpartition(',')[0]}: column '{column}' has {len(found)} different "
            f"labels in {len(rows)} rows ({', '.join(found) or 'none'}), and a classifier needs "
            "two; check the file, or give all labels in task_options.labels"
        )
    if not all(_is_whole(name) for name in found):
        return tuple(sorted(found))
    if {int(name) for name in found} == set(range(len(found))):
        return tuple(f"LABEL_{i}" for i in range(len(found)))
    return tuple(sorted(found, key=int))


def align_names(*, of_model: Sequence[str], of_task: Sequence[str]) -> list[int]:
    """Returns for each of the task's labels its place among the model's.

    Names are compared without regard to case; a model with the unnamed labels LABEL_0, ... is
    taken to have the task's order.

    Raises:
        DataError: If the model's labels are not the task's.
    """
    given = [name.casefold() for name in of_model]
    wanted = [name.casefold() for name in of_task]
    unnamed = [f"label_{i}" for i in range(len(wanted))]
    if given == wanted or (len(given) == len(wanted) and unnamed in (given, wanted)):
        return list(range(len(wanted)))
    if sorted(given) != sorted(wanted):
        raise DataError(
            f"the model's labels ({', '.join(of_model)}) are not the task's "
            f"({', '.join(of_task)}); give the task's in task_options.labels, in the order of "
            "the model's, or fine-tune the model on this task"
        )
    return [given.index(name) for name in wanted]


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
