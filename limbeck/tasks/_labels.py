"""Labels as data sets write them, and their place in the order of a model's logits.

Labels are matched here and nowhere else: by name wherever both sides have names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from limbeck.errors import DataError, did_you_mean, shorten, shorten_names
from limbeck.sources import Row, SplitRows, require_whole_characters
from limbeck.tasks._lists import is_list_text
from limbeck.tasks._texts import require_column

UNLABELLED = ("", "-1")

_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_WHOLE = re.compile(r"-?[1-9]\d*|0")  # 00 and 01 are names
_WHOLE_AS_FLOAT = re.compile(r"(-?[1-9]\d*|-?0)\.0*")


class LabelSet:
    """The labels of a task, in the order of the logits.

    Args:
        names: One name per logit.
        numbers: What the data call 0, 1, ...: the names that a data set or a benchmark declares.
            Where there are none, a number is a place among `names`, unless these are numbers.
        renamed: Names of the data that are read as others.

    Example:
        >>> labels = LabelSet(["negative", "positive"], numbers=["Positive", "Negative"])
        >>> labels.place("0"), labels.place("POSITIVE"), labels.place("dull")
        (1, 1, None)
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        numbers: Sequence[str] = (),
        renamed: Mapping[str, str] = _NO_NAMES,
    ) -> None:
        self.names = tuple(names)
        self._numbers = tuple(numbers) if has_names(numbers) else ()
        self._renamed = dict(renamed)
        self._places = {as_label(name): i for i, name in enumerate(self.names)}
        folded = {name.casefold(): i for name, i in self._places.items()}
        is_unique = len(folded) == len(self.names)
        self._folded = folded if is_unique else {}  # "negative" in the data is the label NEGATIVE
        if not has_names(self.names) and len(self._numbers) == len(self.names):
            self._places |= {name: i for i, name in enumerate(self._numbers)}
        if not self._numbers and not any(_WHOLE.fullmatch(name) for name in self.names):
            self._places |= {str(i): i for i in range(len(self.names))}

    def __len__(self) -> int:
        return len(self.names)

    def place(self, text: str, *, is_number: bool = False) -> int | None:
        """Returns the place of a label, None if it is none of the set.

        Args:
            text: As `label_text` returns it.
            is_number: Whether the data have a number, which then can't be a name.
        """
        name = self._name(text, is_number=is_number)
        return self._places.get(name, self._folded.get(name.casefold()))

    def index(self, row: Row, column: str) -> int | None:
        """Returns the place of a row's label, or None where it has none.

        Raises:
            DataError: If the label is not one of the set.
        """
        text, is_number = label_text(row, column), not isinstance(row.values.get(column), str)
        found = self.place(text, is_number=is_number)
        if found is not None:
            return found
        if text in UNLABELLED:
            return None
        raise self.unknown(text, row, column, is_number=is_number)

    def unknown(self, text: str, row: Row, column: str, *, is_number: bool = False) -> DataError:
        """Returns the error that a row's label is none of the set."""
        name = self._name(text, is_number=is_number)
        shown = shorten(name)
        given = f" ({shorten(text)}, by the names of the data set)" if name != text else ""
        renamed = "LABEL" if re.search(r"[^\w-]", name) else name
        return DataError(
            f"{row.place}: unknown label {shown}{given} in column '{column}'; known: "
            f"{shorten_names(self.names)}.{did_you_mean(name, self.names)} Correct the row, give "
            "all labels in task_options.labels, or say which of these it is: "
            f"task_options.rename_labels.{renamed}=..., with the right one of them"
        )

    def _name(self, text: str, *, is_number: bool) -> str:
        name = text
        if (
            self._numbers
            and _WHOLE.fullmatch(text)
            and (is_number or text not in self._places)
            and 0 <= int(text) < len(self._numbers)
        ):
            name = self._numbers[int(text)]
        return self._renamed.get(name, name)


def find_label_sets(
    splits: Mapping[str, SplitRows],
    column: str,
    *,
    given: Sequence[str] | None,
    own: Sequence[str] | None,
    of_model: Sequence[str] | None,
    renamed: Mapping[str, str],
    infer: Callable[[Sequence[Row]], Sequence[str]],
) -> dict[str, LabelSet]:
    """Returns a task's labels, for each split with what its numbers mean.

    Args:
        splits: The rows of the data set.
        column: Of the labels.
        given: The labels of the settings, which come first.
        own: Those that the task itself has.
        of_model: Those of a fine-tuned model; of next to no use if they are only numbered.
        renamed: Labels of the data that are read as others.
        infer: Finds labels in rows, where nothing else has them.
    """
    declared = {name: rows.class_names.get(column, ()) for name, rows in splits.items()}
    first = "train" if "train" in splits else next(iter(splits))
    of_data = declared_names(splits, column)
    renamed_own, renamed_data = rename(own or (), renamed), rename(of_data, renamed)
    if of_model is not None and not has_names(of_model) and len(of_model) == len(renamed_data):
        of_model = None
    held_out = [row for rows in splits.values() if rows.is_held_out for row in rows.rows]
    names = given or renamed_own or of_model or renamed_data or infer(splits[first].rows + held_out)
    folded = {name.casefold() for name in names}
    # Other labels than the task's own, given by the user, are other names for the same numbers.
    is_own = not folded.isdisjoint(name.casefold() for name in renamed_own)
    usual = of_data or (own if own and is_own else ())
    return {
        name: LabelSet(names, numbers=of_split if has_names(of_split) else usual, renamed=renamed)
        for name, of_split in declared.items()
    }


