"""`embed`: vectors of texts, in a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, note
from limbeck.cli._model_options import ALL_ROWS, AS_IT_IS, USUAL_TEXTS, RowOptions, RunOptions
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from limbeck.inference import SentenceVectorsPipeline

_COLUMN = "embedding"


def embed(
    model: Annotated[str, Parameter(help="Model folder or Hub id.")],
    *texts: Annotated[str, Parameter(help="Texts; without any, one from each line of stdin.")],
    rows: RowOptions = ALL_ROWS,
    out: Annotated[
        Path | None,
        Parameter(
            help="FILE.npy for a matrix; FILE.parquet or .jsonl for the rows with their vectors."
        ),
    ] = None,
    prompt_name: Annotated[
        str | None, Parameter(help="Which of the model's prompts is put before each text.")
    ] = None,
    prompt: Annotated[str | None, Parameter(help="What is put before each text.")] = None,
    truncate_dim: Annotated[
        int | None, Parameter(help="How many numbers of each vector are kept, from the first.")
    ] = None,
    normalize: Annotated[bool, Flag, Parameter(help="Make each vector one long.")] = False,
    run_as: RunOptions = AS_IT_IS,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Write a vector of each text to a file, made by a sentence encoder or any other."""
    from limbeck.cli._given import BadRows, Names, check_texts, require_new
    from limbeck.cli._opened import open_given, require_file
    from limbeck.cli._rows import describe_cut, recall_columns, run_rows, show_progress
    from limbeck.cli._written import VECTORS, require_writable, write_rows
    from limbeck.inference import SentenceVectorsPipeline, load_engine
    from limbeck.tokenizers import AutoTokenizer

    data = rows.data
    check_texts(texts, command="embed", model=model, column=rows.column, data=data)
    _check_out(out, model=model, as_json=common.json, skip_bad=rows.skip_bad)
    if data is not None:
        require_file(data)
    if out is not None:
        require_writable(out, VECTORS)
    run = SentenceVectorsPipeline(
        load_engine(
            run_as.engine, model, vectors=True, device=run_as.device, precision=run_as.precision
        ),
        AutoTokenizer.from_pretrained(model),
        batch_size=run_as.batch_size,
        max_length=run_as.max_length,
    )
    finish, width = _finish(run, truncate_dim, normalize=normalize)
    ask = partial(run, prompt=run.sentence.choose_prompt(prompt, prompt_name))
    bad = BadRows(skip=rows.skip_bad)
    names = Names(USUAL_TEXTS, text=rows.column, recall=partial(recall_columns, model))
    opened = open_given(texts, data=data, names=names)
    found = run_rows(opened.rows(bad), ask, read=lambda row: row.shown, bad=bad)
    if data is not None or out is not None:
        found = show_progress(found, description="embedding", opened=opened, common=common)
    embedded = (
        {**require_new([_COLUMN], row, written_by="embed").row, _COLUMN: finish(vector)}
        for row, vector in found
    )
    said: dict[str, Any] = {"model": model, "width": width}
    if out is None:
        said["embeddings"] = [row[_COLUMN].tolist() for row in embedded]
        count = len(said["embeddings"])
    else:
        count = write_rows(out, embedded, opened=opened)
        common.tell(f"{count:,} vectors of {width} numbers{bad.describe()}: {out}")
        said |= {"out": str(out), "num_rows": count}
    note(*describe_cut(run, of=count))
    return {**said, "num_skipped": bad.count, "num_cut": run.num_cut, "max_length": run.max_length}


def _check_out(out: Path | None, *, model: str, as_json: bool, skip_bad: bool) -> None:
    if out is None and not as_json:
        raise SettingsError(
            f"command line: limbeck embed {model} has nowhere to put the vectors; accepted: --out "
            "FILE.npy, FILE.parquet or FILE.jsonl, or --json for some on standard output"
        )
    if out is not None and out.suffix.lower() == ".npy" and skip_bad:
        raise SettingsError(
            f"command line: --skip-bad would move the rows of {out}, which has nothing but their "
            "order; accepted: a name that ends in .parquet or .jsonl, where rows keep their columns"
        )


def _finish(
    pipeline: SentenceVectorsPipeline, truncate_dim: int | None, *, normalize: bool
) -> tuple[Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]], int]:
    """Returns what is done with each vector, and how many numbers it has then."""
    import numpy as np

    width = pipeline.sentence.width
    if truncate_dim is not None and not 0 < truncate_dim <= width:
        raise SettingsError(f"truncate_dim = {truncate_dim}; accepted: 1 to {width}")
    kept = truncate_dim or width

    def finish(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        vector = vector[:kept]
        # As torch does it: a vector of zeros stays one.
        return vector / max(float(np.linalg.norm(vector)), 1e-12) if normalize else vector

    return finish, kept
