"""A few models timed before any is trained: how fast one is does not depend on what it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from limbeck.errors import LimbeckError, MachineError
from limbeck.export import Target, load_graph, write_export
from limbeck.inference import Engine
from limbeck.inference.footprint import measure_footprint
from limbeck.inference.speed import Speed, measure_speed
from limbeck.recipes._tasks.data import TaskData, read_inputs
from limbeck.recipes._tasks.models import load_runner
from limbeck.recipes._tasks.predictions import count_bytes
from limbeck.recipes._tasks.speeds import make_encoder
from limbeck.recipes.compress.sources import Source, take_calibration
from limbeck.recipes.compress.targets import name_engine, name_target
from limbeck.recipes.export.making import showing_steps
from limbeck.runs.costs import Probe
from limbeck.train import Progress

_REPEATS = 7
_TEXTS = 4  # runs of one text in a round
_MAX_SECONDS = 8.0  # for the formats of one engine, at one length
_CALIBRATION_ROWS = 16  # ranges decide no speed


def choose_probes(sources: Sequence[Source], length: int) -> list[Source]:
    """Returns the sources that are timed: the lightest, the heaviest, and one between them."""
    ranked = sorted(sources, key=lambda source: source.shape.flops[length])
    places = {0, len(ranked) // 2, len(ranked) - 1}
    return [ranked[place] for place in sorted(places)]


def measure_probes(
    sources: Sequence[Source],
    targets: Sequence[Target | None],
    data: TaskData,
    texts: Mapping[int, Any],
    *,
    with_memory: bool,
    progress: Progress,
) -> tuple[tuple[Probe, ...], dict[str, str]]:
    """Times some sources, not trained yet, in each format; those of one format take turns.

    Returns:
        What was timed, and why a format could not be, by its name.

    Args:
        sources: What is timed.
        targets: The formats.
        data: The task's.
        texts: An example to time, by its tokens.
        with_memory: Whether each is also loaded in a process of its own.
        progress: Where it is told.
    """
    found: list[Probe] = []
    failed: dict[str, str] = {}
    with TemporaryDirectory(prefix="limbeck-") as folder:
        models = [source.write(Path(folder) / str(i)) for i, source in enumerate(sources)]
        for target in targets:
            try:
                places = {
                    source.name: _export(source, model, target, Path(folder), progress)
                    for source, model in zip(sources, models, strict=True)
                }
                speeds = _time(places, target, data, texts, progress)
            except MachineError:
                raise
            except LimbeckError as error:
                failed[name_target(target)] = str(error)
                progress.log(f"{name_target(target)}: failed, and is not tried: {error}")
                continue
            found += [
                Probe(
                    source=name,
                    target=name_target(target),
                    file_bytes=count_bytes(place),
                    latencies_ms={n: s[name].latency_ms.median for n, s in speeds.items()},
                    noise=max(_find_noise(speed[name]) for speed in speeds.values()),
                    loaded_bytes=_load(place, target) if with_memory else None,
                )
                for name, place in places.items()
            ]
    return tuple(found), failed


def _export(
    source: Source, model: Path, target: Target | None, folder: Path, progress: Progress
) -> Path:
    if target is None:
        return model
    graph = load_graph(model)
    place = folder / target.name / source.name
    rows: Sequence[Mapping[str, Any]] = ()
    if target.needs_calibration:
        rows = take_calibration(source, graph, count=_CALIBRATION_ROWS)
    with showing_steps(target, progress):
        write_export(model, place, target, graph=graph, calibration=rows)
    return place


def _time(
    places: Mapping[str, Path],
    target: Target | None,
    data: TaskData,
    texts: Mapping[int, Any],
    progress: Progress,
) -> dict[int, dict[str, Speed]]:
    """Returns each source's speed in a format, by the tokens of a text."""
    models: dict[str, nn.Module | Engine] = {
        name: load_runner(
            data.task,
            place,
            name=name,
            device="cpu",
            engine=name_engine(target),
            num_threads=torch.get_num_threads(),
        )
        for name, place in places.items()
    }
    encoders = {
        name: make_encoder(data.task, read_inputs(place)[1]) for name, place in places.items()
    }
    return {
        num_tokens: measure_speed(
            models,
            encoders,
            texts=[text] * _TEXTS,
            repeats=_REPEATS,
            batch_size=1,
            max_length=data.settings.max_length,
            num_latency_texts=_TEXTS,
            max_seconds=_MAX_SECONDS,
            progress=progress,
        )
        for num_tokens, text in texts.items()
    }


def _find_noise(speed: Speed) -> float:
    latency = speed.latency_ms
    return (latency.upper - latency.lower) / 2 / latency.median


def _load(place: Path, target: Target | None) -> int | None:
    with suppress(LimbeckError):
        threads = torch.get_num_threads()
        found = measure_footprint(
            place, name=name_engine(target), num_threads=threads, device="cpu"
        )
        return found.loaded_bytes
    return None
