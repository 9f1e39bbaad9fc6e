"""What runs the model of a `SentenceEncoder`: weights in memory, or a folder by its engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from limbeck.errors import SettingsError, shorten
from limbeck.inference import Engine, SentenceEngine, load_engine
from limbeck.inference.engines import AUTO, choose_engine, fetch_folder
from limbeck.models import SentenceModel
from limbeck.tokenizers import AutoTokenizer, Tokenizer


def load_runner(
    model: str | Path | SentenceModel,
    tokenizer: str | Path | Tokenizer | None,
    *,
    device: str,
    dtype: torch.dtype | None,
    engine: str | None,
    precision: str | None,
    num_threads: int | None,
    **hub: Any,
) -> tuple[Engine, Tokenizer]:
    """Returns an engine that gives vectors, and the tokenizer; see `SentenceEncoder`.

    Raises:
        CheckpointError: If the model or its tokenizer can't be read.
        SettingsError: If arguments contradict each other.
    """
    runner: Engine
    if isinstance(model, SentenceModel):
        if tokenizer is None:
            raise SettingsError(
                "a model object does not say what its tokenizer is; give tokenizer=, a folder, "
                "a Hub id or a Tokenizer"
            )
        _require_as_it_is(engine=engine, precision=precision, dtype=dtype)
        runner = SentenceEngine(model, device=device, num_threads=num_threads)
    else:
        folder = fetch_folder(model, engine, precision=precision, **hub)
        tokenizer = folder if tokenizer is None else tokenizer
        if dtype is None:
            runner = load_engine(
                engine,
                folder,
                vectors=True,
                device=device,
                precision=precision,
                num_threads=num_threads,
            )
        else:
            _require_torch(folder, engine=engine, precision=precision, dtype=dtype)
            weights = SentenceModel.from_pretrained(folder, dtype=dtype)
            runner = SentenceEngine(weights, device=device, num_threads=num_threads)
    if not isinstance(tokenizer, Tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    return runner, tokenizer


def _require_as_it_is(**given: object) -> None:
    """Refuses what says how weights are read, beside a model that is in memory."""
    for name, value in given.items():
        if value is not None and (name, value) not in (("engine", AUTO), ("engine", "torch")):
            raise SettingsError(
                f"{name} = {shorten(value)}: a model object is given, which is run as it is; "
                "accepted: a folder in place of the model"
            )


def _require_torch(
    folder: Path, *, engine: str | None, precision: str | None, dtype: torch.dtype
) -> None:
    """Refuses a type of torch's where something else runs the model, or a second name for it."""
    if precision is not None:
        raise SettingsError(
            f"dtype = {dtype} and precision = '{precision}' are both given; accepted: one of them"
        )
    name = choose_engine(folder) if engine in (None, AUTO) else engine
    if name != "torch":
        raise SettingsError(
            f"dtype = {dtype}: it is for weights that torch runs, and {name} runs {folder}; "
            "accepted: precision=, which says which of its files is run"
        )
