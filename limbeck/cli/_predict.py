"""`predict`: what a fine-tuned model says about texts."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, align, note
from limbeck.cli._model_options import ALL_ROWS, AS_IT_IS, USUAL_TEXTS, RowOptions, RunOptions
from limbeck.cli._tasks import NO_OPTIONS, TaskOptions, make_options, read_options
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.cli._given import BadRows, Columns, Given, Recall
    from limbeck.cli._tasks import AnyPipeline

Result = dict[str, Any]

_WIDTH = 100  # of a text that is shown for the reader to know which it is


def predict(
    model: Annotated[str, Parameter(help="Model folder or Hub id.")],
    *texts: Annotated[str, Parameter(help="Texts; without any, one from each line of stdin.")],
    rows: RowOptions = ALL_ROWS,
    pair_column: Annotated[
        str | None,
        Parameter(
            help="Column of what stands beside the text: the second of a pair, or the question; "
            "else the one that the model was fine-tuned on, or text_pair or question."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Parameter(help="Write the rows with what was found: FILE.jsonl, .csv or .parquet."),
    ] = None,
    task: Annotated[str | None, Parameter(help="Which pipeline; else the model's own.")] = None,
    options: TaskOptions = NO_OPTIONS,
    run_as: RunOptions = AS_IT_IS,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Label texts, find their entities, answer from them, ...: what the model is for."""
    from limbeck.cli._given import BadRows, Names, check_texts, require_new
    from limbeck.cli._opened import open_given, require_file
    from limbeck.cli._rows import describe_cut, recall_columns, show_progress
    from limbeck.cli._written import ROWS, require_writable, write_rows
    from limbeck.inference import pipeline

    data = rows.data
    check_texts(texts, command="predict", model=model, column=rows.column, data=data)
    if data is not None:
        require_file(data)
    if out is not None:
        require_writable(out, ROWS)
    run = pipeline(task, model=model, **asdict(run_as))
    given = read_options(options, type(run), model=model)
    if run.found is None:
        raise SettingsError(
            f"command line: --task {run.task} gives numbers, not what can be read; accepted: "
            f"limbeck embed {model} ... --out FILE for vectors of texts, or limbeck.pipeline from "
            "Python"
        )
    recall = cache(partial(recall_columns, model))
    usual = [] if run.second is None or run.reads_list else [run.second]
    names = Names(USUAL_TEXTS, usual, rows.column, pair_column, recall)
    opened = open_given(texts, data=data, names=names)
    if opened.columns is None and pair_column is not None:
        raise SettingsError(
            f"command line: --pair-column {pair_column} is for rows of a table, and texts are "
            "given without one; accepted: --data FILE, or JSON Lines on standard input"
        )
    _require_second(run, model, opened.columns, given, recall)
    bad = BadRows(skip=rows.skip_bad)
    found = _answer(run, opened.rows(bad), given, bad=bad)
    if data is not None or out is not None:
        found = show_progress(found, description="predicting", opened=opened, common=common)
    key = run.found
    asked = {run.second: given[run.second]} if run.second in given else {}
    said: dict[str, Any] = {"model": model, "task": run.task, **asked}
    if out is not None:
        columns = _columns_of(run, top_k=given.get("top_k"))
        written = (
            {**require_new(columns, row, written_by="--out").row, **_columns(run, items)}
            for row, items in found
        )
        count = write_rows(out, written, opened=opened)
        common.tell(f"{count:,} rows with their {key}{bad.describe()}: {out}")
        said |= {"out": str(out), "num_rows": count}
    elif common.json:
        said["predictions"] = [
            {
                **require_new([key], row, written_by="--json").values,
                **_own_text(row, opened.columns),
                key: items,
            }
            for row, items in found
        ]
        count = len(said["predictions"])
    else:
        count = 0
        for count, (row, items) in enumerate(found, start=1):  # noqa: B007 - told below
            common.tell(*_show(run, row.shown, items))
        if bad.count:
            note(f"{count:,} row{'' if count == 1 else 's'}{bad.describe()}")
        said["num_rows"] = count
    note(*describe_cut(run, of=count))
    return {**said, "num_skipped": bad.count, "num_cut": run.num_cut, "max_length": run.max_length}


def predict_command(words: Container[str]) -> Callable[..., dict[str, Any]]:
    """Returns the command, with the options of all pipelines if it is among the words typed."""
    options_type = make_options(words, "predict")
    predict.__annotations__["options"] = options_type
    predict.__kwdefaults__ = {**(predict.__kwdefaults__ or {}), "options": options_type()}
    return predict


