"""Latency of exports beside the model in torch, in turns, on the rows that it was compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from limbeck.data.sampling import take_evenly
from limbeck.inference import Engine
from limbeck.inference.speed import Encode, compare_speed, measure_speed
from limbeck.recipes._tasks.footprints import TORCH
from limbeck.recipes._tasks.speeds import make_encoder
from limbeck.recipes.export.source import Source
from limbeck.train import Progress

_NUM_TEXTS = 8
_REPEATS = 5
_MAX_SECONDS = 20.0
SPEED_UP_NOTE = (
    "A speed-up is the median of the ratios within rounds, which need not be that of the medians."
)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Latencies of one run.

    Attributes:
        own_ms: Of the model in torch, median at batch 1, tokenisation included.
        ms: Of each export.
        speed_ups: How many times as fast as the model each is; the median over rounds.
        texts_per_second: Of the model and each export, in a batch, by their names.
        num_threads: Threads of the CPU.
    """

    own_ms: float
    ms: Mapping[str, float]
    speed_ups: Mapping[str, float]
    texts_per_second: Mapping[str, float]
    num_threads: int


def measure_latency(
    source: Source, engines: Mapping[str, Engine], progress: Progress
) -> Latency | None:
    """Measures the exports that can be run here; None where there is none, or no row for it."""
    gate = source.gate
    if not engines or (gate.task is None and gate.graph.kind.has_choices):
        return None
    some, encode = _choose_texts(source)
    models: dict[str, nn.Module | Engine] = {TORCH: gate.graph.model, **engines}
    found = measure_speed(
        models,
        encode,
        texts=some,
        repeats=_REPEATS,
        max_length=source.max_length,
        max_seconds=_MAX_SECONDS,
        progress=progress,
    )
    rates = {name: speed.texts_per_second.median for name, speed in found.items()}
    own = found.pop(TORCH)
    return Latency(
        own_ms=own.latency_ms.median,
        ms={name: speed.latency_ms.median for name, speed in found.items()},
        speed_ups={
            name: compare_speed(speed, reference=own).latency.median
            for name, speed in found.items()
        },
        texts_per_second=rates,
        num_threads=own.num_threads,
    )


def _choose_texts(source: Source) -> tuple[Sequence[Any], Encode]:
    """Returns what is timed, and what makes a model's inputs of it."""
    gate, tokenizer = source.gate, source.tokenizer
    if gate.task is None:
        chosen = take_evenly(source.texts.texts, _NUM_TEXTS)
        pairs = gate.graph.kind.name == "question_answering"
        return [(text[:64], text) for text in chosen] if pairs else chosen, tokenizer
    examples = gate.task.data.task.splits[gate.task.split].examples
    return take_evenly(examples, _NUM_TEXTS), make_encoder(gate.task.data.task, tokenizer)
