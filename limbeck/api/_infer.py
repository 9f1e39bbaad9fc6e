"""Which task rows are for, where their columns leave no doubt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck import listing
from limbeck.errors import SettingsError

_LABELS = ("label", "labels", "score")
_TAGS = ("ner_tags", "tags", "labels")
_NOT_TEXTS = ("id", "idx", "guid", "uid")


@dataclass(frozen=True)
class InferredTask:
    """A task and the options that say which columns it reads."""

    name: str
    options: Mapping[str, Any]

    def describe(self) -> str:
        """Words what was inferred, in a line."""
        options = ", ".join(f"{name} = {value}" for name, value in self.options.items())
        return f"task = {self.name}{f' ({options})' if options else ''}, as the columns say"


def infer_task(
    rows: Sequence[Mapping[str, Any]], *, where: str, options: Mapping[str, Any]
) -> InferredTask:
    """Returns the task that rows are for.

    Args:
        rows: The first rows of a split that has labels.
        where: Its name, for the message.
        options: The task's options that were given, such as `label_column`.

    Raises:
        SettingsError: If columns and values leave it open.
    """
    columns = list(rows[0])
    if {"question", "context", "answers"} <= set(columns):
        answers = [row["answers"] for row in rows]
        has_none = any(isinstance(a, Mapping) and not a.get("text") for a in answers)
        return InferredTask("squad_v2" if has_none else "squad", {})
    if {"query", "positive", "negative"} <= set(columns):
        return InferredTask("reranking", {})
    if isinstance(rows[0].get("tokens"), list):
        tags = [name for name in _TAGS if isinstance(rows[0].get(name), list)]
        if tags:
            return InferredTask("ner", {"tags_column": tags[0]})
    label = options.get("label_column") or next((c for c in _LABELS if c in columns), None)
    texts = _find_texts(rows, columns, label=label, options=options)
    task = None if label is None else _find_kind([row.get(label) for row in rows])
    if task is None or len(texts) not in (1, 2):
        raise _explain(columns, where=where)
    found = dict(zip(("text_column", "text_pair_column"), texts, strict=False))
    return InferredTask(task, {**found, "label_column": label})


def _find_texts(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    label: str | None,
    options: Mapping[str, Any],
) -> list[str]:
    """Returns the columns of texts, in their order."""
    given = [options.get("text_column"), options.get("text_pair_column")]
    if given[0] is not None:
        return [name for name in given if name is not None]
    return [
        name
        for name in columns
        if name != label
        and name not in _NOT_TEXTS
        and _holds_texts([row.get(name) for row in rows])
    ]


def _holds_texts(values: Sequence[Any]) -> bool:
    """Tells whether a column is one of texts; absent ones are refused when the rows are read."""
    known = [value for value in values if not _is_absent(value)]
    return bool(known) and all(isinstance(value, str) for value in known)


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))  # as pandas has it


def _find_kind(labels: Sequence[Any]) -> str | None:
    """Returns the task that predicts such labels; None if they are of no kind, or of several."""
    known = [label for label in labels if not _is_absent(label)]
    if known and all(isinstance(label, list) for label in known):
        return "multi_label_classification"
    if known and all(isinstance(label, str | int) for label in known):
        return "text_classification"
    if known and all(isinstance(label, float) for label in known):
        return "text_regression"
    return None


def _explain(columns: Sequence[str], *, where: str) -> SettingsError:
    tasks = ", ".join(listing.list_names(listing.ROOMS["tasks"]))
    return SettingsError(
        f"the columns of {where} ({', '.join(columns)}) leave open which task they are for; give "
        f"task=..., and columns such as task_options={{'text_column': ..., 'label_column': ...}}. "
        f"Tasks: {tasks}"
    )