def _require_second(
    run: AnyPipeline,
    model: str,
    columns: Columns | None,
    given: Mapping[str, Any],
    recall: Recall,
) -> None:
    """Refuses texts alone where something has to stand beside each.

    Args:
        run: The pipeline.
        model: The model's name, for the message.
        columns: Which columns are read; None where each item is a text.
        given: The options that are given.
        recall: Tells whether the model was fine-tuned on pairs: of one of two it would say
            something all the same.
    """
    # A list may be in any of the columns.
    is_there = columns is not None and (columns.second is not None or run.reads_list)
    if is_there or run.second is None or run.second in given:
        return
    # It takes a second to look, with torch, unless that is here: not for texts and a file that
    # another runtime runs.
    may_look = columns is not None or hasattr(run.engine, "model")
    if not run.needs_second and not (may_look and recall()[1]):
        return
    flag = f"--{str(run.second).replace('_', '-')}"
    read_as = f"is read as a model for {run.task}" if run.needs_second else "has learned from pairs"
    column = f" and a column '{run.second}'" if run.reads_list else " --pair-column NAME"
    given_as = " ".join([f'{flag} "..."'] * (2 if run.reads_list else 1))
    raise SettingsError(
        f"command line: {model} {read_as}, which needs {flag}; accepted: limbeck predict {model} "
        f"{given_as} TEXT ..., or a file with it in each row: --data FILE{column}"
    )


def _own_text(row: Given, columns: Columns | None) -> dict[str, str]:
    """Returns the text under its usual name, unless the row has something else of that name."""
    is_taken = "text" in row.values and columns is not None and columns.text != "text"
    return {} if is_taken else {"text": row.shown}


def _columns_of(run: AnyPipeline, *, top_k: int | None) -> list[str]:
    """Returns the names of what `_columns` returns."""
    if _gives_places(run):
        return [str(run.found)]
    has_several = (top_k or 1) > 1 or "top_k" not in run.options_type.names()
    several = [str(run.found)] if has_several and run.headline is not None else []
    return [*(["prediction"] if run.headline is not None else []), "score", *several]


def _columns(run: AnyPipeline, items: Sequence[Result]) -> dict[str, Any]:
    """Returns what is written of a row's results: the best one by itself, and several together."""
    if _gives_places(run):
        return {str(run.found): items}
    best = items[0]
    named = {} if run.headline is None else {"prediction": best[run.headline]}
    columns = {**named, "score": best["score"]}
    return columns if len(items) == 1 else {**columns, str(run.found): items}


def _gives_places(run: AnyPipeline) -> bool:
    """Tells whether a row's results stand in its text beside each other, and none is the best."""
    return run.headline is None and run.second is None


def _answer(
    run: Any, rows: Iterator[Given], options: Mapping[str, Any], *, bad: BadRows
) -> Iterator[tuple[Given, list[Result]]]:
    """Yields each row with what a pipeline finds in it, in a list whatever its number."""
    from limbeck.cli._rows import run_rows

    first = next(rows, None)
    if first is None:
        return
    has_words = isinstance(first.text, list)
    if has_words and not _gives_places(run):
        raise SettingsError(
            f"the column holds lists of words, and a model for {run.task} reads whole texts; "
            "accepted: a column of texts"
        )
    given = dict(options)
    second = given.pop(str(run.second), None)

    def read(row: Given) -> Any:
        if has_words:
            return [row.text] if isinstance(row.text, str) else row.text
        beside = row.second if second is None else second
        if beside is None and run.second is not None and run.needs_second:
            beside = row.values.get(run.second)
        return run.read_row(str(row.text), beside)

    words = {"is_split_into_words": True} if has_words else {}
    ask = partial(run, **{**run.row_options, **given, **words})
    for row, found in run_rows(chain([first], rows), ask, read=read, bad=bad):
        yield row, run.list_results(found)


def _show(run: AnyPipeline, text: str, items: Sequence[Result]) -> list[str]:
    if not _gives_places(run) and not any("start" in item for item in items):
        name = run.headline
        words = (f"{'' if name is None else item[name]} {item['score']:.4f}" for item in items)
        return [f"{'  '.join(word.strip() for word in words)}  {_shorten(text)}"]
    rows = [
        (
            *([item.get("entity_group") or item["entity"]] if _gives_places(run) else []),
            _on_one_line(text[item["start"] : item["end"]]) or "(no answer)",
            f"{item['score']:.4f}",
            f"{item['start']}-{item['end']}",
        )
        for item in items
    ]
    return [_shorten(text), *_indent(align(rows) or ["(none)"])]


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _shorten(text: str) -> str:
    line = _on_one_line(text)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3].rstrip() + "..."
