"""What two models take of time and memory, side by side, without a task to score them on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.data.sampling import take_evenly
from limbeck.export import load_graph
from limbeck.inference import load_engine
from limbeck.inference.speed import Speed, measure_speed
from limbeck.models import Kind
from limbeck.recipes._tasks.footprints import TORCH, measure_memory
from limbeck.recipes._tasks.operations import count_operations
from limbeck.recipes._tasks.predictions import count_bytes
from limbeck.recipes.export.rows import read_texts
from limbeck.report import figures
from limbeck.report.tables import align_rows
from limbeck.runs.trim import Load
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import Progress

_BEFORE, _AFTER = "as given", "trimmed"
_NUM_TIMED = 8
_ROUNDS = 5
_MAX_SECONDS = 20.0
_LONGEST = 128
_USUAL_TOKENS = 32  # of a sentence or two


def measure_loads(
    before: Path, after: Path, *, kind: Kind, texts: Sequence[str], progress: Progress
) -> list[Load]:
    """Returns what a model takes, and what was made of it, measured in turns.

    Args:
        before: The model's folder.
        after: That of what was made of it.
        kind: Which head they have.
        texts: What is read; none for texts that come with Limbeck.
        progress: Where it is told.
    """
    folders = {_BEFORE: before, _AFTER: after}
    graphs = {label: load_graph(folder) for label, folder in folders.items()}
    most = graphs[_AFTER].config.max_tokens or _LONGEST
    speeds: dict[str, Speed] = {}
    if not kind.has_choices:  # which reads no single texts
        speeds = _measure_speeds(folders, texts, max_length=min(most, _LONGEST), progress=progress)
    memory = measure_memory(folders, device="cpu", progress=progress)
    length = min(most, _USUAL_TOKENS)
    return [
        Load(
            file_bytes=count_bytes(folder),
            num_operations=count_operations(graphs[label], num_tokens=length),
            num_tokens=length,
            latency_ms=speeds[label].latency_ms.median if speeds else None,
            texts_per_second=speeds[label].texts_per_second.median if speeds else None,
            loaded_bytes=memory[label].loaded_bytes if label in memory else None,
            peak_bytes=memory[label].peak_bytes if label in memory else None,
        )
        for label, folder in folders.items()
    ]


def _measure_speeds(
    folders: dict[str, Path], texts: Sequence[str], *, max_length: int, progress: Progress
) -> dict[str, Speed]:
    given = [text for text in texts if text.strip()]
    return measure_speed(
        {label: load_engine(TORCH, folder, device="cpu") for label, folder in folders.items()},
        {label: AutoTokenizer.from_pretrained(folder) for label, folder in folders.items()},
        texts=take_evenly(given or read_texts(None, text_field="text").texts, _NUM_TIMED),
        repeats=_ROUNDS,
        max_length=max_length,
        max_seconds=_MAX_SECONDS,
        progress=progress,
    )


def word_loads(before: Load, after: Load, *, is_same: bool) -> list[str]:
    """Returns what both take as lines of a table, and why there is no score.

    Args:
        before: Of the model.
        after: Of what was made of it.
        is_same: Whether that computes the same.
    """
    head = ["", "file", "peak memory", "latency", "texts/s", "operations"]
    rows = [
        [
            name,
            figures.file_size(load.file_bytes),
            figures.or_none(load.peak_bytes, figures.file_size),
            figures.or_none(load.latency_ms, figures.milliseconds),
            figures.or_none(load.texts_per_second, figures.count),
            figures.magnitude(load.num_operations),
        ]
        for name, load in ((_BEFORE, before), (_AFTER, after))
    ]
    score = (
        "There is no score: of texts made of the pieces that stayed it computes the same."
        if is_same
        else "There is no score: limbeck evaluate tells it, best once the model has learned."
    )
    counted = f"Operations are those of a text of {after.num_tokens} tokens."
    return ["", *align_rows([head, *rows]), "", counted, score]
