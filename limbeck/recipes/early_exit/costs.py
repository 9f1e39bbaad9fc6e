"""What each exit costs: operations up to it, counted, and time, measured in turns."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from limbeck.data.sampling import take_evenly
from limbeck.export import Graph
from limbeck.inference.speed import Speed, measure_speed
from limbeck.models import EarlyExitModel
from limbeck.recipes._tasks.operations import count_operations as count_whole
from limbeck.recipes._tasks.speeds import make_encoder
from limbeck.recipes._teacher import FULL
from limbeck.recipes.early_exit.parts import Parts
from limbeck.train import Progress

EXITS = "early exit"
"""What the model with exits is called in reports."""
_NUM_TIMED = 128
"""Examples that are timed one by one: what they take differs, and so more of them are needed than
where all take about the same."""
_ROUNDS = 5
_MAX_SECONDS = 90.0


def count_operations(model: EarlyExitModel, *, num_tokens: int) -> tuple[int, ...]:
    """Returns how many operations a text takes that leaves by each exit, then by none.

    Those before count what the exits on the way took; after them stands the model without any. A
    multiplication and an addition are two.

    Args:
        model: The model.
        num_tokens: Length of the text.
    """
    shapes = copy.deepcopy(model).to("meta")
    graph = Graph(shapes.model)
    inputs = [tensor.to("meta") for tensor in graph.example(rows=1, tokens=num_tokens)]
    found = []
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        running = shapes.model.encode_by_layer(*inputs)
        for layer, hidden in enumerate(running, start=1):
            if layer in model.info.layers:
                shapes.exits[str(layer)](hidden, *inputs[:2])
                found.append(int(counter.get_total_flops()))
        shapes.score_last(hidden, *inputs[:2])
        found.append(int(counter.get_total_flops()))
    return (*found, count_whole(graph, num_tokens=num_tokens))


def measure(model: EarlyExitModel, parts: Parts, progress: Progress) -> dict[str, Speed]:
    """Measures the model without and with exits in turns, on examples that are reported."""
    data = parts.reported
    return measure_speed(
        {FULL: model.model, EXITS: model},
        make_encoder(data.task, data.tokenizer),
        texts=take_evenly(data.task.splits[parts.split].examples, _NUM_TIMED),
        repeats=_ROUNDS,
        num_latency_texts=_NUM_TIMED,
        max_seconds=_MAX_SECONDS,
        max_length=data.settings.max_length,
        progress=progress,
    )
