"""Which task a call is on, and what its columns of classes mean, before its rows are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.api._data import GivenData
from limbeck.api._infer import infer_task
from limbeck.tasks import has_names, load_task
from limbeck.train import Progress


def settle_task(
    given: GivenData,
    values: Mapping[str, Any],
    *,
    model_labels: Sequence[str] | None,
    progress: Progress,
) -> dict[str, Any]:
    """Returns the settings of the task that follow from rows in memory.

    Numbers that a data set declares as classes are to be written as their names: a file of rows
    declares nothing.

    Args:
        given: The data.
        values: The settings that were given.
        model_labels: Labels of a model that remembers its task, which then is not inferred.
        progress: Where it is said what was inferred.
    """
    split = given.sample()
    if split is None:
        return {}
    if model_labels is not None and "task" not in values:
        if has_names(model_labels):
            _name_classes(given)
        return {}
    options = dict(values.get("task_options") or {})
    found: dict[str, Any] = {}
    name = values.get("task")
    if name is None:
        inferred = infer_task(split.sample, where=split.name, options=options)
        name = found["task"] = inferred.name
        options = {**inferred.options, **options}
        progress.log(inferred.describe())
    columns = load_task(name).settings.model_fields
    for option in ("label_column", "tags_column"):
        if option not in columns or "labels" not in columns:
            continue  # numbers are what is predicted
        column = str(options.get(option, columns[option].default))
        _name_classes(given, only=column)
        names = split.named.get(column)
        is_open = columns["labels"].default is None and not options.get("rename_labels")
        if names and is_open and option == "label_column":
            options.setdefault("labels", list(names))
    return found | ({"task_options": options} if options else {})


def _name_classes(given: GivenData, *, only: str | None = None) -> None:
    """Has class numbers written as the names that are declared for them, in one column or all."""
    for split in given.in_memory:
        for column, names in split.source.class_names.items():
            if only in (None, column) and has_names(names):
                split.named[column] = names
