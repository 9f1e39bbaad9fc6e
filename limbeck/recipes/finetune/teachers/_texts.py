"""The texts of a task's examples, for teachers that are asked of texts and not of token ids."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.errors import SettingsError
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.sources import Row
from limbeck.tasks import TextExample, TextSettings, load_task, read_text

Texts = tuple[str, ...]
"""The text of an example, or both of a pair."""

_COLUMNS = ("text", "text_pair")
"""What the columns of texts are called where they are not called as in the task's data."""

TAUGHT = ("train", "transfer")
"""Splits that are learned from."""


def written_texts(example: TextExample) -> Texts:
    """Returns an example's texts as they are written."""
    return (example.text,) if example.text_pair is None else (example.text, example.text_pair)


def texts_of(example: TextExample) -> Texts:
    """Returns by what an example is known: its texts, every run of white space one blank."""
    return tuple(" ".join(text.split()) for text in written_texts(example))


def taught_examples(data: TaskData) -> list[tuple[str, int, TextExample]]:
    """Returns for each row of `data.training` its split, its place there and the example.

    An example that is read in several windows has several rows; rows that were made have none.
    """
    taught = [split for split in TAUGHT if split in data.examples]
    return [found for split in taught for found in examples_of(data, split)]


def examples_of(data: TaskData, split: str) -> list[tuple[str, int, TextExample]]:
    """Returns the same for the rows of one split."""
    examples = data.task.splits[split].examples
    return [(split, row.index, examples[row.index]) for row in data.examples[split]]


def text_settings(settings: TaskSettings, *, teacher: str) -> TextSettings:
    """Returns which columns a task's texts are in.

    Raises:
        SettingsError: If it is no task over texts.
    """
    options = load_task(settings.task).read_options(settings.task_options)
    if not isinstance(options, TextSettings):
        raise SettingsError(
            f"teacher = {teacher} says something of whole texts, but task = {settings.task} is "
            "over something else; accepted: a task over texts, or a model as teacher"
        )
    return options


def read_example(row: Row, columns: TextSettings) -> TextExample:
    """Returns the texts of a row, whose columns are called as the task's, or `text`, `text_pair`.

    Raises:
        DataError: If there is no text.
    """
    names: Sequence[str] = [columns.text_column]
    if columns.text_pair_column is not None:
        names = [columns.text_column, columns.text_pair_column]
    if names[0] not in row.values and _COLUMNS[0] in row.values:
        names = _COLUMNS[: len(names)]
    options = ("text_column", "text_pair_column")
    texts = [read_text(row, name, option) for name, option in zip(names, options, strict=False)]
    if columns.html_breaks:
        texts = [text.replace("<br />", " ") for text in texts]
    return TextExample(texts[0], texts[1] if len(texts) > 1 else None, None)
