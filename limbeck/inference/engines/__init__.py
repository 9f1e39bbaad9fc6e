"""Engines: ways to run a model, one public module each, whose `EngineType` is all that is needed.

The module's name is the engine's name, as in `pipeline(model=..., engine="torch")`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from limbeck.checkpoints import resolve_folder
from limbeck.cores import count_usable_cores
from limbeck.errors import SettingsError
from limbeck.inference._options import require_positive
from limbeck.inference.engines._choose import AUTO, choose_engine, find_engine
from limbeck.inference.engines._engine import (
    ASKED,
    PROMPT,
    VECTORS,
    Batch,
    Engine,
    Limits,
    Outputs,
    engine_name,
)
from limbeck.inference.engines._facts import ModelFacts
from limbeck.inference.engines._files import wanted_files
from limbeck.models import Kind
from limbeck.models._kinds import ENCODER

__all__ = [
    "ASKED",
    "AUTO",
    "PROMPT",
    "VECTORS",
    "Batch",
    "Engine",
    "Limits",
    "ModelFacts",
    "Outputs",
    "choose_engine",
    "engine_name",
    "fetch_folder",
    "find_engine",
    "load_engine",
]


_MOST_THREADS = 64
"""More than any runtime gains by, wherever there are fewer cores; thousands are not started in
minutes."""


def _check_threads(num_threads: int) -> None:
    cores = count_usable_cores()
    most = max(_MOST_THREADS, cores)
    if require_positive("num_threads", num_threads) > most:
        raise SettingsError(
            f"num_threads = {num_threads:,}: this process may use {cores} cores; accepted: 1 to "
            f"{most}"
        )


def load_engine(
    name: str | None,
    model: str | Path,
    *,
    kind: Kind | None = None,
    vectors: bool = False,
    device: str = "auto",
    precision: str | None = None,
    num_threads: int | None = None,
) -> Engine:
    """Makes a model folder or Hub model ready to be run.

    Args:
        name: The engine's, as `limbeck list engines` shows it; None or `auto` for the one that runs
            what the folder holds.
        model: A model folder, or a Hub id.
        kind: Which head the model has; by default the one that its folder names.
        vectors: Whether vectors of texts are asked for, of a model without a head, not hidden
            states.
        device: `auto`, or a device that the engine knows.
        precision: Type of the weights, fp32, bf16, fp16, int8, int4 or int2: of an exported folder
            that has several files the one to take, and for `torch` what they are brought into. By
            default as they are. `openvino` computes in bf16 with weights of fp32, on CPUs that
            can: the faster, and exact to about two digits.
        num_threads: Threads of the CPU that the engine takes; by default as many as there are
            cores. The tokenizer takes as many, unless it has begun with more in this process, or
            `RAYON_NUM_THREADS` says otherwise; `torch` has one number for the whole process.

    Raises:
        SettingsError: If there is no such engine, device or precision; the message lists what
            there is.
        CheckpointError: If the model can't be read, or holds nothing that the engine runs.
        MissingExtraError: If a package of the engine's is not installed; the message gives the pip
            line.
    """
    if num_threads is not None:
        _check_threads(num_threads)
        # The tokenizer's threads know no other setting. They read it when they are first started.
        os.environ.setdefault("RAYON_NUM_THREADS", str(num_threads))
    folder = fetch_folder(model, name, precision=precision)
    engine = find_engine(choose_engine(folder) if name in (None, AUTO) else str(name))
    return engine.load(
        folder,
        kind=ENCODER if vectors and kind is None else kind,
        vectors=vectors,
        device=device,
        precision=precision,
        num_threads=num_threads,
    )


def fetch_folder(
    model: str | Path, engine: str | None = None, *, precision: str | None = None, **hub: Any
) -> Path:
    """Returns a model's folder, of the Hub's with what an engine runs.

    Args:
        model: A model folder, or a Hub id.
        engine: The engine's name; None or `auto` for whatever runs weights.
        precision: As in `load_engine`.
        hub: How to fetch it: `revision`, `token`, `cache_dir`, `offline`.

    Raises:
        SettingsError: If there is no such engine; the message lists those there are.
        CheckpointError: If there is no such model, or it can't be fetched.
    """
    if engine in (None, AUTO):
        return resolve_folder(model, **hub)
    files = wanted_files(find_engine(str(engine)), precision=precision)
    return resolve_folder(model, weights=not files, files=files, **hub)
