"""`predict`: what a fine-tuned model says about texts."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, align, note
from limbeck.cli._tasks import NO_OPTIONS, TaskOptions, make_options, read_options
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.cli._given import BadRows, Columns, Given
    from limbeck.cli._tasks import AnyPipeline

Result = dict[str, Any]

_WIDTH = 100  # of a text that is shown for the reader to know which it is

_COLUMN_OPTIONS = ("text_column", "tokens_column", "context_column")
"""Options of tasks that name what a model reads."""


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
    options: TaskOptions = NO_OPTIONS,
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
    """Label texts, find their entities, answer from them, ...: what the model is for."""
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
    given = read_options(options, type(run), model=model)
    if run.found is None:
        raise SettingsError(
            f"command line: --task {run.task} gives numbers, not what can be read; accepted: "
            f"limbeck embed {model} ... --out FILE for vectors of texts, or limbeck.pipeline from "
            "Python"
        )
    columns = _find_columns(run, model, data, column=column, pair_column=pair_column)
    if run.needs_second and run.second not in given and not _have_second(run, columns):
        raise SettingsError(_explain_need(run, model))
    bad = BadRows(skip=skip_bad)
    rows = read_rows(texts, data=data, columns=columns, bad=bad)
    found = _answer(run, rows, given, bad=bad)
    if data is not None or out is not None:
        total = len(texts) or None
        found = show_progress(
            found, description="predicting", data=data, total=total, common=common
        )
    key = run.found
    asked = {run.second: given[run.second]} if run.second in given else {}
    said = {"model": model, "task": run.task, **asked}
    if out is not None:
        names = _columns_of(run, top_k=given.get("top_k"))
        written = (
            {**require_new(names, row, written_by="--out").row, **_columns(run, items)}
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
    count = 0
    for count, (row, items) in enumerate(found, start=1):  # noqa: B007 - told below
        common.tell(*_show(run, row.shown, items))
    if bad.count:
        note(f"{count:,} rows{bad.describe()}")
    return {**said, "num_rows": count, "num_skipped": bad.count}


def predict_command(words: Container[str]) -> Callable[..., dict[str, Any]]:
    """Returns the command, with the options of all pipelines if it is among the words typed."""
    options_type = make_options(words, "predict")
    predict.__annotations__["options"] = options_type
    predict.__kwdefaults__ = {**(predict.__kwdefaults__ or {}), "options": options_type()}
    return predict


def _explain_need(run: AnyPipeline, model: str) -> str:
    flag = f"--{str(run.second).replace('_', '-')}"
    column = f" and a column '{run.second}'" if run.reads_list else " --pair-column NAME"
    return (
        f"command line: {model} is read as a model for {run.task}, which needs {flag}; accepted: "
        f'limbeck predict {model} {flag} "..." TEXT ..., or a file with it in each row: --data '
        f"FILE{column}"
    )


def _have_second(run: AnyPipeline, columns: Columns | None) -> bool:
    """Tells whether rows have what stands beside their text; a list may be in any of them."""
    return columns is not None and (columns.second is not None or run.reads_list)


def _find_columns(
    run: AnyPipeline, model: str, data: Path | None, *, column: str | None, pair_column: str | None
) -> Columns | None:
    """Returns which columns are read; None where lines are texts."""
    from limbeck.cli._given import Columns, find_columns, is_lines

    if data is None:
        return None if column is None else Columns(column, pair_column)
    if column is None and is_lines(data):
        return None
    texts, seconds = _remembered_columns(model)
    # A pair that is not asked for would be one of whatever the column is called that is.
    usual = [] if run.second is None or run.reads_list else [run.second]
    seconds = [*seconds, *usual] if column is None else usual
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
