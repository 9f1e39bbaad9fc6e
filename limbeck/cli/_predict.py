"""`predict`: what a fine-tuned model says about texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, align, note
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.cli._given import BadRows, Columns, Given

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

_SECONDS = {"text-classification": ["text_pair"], "question-answering": ["question"]}
"""What the column of second texts may be called, for tasks that have them."""


def predict(
    model: Annotated[str, Parameter(help="Model folder or Hub id.")],
    *texts: Annotated[str, Parameter(help="Texts; without any, one from each line of stdin.")],
    data: Annotated[
        Path | None,
        Parameter(
            help="A file with a row for each text: .txt (a line each), .csv, .tsv, .jsonl, .json, "
            ".parquet."
        ),
    ] = None,
    column: Annotated[
        str | None,
        Parameter(
            help="Which column of --data (else as the model was fine-tuned, or text), or of JSON "
            "Lines on stdin, is it."
        ),
    ] = None,
    pair_column: Annotated[
        str | None,
        Parameter(
            help="Column of the second text of a pair, or of the question; else as the model was "
            "fine-tuned, or text_pair or question if there is one."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Parameter(help="Write the rows with what was found: FILE.jsonl, .csv or .parquet."),
    ] = None,
    skip_bad: Annotated[
        bool, Flag, Parameter(help="Leave out rows that can't be used, and count them.")
    ] = False,
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
        int | None, Parameter(help="Most texts at a time, else as the device does best.")
    ] = None,
    max_length: Annotated[
        int | None, Parameter(help="Longest input in tokens, else as the model takes.")
    ] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda, ...")] = "auto",
    engine: Annotated[
        str, Parameter(help="Of `limbeck list engines`; auto: what runs what the folder holds.")
    ] = "auto",
    precision: Annotated[
        str | None,
        Parameter(help="Of the weights: fp32, bf16, fp16, int8, int4; else as they are."),
    ] = None,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Label texts, find their entities, or answer a question from them: what the model is for."""
    from limbeck.cli._given import BadRows, check_texts, require_file, require_new
    from limbeck.cli._rows import read_rows, show_progress
    from limbeck.cli._written import ROWS, require_writable, write_rows
    from limbeck.inference import pipeline

    check_texts(texts, command="predict", model=model, column=column, data=data)
    if data is not None:
        require_file(data)
    if out is not None:
        require_writable(out, ROWS)
    run = pipeline(
        task,
        model=model,
        batch_size=batch_size,
        max_length=max_length,
        device=device,
        engine=engine,
        precision=precision,
    )
    chosen = {
        "question": question,
        "handle_impossible_answer": handle_impossible_answer or None,
        "top_k": top_k,
        "aggregation_strategy": aggregation_strategy,
    }
    options = {name: value for name, value in chosen.items() if value is not None}
    columns = _find_columns(run.task, model, data, column=column, pair_column=pair_column)
    has_second = columns is not None and columns.second is not None
    _check_options(options, model=model, task=run.task, has_questions=has_second)
    bad = BadRows(skip=skip_bad)
    rows = read_rows(texts, data=data, columns=columns, bad=bad)
    found = _answer(run, rows, options, bad=bad)
    if data is not None or out is not None:
        total = len(texts) or None
        found = show_progress(
            found, description="predicting", data=data, total=total, common=common
        )
    key = _RESULTS[run.task]
    asked = {} if question is None else {"question": question}
    said = {"model": model, "task": run.task, **asked}
    if out is not None:
        names = _columns_of(key, top_k=top_k)
        written = (
            {**require_new(names, row, written_by="--out").row, **_columns(items, key=key)}
            for row, items in found
        )
        count = write_rows(out, written, data=data)
        common.tell(f"{count:,} rows with their {key}{bad.describe()}: {out}")
        return {**said, "out": str(out), "num_rows": count, "num_skipped": bad.count}
    if common.json:
        predictions = [
            {
                **require_new([key], row, written_by="--json").values,
                **_own_text(row, columns),
                key: items,
            }
            for row, items in found
        ]
        return {**said, "predictions": predictions, "num_skipped": bad.count}
    show = {"labels": _show_labels, "entities": _show_entities, "answers": _show_answers}[key]
    count = 0
    for count, (row, items) in enumerate(found, start=1):  # noqa: B007 - told below
        common.tell(*show(row.shown, items))
    if bad.count:
        note(f"{count:,} rows{bad.describe()}")
    return {**said, "num_rows": count, "num_skipped": bad.count}


