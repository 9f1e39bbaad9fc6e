"""`predict`: what a fine-tuned model says about texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, align
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.cli._predict_rows import Given

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


_COLUMN_OPTIONS = ("text_column", "tokens_column", "context_column")
"""Options of tasks that name what a model reads."""


def predict(
    model: Annotated[str, Parameter(help="Model folder or Hub id.")],
    *texts: Annotated[str, Parameter(help="Texts; without any, one from each line of stdin.")],
    data: Annotated[
        Path | None, Parameter(help="A file with a row for each text, such as a CSV file.")
    ] = None,
    column: Annotated[
        str | None,
        Parameter(
            help="Which column of --data (else as the model was fine-tuned, or text), or of JSON "
            "Lines on stdin, is it."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Parameter(help="Write the rows with what was found: FILE.jsonl or FILE.csv."),
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
    engine: Annotated[
        str, Parameter(help="Of `limbeck list engines`; auto: what runs what the folder holds.")
    ] = "auto",
    common: Common = COMMON,
) -> dict[str, Any]:
    """Label texts, find their entities, or answer a question from them: what the model is for."""
    from limbeck.cli._predict_rows import find_column, require_new, require_writable, write_rows
    from limbeck.inference import pipeline

    _check_texts(texts, model=model, column=column, data=data)
    if out is not None:
        require_writable(out)
    run = pipeline(task, model=model, batch_size=batch_size, device=device, engine=engine)
    chosen = {
        "question": question,
        "handle_impossible_answer": handle_impossible_answer or None,
        "top_k": top_k,
        "aggregation_strategy": aggregation_strategy,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    _check_options(given, model=model, task=run.task)
    if data is not None and column is None:
        column = find_column(data, [*_remembered_columns(model), "text"])
    rows = _read_rows(texts, data=data, column=column)
    key = _RESULTS[run.task]
    if out is not None:
        require_new(_columns_of(key, top_k=top_k), rows, written_by="--out")
    elif common.json:
        require_new([key], rows, written_by="--json")
    found = _read(run, rows, given)
    asked = {} if question is None else {"question": question}
    if out is not None:
        added = [_columns(items, key=key) for items in found]
        write_rows(out, rows, added)
        common.tell(f"{len(rows):,} rows with their {key}: {out}")
        return {"model": model, "task": run.task, **asked, "out": str(out), "num_rows": len(rows)}
    show = {"labels": _show_labels, "entities": _show_entities, "answers": _show_answers}[key]
    for row, items in zip(rows, found, strict=True):
        common.tell(*show(row.shown, items))
    predictions = [
        {**row.values, **_own_text(row, column), key: items}
        for row, items in zip(rows, found, strict=True)
    ]
    return {"model": model, "task": run.task, **asked, "predictions": predictions}


def _remembered_columns(model: str) -> list[str]:
    """Returns what the column that the model was fine-tuned on is called, if it remembers."""
    from limbeck.checkpoints import resolve_folder
    from limbeck.recipes._tasks.memory import read_memory
    from limbeck.tasks import load_task

    memory = read_memory(resolve_folder(model))
    if memory is None:
        return []
    options = load_task(memory.task).read_options(memory.task_options)
    named = [getattr(options, name, None) for name in _COLUMN_OPTIONS]
    return [name for name in named if name is not None]


def _read_rows(texts: Sequence[str], *, data: Path | None, column: str | None) -> list[Given]:
    from limbeck.cli._predict_rows import Given, read_file, read_stdin

    if texts:
        return [Given(text) for text in texts]
    return read_stdin(column) if data is None else read_file(data, column or "text")


def _own_text(row: Given, column: str | None) -> dict[str, str]:
    """Returns the text under its usual name, unless the row has something else of that name."""
    is_taken = "text" in row.values and column not in (None, "text")
    return {} if is_taken else {"text": row.shown}


def _columns_of(key: str, *, top_k: int | None) -> list[str]:
    """Returns the names of what `_columns` returns."""
    if key == "entities":
        return [key]
    return ["prediction", "score", *([key] if top_k is not None and top_k > 1 else [])]


def _columns(items: Sequence[Result], *, key: str) -> dict[str, Any]:
    """Returns what is written of a row's results: the best one by itself, and several together."""
    if key == "entities":
        return {key: items}
    best = items[0]
    columns = {"prediction": best["label" if key == "labels" else "answer"], "score": best["score"]}
    return columns if len(items) == 1 else {**columns, key: items}


def _check_texts(
    texts: Sequence[str], *, model: str, column: str | None, data: Path | None
) -> None:
    if texts and data is not None:
        raise SettingsError(
            f"command line: --data {data} and a text are both given; leave one of them out"
        )
    if texts and column is not None:
        raise SettingsError(
            f"command line: --column is for JSON Lines on standard input, and a text is given; "
            f"accepted: limbeck predict {model} --column {column} < FILE"
        )
    if len(texts) == 1 and _is_file(texts[0]):
        raise SettingsError(
            f"command line: '{texts[0]}' is a file, and its name would be taken for the text; "
            f"accepted, for the text of each of its lines: limbeck predict {model} < {texts[0]}, "
            f"for a column of a table: limbeck predict {model} --data {texts[0]} --column NAME"
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


def _read(run: Any, rows: Sequence[Given], given: Mapping[str, Any]) -> list[list[Result]]:
    """Returns what a pipeline finds in each text, in lists whatever their number."""
    texts = [row.text for row in rows]
    has_words = any(isinstance(text, list) for text in texts)
    if has_words and run.task != "token-classification":
        raise SettingsError(
            f"the column holds lists of words, and a model for {run.task} reads whole texts; "
            "accepted: a column of texts"
        )
    if run.task == "text-classification":
        found = run(texts, **{"top_k": 1, **given})
    elif run.task == "token-classification":
        if has_words:
            texts = [[text] if isinstance(text, str) else text for text in texts]
        found = run(
            texts,
            is_split_into_words=has_words,
            **{"aggregation_strategy": "first", **given},
        )
    else:
        found = run(context=texts, **given)
    return [[item] if isinstance(item, dict) else item for item in found]


def _show_labels(text: str, items: Sequence[Result]) -> list[str]:
    shown = "  ".join(f"{item['label']} {item['score']:.4f}" for item in items)
    return [f"{shown}  {_shorten(text)}"]


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
