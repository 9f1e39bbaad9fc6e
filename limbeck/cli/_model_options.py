"""What `predict` and `embed` have in common: which rows are read, and how a model is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from limbeck.cli._common import Flag


@Parameter(name="*")
@dataclass(frozen=True)
class RowOptions:
    """Which rows are read, if no texts are given."""

    data: Annotated[
        Path | None,
        Parameter(
            help="A file with a row for each text: .txt (a line each), .csv, .tsv, .jsonl, .json, "
            ".parquet."
        ),
    ] = None
    column: Annotated[
        str | None,
        Parameter(
            help="Column of the text, in --data or in JSON Lines on stdin; else the one that the "
            "model was fine-tuned on, or text, or sentence."
        ),
    ] = None
    skip_bad: Annotated[
        bool,
        Flag,
        Parameter(help="Leave out rows that can't be used, as empty ones, and count them."),
    ] = False


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions:
    """How a model is run."""

    batch_size: Annotated[
        int | None, Parameter(help="Most texts at a time, else as the device does best.")
    ] = None
    max_length: Annotated[
        int | None,
        Parameter(help="Where texts are cut, in tokens; else as the model learned, or takes."),
    ] = None
    device: Annotated[str, Parameter(help="auto, cpu, cuda, ...")] = "auto"
    engine: Annotated[
        str, Parameter(help="Of `limbeck list engines`; auto: what runs what the folder holds.")
    ] = "auto"
    precision: Annotated[
        str | None,
        Parameter(help="Of the weights: fp32, bf16, fp16, int8, int4, int2; else as they are."),
    ] = None


USUAL_TEXTS = ("text", "sentence")
"""What a column of texts is called, if nobody says otherwise."""
ALL_ROWS, AS_IT_IS = RowOptions(), RunOptions()
