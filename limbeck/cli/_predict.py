"""`predict`: what a fine-tuned model says about texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, align
from limbeck.errors import DataError, SettingsError, did_you_mean

Result = dict[str, Any]

_WIDTH = 100  # of a text that is shown for the reader to know which it is

_OPTIONS = {
    "question": ("question-answering",),
    "handle_impossible_answer": ("question-answering",),
    "top_k": ("text-classification", "question-answering"),
    "aggregation_strategy": ("token-classification",),
}
"""Options that only models for these tasks take."""

_RESULTS = {
    "text-classification": "labels",
    "token-classification": "entities",
    "question-answering": "answers",
}
"""What a text's results are called in the JSON object."""


def predict(
    model: Annotated[str, Parameter(help="Model folder or Hub id.")],
    *texts: Annotated[str, Parameter(help="Texts; without any, one from each line of stdin.")],
    column: Annotated[
        str | None, Parameter(help="Of JSON Lines on stdin, the one that holds the text.")
    ] = None,
    task: Annotated[str | None, Parameter(help="Which pipeline; else the model's own.")] = None,
    question: Annotated[str | None, Parameter(help="What to answer from each text.")] = None,
    top_k: Annotated[int | None, Parameter(help="Labels or answers per text, else 1.")] = None,
    aggregation_strategy: Annotated[
        str | None,
        Parameter(help="Entities: none (tokens), simple, first, average or max, else first."),
    ] = None,
    handle_impossible_answer: Annotated[
        bool, Flag, Parameter(help="A question may have no answer.")
    ] = False,
    batch_size: Annotated[
        int | None, Parameter(help="Texts at a time, else 32, or as many as the engine takes.")
    ] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda, ...")] = "auto",
    engine: Annotated[str, Parameter(help="Of `limbeck list engines`.")] = "torch",
    common: Common = COMMON,
) -> dict[str, Any]:
    """Label texts, find their entities, or answer a question from them: what the model is for."""
    from limbeck.inference import pipeline

    _check_texts(texts, model=model, column=column)
    run = pipeline(task, model=model, batch_size=batch_size, device=device, engine=engine)
    chosen = {
        "question": question,
        "handle_impossible_answer": handle_impossible_answer or None,
        "top_k": top_k,
        "aggregation_strategy": aggregation_strategy,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    _check_options(given, model=model, task=run.task)
    lines = list(texts) or _read_stdin(column)
    found = _read(run, lines, given)
    key = _RESULTS[run.task]
    show = {"labels": _show_labels, "entities": _show_entities, "answers": _show_answers}[key]
    for text, items in zip(lines, found, strict=True):
        common.tell(*show(text, items))
    predictions = [{"text": t, key: items} for t, items in zip(lines, found, strict=True)]
    asked = {} if question is None else {"question": question}
    return {"model": model, "task": run.task, **asked, "predictions": predictions}


def _check_texts(texts: Sequence[str], *, model: str, column: str | None) -> None:
    if texts and column is not None:
        raise SettingsError(
            f"command line: --column is for JSON Lines on standard input, and a text is given; "
            f"accepted: limbeck predict {model} --column {column} < FILE"
        )
    if len(texts) == 1 and _is_file(texts[0]):
        raise SettingsError(
            f"command line: '{texts[0]}' is a file, and its name would be taken for the text; "
            f"accepted, for the text of each of its lines: limbeck predict {model} < {texts[0]}"
        )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, as texts are
        return False


def _check_options(given: Mapping[str, Any], *, model: str, task: str) -> None:
    for name in given:
        if task not in _OPTIONS[name]:
            raise SettingsError(
                f"command line: --{name.replace('_', '-')} is for {' and '.join(_OPTIONS[name])}, "
                f"and {model} is read as a model for {task}; leave it out"
            )
    if task == "question-answering" and "question" not in given:
        raise SettingsError(
            f"command line: {model} answers questions, and no question is given; accepted: "
            f'limbeck predict {model} --question "..." TEXT ...'
        )


def _read(run: Any, texts: Sequence[str], given: Mapping[str, Any]) -> list[list[Result]]:
    """Returns what a pipeline finds in each text, in lists whatever their number."""
    if run.task == "text-classification":
        found = run(texts, **{"top_k": 1, **given})
    elif run.task == "token-classification":
        found = run(texts, **{"aggregation_strategy": "first", **given})
    else:
        found = run(context=texts, **given)
    return [[item] if isinstance(item, dict) else item for item in found]


def _show_labels(text: str, items: Sequence[Result]) -> list[str]:
    shown = "  ".join(f"{item['label']} {item['score']:.4f}" for item in items)
    return [f"{shown}  {text}"]


def _show_entities(text: str, items: Sequence[Result]) -> list[str]:
    rows = [
        (
            item.get("entity_group") or item["entity"],
            _on_one_line(text[item["start"] : item["end"]]),
            f"{item['score']:.4f}",
            f"{item['start']}-{item['end']}",
        )
        for item in items
    ]
    return [_shorten(text), *_indent(align(rows) or ["(none)"])]


def _show_answers(text: str, items: Sequence[Result]) -> list[str]:
    rows = [
        (
            _on_one_line(item["answer"]) or "(no answer)",
            f"{item['score']:.4f}",
            f"{item['start']}-{item['end']}",
        )
        for item in items
    ]
    return [_shorten(text), *_indent(align(rows))]


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _shorten(text: str) -> str:
    line = _on_one_line(text)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3].rstrip() + "..."


def _read_stdin(column: str | None = None) -> list[str]:
    """Returns the lines of standard input, or a column of them where they are JSON objects.

    Raises:
        DataError: With its number, for a line that is not text, or lacks the column.
    """
    lines = []
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"standard input, line {number}: byte {error.start} is not UTF-8. "
                "Convert it first, as with: iconv -f latin1 -t utf-8"
            ) from None
        lines.append(_take_column(text, column, number))
    return lines


def _take_column(line: str, column: str | None, number: int) -> str:
    try:
        row = json.loads(line) if column is not None or line.lstrip().startswith("{") else None
    except json.JSONDecodeError:
        row = None
    where = f"standard input, line {number}"
    if column is None:
        if not isinstance(row, dict):
            return line
        raise DataError(
            f"{where}: a JSON object, not a text; say which column holds the text, with "
            f"--column NAME. The line has: {', '.join(row) or 'none'}"
        )
    if not isinstance(row, dict):
        raise DataError(f"{where}: no JSON object, of which --column {column} could be taken")
    if not isinstance(row.get(column), str):
        raise DataError(
            f"{where}: has no text '{column}'.{did_you_mean(column, row)} "
            f"The line has: {', '.join(row) or 'none'}"
        )
    return str(row[column])