def declared_names(splits: Mapping[str, SplitRows], column: str) -> tuple[str, ...]:
    """Returns what a data set calls the numbers of a column, by its training split if that says."""
    in_order = sorted(splits, key=lambda name: name != "train")
    declared = (splits[name].class_names.get(column, ()) for name in in_order)
    return next(filter(has_names, declared), ())


def has_names(labels: Sequence[str]) -> bool:
    """Tells whether labels are named, or only numbered: 0, 1, ... or LABEL_0, LABEL_1, ...

    Example:
        >>> has_names(["bad", "good"]), has_names(["LABEL_0", "LABEL_1"]), has_names(["0", "1"])
        (True, False, False)
    """
    numbered = ([f"label_{i}" for i in range(len(labels))], [str(i) for i in range(len(labels))])
    return [name.casefold() for name in labels] not in numbered


def as_label(text: str) -> str:
    """Returns a text as a label; a whole number is one however a table has typed it.

    Example:
        >>> as_label(" 1.0 "), as_label("-1."), as_label("01"), as_label("1.5")
        ('1', '-1', '01', '1.5')
    """
    text = text.strip()
    found = _WHOLE_AS_FLOAT.fullmatch(text)
    return text if found is None else str(int(found[1]))


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
    if isinstance(value, int) or (isinstance(value, str) and not is_list_text(value)):
        require_whole_characters(str(value), f"{row.place}: column '{column}'")
        return as_label(str(value))
    raise DataError(
        f"{row.place}: the label {shorten(value)} in column '{column}' is not a class; a label is "
        "text or a whole number. Is task_options.label_column right? For several labels a row, "
        "give task=multi_label_classification"
    )


def infer_labels(rows: Iterable[Row], column: str, *, renamed: Mapping[str, str]) -> list[str]:
    """Returns the labels that occur, in order; 0 to k-1 are called LABEL_0 to LABEL_{k-1}.

    Args:
        rows: Where they occur.
        column: Of the labels.
        renamed: Labels that are read as others.

    Raises:
        DataError: If there are fewer than two.
    """
    rows = list(rows)
    require_column(rows[0], column, "label_column")
    texts = {label_text(row, column) for row in rows} - set(UNLABELLED)
    found = {renamed.get(text, text) for text in texts}
    if len(found) < 2:
        raise DataError(
            f"{rows[0].place.rpartition(',')[0]}: column '{column}' has {len(found)} different "
            f"labels in {len(rows)} rows ({shorten_names(found)}), and a classifier needs "
            "two; check the file, or give all labels in task_options.labels"
        )
    in_order = sort_labels(found)
    if not all(_WHOLE.fullmatch(name) for name in found):
        return in_order
    if {int(name) for name in found} == set(range(len(found))):
        return [f"LABEL_{i}" for i in range(len(found))]
    return in_order


def sort_labels(names: Iterable[str]) -> list[str]:
    """Returns labels in alphabetical order, numbers by their size.

    Example:
        >>> sort_labels(["10", "9"]), sort_labels(["10", "9", "none"])
        (['9', '10'], ['10', '9', 'none'])
    """
    names = list(names)
    is_numbered = all(_WHOLE.fullmatch(name) for name in names)
    return sorted(names, key=int) if is_numbered else sorted(names)


def rename(names: Iterable[str], renamed: Mapping[str, str]) -> tuple[str, ...]:
    """Returns names of the data as what they are read as, each once."""
    return tuple(dict.fromkeys(renamed.get(name, name) for name in names))


def align_names(*, of_model: Sequence[str], of_task: Sequence[str]) -> list[int]:
    """Returns for each of the task's labels its place among the model's.

    Names are compared as they are written, and without regard to case where that leaves no doubt;
    where one side has numbers only, both are taken to have the same order.

    Raises:
        DataError: If the model's labels are not the task's.
    """
    given, wanted = ([as_label(name) for name in names] for names in (of_model, of_task))
    for spell in (str, str.casefold):
        in_task, in_model = list(map(spell, wanted)), list(map(spell, given))
        if sorted(in_task) == sorted(in_model) and len(set(in_task)) == len(in_task):
            return [in_model.index(name) for name in in_task]
    is_numbered = not has_names(of_model) or not has_names(of_task)
    if given == wanted or (len(given) == len(wanted) and is_numbered):
        return list(range(len(wanted)))
    raise DataError(
        f"the model's labels ({shorten_names(of_model)}) are not the task's "
        f"({shorten_names(of_task)}); say which of the model's each of the task's is, with "
        f"task_options.rename_labels.{shorten(of_task[0], quoted=False)}=... and so on, or "
        "fine-tune the model on this task"
    )
