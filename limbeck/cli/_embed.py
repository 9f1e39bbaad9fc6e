"""`embed`: vectors of texts, in a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from limbeck.cli._given import Columns
    from limbeck.inference import SentenceVectorsPipeline

_COLUMN = "embedding"


def embed(
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
            help="Which column of --data (else text or sentence), or of JSON Lines on stdin."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Parameter(
            help="FILE.npy for a matrix; FILE.parquet or .jsonl for the rows with their vectors."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, Flag, Parameter(help="Leave out rows that can't be used, and count them.")
    ] = False,
    prompt_name: Annotated[
        str | None, Parameter(help="Which of the model's prompts is put before each text.")
    ] = None,
    prompt: Annotated[str | None, Parameter(help="What is put before each text.")] = None,
    truncate_dim: Annotated[
        int | None, Parameter(help="How many numbers of each vector are kept, from the first.")
    ] = None,
    normalize: Annotated[bool, Flag, Parameter(help="Make each vector one long.")] = False,
    batch_size: Annotated[
        int | None, Parameter(help="Most texts at a time, else as the device does best.")
    ] = None,
    max_length: Annotated[
        int | None, Parameter(help="Longest text in tokens, else as the model's folder says.")
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
    """Write a vector of each text to a file, made by a sentence encoder or any other."""
    from limbeck.cli._given import BadRows, check_texts, require_file, require_new
    from limbeck.cli._rows import read_rows, run_rows, show_progress
    from limbeck.cli._written import VECTORS, require_writable, write_rows
    from limbeck.inference import SentenceVectorsPipeline, load_engine
    from limbeck.tokenizers import AutoTokenizer

    check_texts(texts, command="embed", model=model, column=column, data=data)
    _check_out(out, model=model, as_json=common.json, skip_bad=skip_bad)
    if data is not None:
        require_file(data)
    if out is not None:
        require_writable(out, VECTORS)
    pipeline = SentenceVectorsPipeline(
        load_engine(engine, model, vectors=True, device=device, precision=precision),
        AutoTokenizer.from_pretrained(model),
        batch_size=batch_size,
        max_length=max_length,
    )
    finish, width = _finish(pipeline, truncate_dim, normalize=normalize)
    run = partial(pipeline, prompt=pipeline.sentence.choose_prompt(prompt, prompt_name))
    bad = BadRows(skip=skip_bad)
    rows = read_rows(texts, data=data, columns=_find_columns(data, column), bad=bad)
    found = run_rows(rows, run, read=lambda row: row.shown, bad=bad)
    if data is not None or out is not None:
        found = show_progress(
            found, description="embedding", data=data, total=len(texts) or None, common=common
        )
    embedded = (
        {**require_new([_COLUMN], row, written_by="embed").row, _COLUMN: finish(vector)}
        for row, vector in found
    )
    said = {"model": model, "width": width}
    if out is None:
        vectors = [row[_COLUMN].tolist() for row in embedded]
        return {**said, "embeddings": vectors, "num_skipped": bad.count}
    count = write_rows(out, embedded, data=data)
    common.tell(f"{count:,} vectors of {width} numbers{bad.describe()}: {out}")
    return {**said, "out": str(out), "num_rows": count, "num_skipped": bad.count}


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


def _find_columns(data: Path | None, column: str | None) -> Columns | None:
    """Returns which column is read; None where lines are texts."""
    from limbeck.cli._given import Columns, find_columns, is_lines

    if column is not None:
        return Columns(column)
    if data is None or is_lines(data):
        return None
    return find_columns(data, ["text", "sentence"], [])


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