def _find_columns(
    task: str, model: str, data: Path | None, *, column: str | None, pair_column: str | None
) -> Columns | None:
    """Returns which columns are read; None where lines are texts."""
    from limbeck.cli._given import Columns, find_columns, is_lines

    if data is None:
        return None if column is None else Columns(column, pair_column)
    if column is None and is_lines(data):
        return None
    texts, seconds = _remembered_columns(model)
    # A pair that is not asked for would be one of whatever the column is called that is.
    seconds = [*seconds, *_SECONDS.get(task, [])] if column is None else _SECONDS.get(task, [])
    known = find_columns(data, [*texts, "text"], seconds)
    return Columns(column or known.text, pair_column or known.second)


def _remembered_columns(model: str) -> tuple[list[str], list[str]]:
    """Returns what the columns are called that the model was fine-tuned on, if it remembers."""
    from limbeck.checkpoints import resolve_folder
    from limbeck.recipes._tasks.memory import read_memory
    from limbeck.tasks import load_task

    memory = read_memory(resolve_folder(model))
    if memory is None:
        return [], []
    options = load_task(memory.task).read_options(memory.task_options)
    texts = [getattr(options, name, None) for name in _COLUMN_OPTIONS]
    second = getattr(options, "text_pair_column", None)
    return [name for name in texts if name is not None], [] if second is None else [second]


def _own_text(row: Given, columns: Columns | None) -> dict[str, str]:
    """Returns the text under its usual name, unless the row has something else of that name."""
    is_taken = "text" in row.values and columns is not None and columns.text != "text"
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


def _check_options(given: Mapping[str, Any], *, model: str, task: str, has_questions: bool) -> None:
    for name in given:
        if task not in _OPTIONS[name]:
            raise SettingsError(
                f"command line: --{name.replace('_', '-')} is for {' and '.join(_OPTIONS[name])}, "
                f"and {model} is read as a model for {task}; leave it out"
            )
    if task == "question-answering" and "question" not in given and not has_questions:
        raise SettingsError(
            f"command line: {model} answers questions, and no question is given; accepted: "
            f'limbeck predict {model} --question "..." TEXT ..., or a file with a question in each '
            "row: --data FILE --pair-column NAME"
        )


def _answer(
    run: Any, rows: Iterator[Given], options: Mapping[str, Any], *, bad: BadRows
) -> Iterator[tuple[Given, list[Result]]]:
    """Yields each row with what a pipeline finds in it, in a list whatever its number."""
    from limbeck.cli._rows import run_rows

    first = next(rows, None)
    if first is None:
        return
    has_words = isinstance(first.text, list)
    if has_words and run.task != "token-classification":
        raise SettingsError(
            f"the column holds lists of words, and a model for {run.task} reads whole texts; "
            "accepted: a column of texts"
        )
    given = dict(options)
    question = given.pop("question", None)
    usual: dict[str, dict[str, Any]] = {
        "text-classification": {"top_k": 1},
        "token-classification": {
            "aggregation_strategy": "first",
            "is_split_into_words": has_words,
        },
    }

    def read(row: Given) -> Any:
        if run.task == "question-answering":
            return {"question": question or row.second, "context": row.text}
        if has_words:
            return [row.text] if isinstance(row.text, str) else row.text
        return row.text if row.second is None else {"text": row.text, "text_pair": row.second}

    ask = partial(run, **{**usual.get(run.task, {}), **given})
    for row, items in run_rows(chain([first], rows), ask, read=read, bad=bad):
        yield row, [items] if isinstance(items, dict) else items


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
