"""What `prune` says at the end: `result.json` and the terminal's table."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.inference.footprint import Footprint
from limbeck.recipes._cut import Cut
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.prune.cutting import Shape
from limbeck.recipes.prune.rounds import Round
from limbeck.recipes.prune.settings import PruneSettings
from limbeck.recipes.prune.storing import Stored
from limbeck.report import figures, wording
from limbeck.report.facts import ModelFacts
from limbeck.report.figures import or_none
from limbeck.report.statistics import Interval
from limbeck.report.tables import align_rows
from limbeck.runs import FinetuneRecord, PrunedModel, PruneRecord, PruneRound


def describe_model(facts: ModelFacts, shape: Shape, memory: Footprint | None) -> PrunedModel:
    """Returns what is known of a model.

    Args:
        facts: From the report.
        shape: What its layers have.
        memory: What it takes of it; None where that was not measured.
    """
    speed = facts.speed
    loaded, peak = (None, None) if memory is None else (memory.loaded_bytes, memory.peak_bytes)
    return PrunedModel(
        name=facts.label,
        folder=facts.folder,
        num_layers=facts.num_layers,
        num_heads=shape.num_heads,
        num_neurons=shape.num_neurons,
        hidden_size=shape.width,
        num_parameters=facts.num_parameters,
        file_bytes=facts.file_bytes,
        num_operations=shape.num_operations,
        seeds=facts.scores.seeds,
        scores=facts.scores.values,
        score=facts.scores.mean,
        latency_ms=None if speed is None else speed.latency_ms.median,
        texts_per_second=None if speed is None else speed.texts_per_second.median,
        loaded_bytes=loaded,
        peak_bytes=peak,
    )


def describe_round(round_: Round, before: Shape, *, metric: str) -> PruneRound:
    """Returns what a finished round left.

    Args:
        round_: The round.
        before: The model as it was given, of which a round with masks leaves all heads and neurons.
        metric: The main metric.
    """
    left = before if round_.has_masks else Cut.read(round_.folder)
    best = FinetuneRecord.read(round_.job.folder).best
    return PruneRound(
        num_heads=left.num_heads,
        num_neurons=left.num_neurons,
        num_parameters=left.num_parameters,
        density=best.density,
        validation=best.validation[metric],
    )


def describe_kept(before: Shape, after: Shape, *, num_tokens: int) -> str:
    """Says in a sentence what of the layers stays."""
    layers, all_layers = len(after.num_heads), len(before.num_heads)
    of_layers = (
        f"all {layers} layers" if layers == all_layers else f"{layers} of {all_layers} layers"
    )
    heads, neurons = sum(after.num_heads), sum(after.num_neurons)
    narrow = ""
    if after.width < before.width:
        narrow = f", in hidden states of {after.width:,} of {before.width:,} dimensions"
    work = after.num_operations / before.num_operations
    return (
        f"Of the encoder stay {of_layers}, {heads:,} of {sum(before.num_heads):,} heads "
        f"({_range(after.num_heads)} a layer) and {neurons:,} of {sum(before.num_neurons):,} "
        f"feed-forward neurons ({_range(after.num_neurons)} a layer){narrow}. On a text of "
        f"{num_tokens} tokens its layers make {figures.percent(work)} of the operations."
    )


def describe_way(settings: PruneSettings, training: FinetuneSettings) -> str:
    """Says in a sentence how it was cut, and what it learned from for how long.

    Args:
        settings: Of the run.
        training: Of a round.
    """
    if settings.method is not None:
        return _describe_masks(settings, training)
    rounds = settings.num_rounds
    cut = f"It was cut in {'one step' if rounds == 1 else f'{rounds} steps'}"
    how = f"{cut}, by importance = {settings.importance}" if settings.chooses_units else cut
    after = "after it" if rounds == 1 else "after each"
    return (
        f"{how}; {after}, what was left learned from {_name_sources(training)} for "
        f"{_describe_length(training)}."
    )


def _describe_masks(settings: PruneSettings, training: FinetuneSettings) -> str:
    """Says the same of a method that prunes while it is learned."""
    sparsity = settings.sparsity
    assert sparsity is not None
    length = _describe_length(training)
    goal = "" if settings.density is None else f" to at most {figures.percent(settings.density)}"
    text = (
        f"Its layers' weights were pruned by method = {sparsity.method}{goal}, while it learned "
        f"from {_name_sources(training)} for {length}"
    )
    if not sparsity.empties_units:
        return f"{text}."
    return (
        f"{text}; heads and neurons without weights were taken out, and what is left learned as "
        "long again."
    )


def describe_stored(stored: Stored) -> str:
    """Says in a sentence what a model with zeros is, and is not, good for."""
    return (
        f"Of its layers' weights {figures.percent(stored.density)} are not zero. They are computed "
        "with all the same, so that it is as fast as before; without zeros, in int8 (limbeck "
        f"export --to sparse), its file is {figures.file_size(stored.num_bytes)}."
    )


def _name_sources(training: FinetuneSettings) -> str:
    if training.teacher is None:
        return "labels alone"
    given = "the model as it was given"
    return f"{given} alone" if training.label_weight == 0 else f"labels and {given}"


def _describe_length(training: FinetuneSettings) -> str:
    bounds = {"step": training.max_steps, "minute": training.max_minutes}
    most = [_number_of(bound, noun) for noun, bound in bounds.items() if bound is not None]
    return ", at most ".join([_number_of(training.epochs, "epoch"), *most])


def _number_of(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def summarise_result(result: PruneRecord) -> str:
    """Formats a result: both models side by side, the outcome, the files."""
    metric = wording.metric_name(result.metric)
    head = ["model", "layers", "heads", "neurons", "parameters", "file", "operations", metric]
    head += ["latency", "texts/s", "loaded", "peak memory"]
    lines = ["", *align_rows([head, *map(_words, result.models)]), "", result.headline]
    if result.difference is not None:
        found = Interval(
            estimate=result.difference.value,
            low=result.difference.low,
            high=result.difference.high,
        )
        ends = wording.describe_ends(found, result.num_examples, signed=True)
        value = figures.points(found.estimate, signed=True)
        lines.append(f"The score changed by {value} points ({ends}).")
    if result.latency_speed_up is not None and result.throughput_speed_up is not None:
        lines.append(
            f"It is {result.latency_speed_up:.2f} times as fast at batch 1, and reads "
            f"{result.throughput_speed_up:.2f} times as many texts a second in batches."
        )
    if result.sparse_bytes is not None and result.density is not None:
        lines.append(
            f"{figures.percent(result.density)} of its layers' weights are not zero; limbeck "
            f"export --to sparse makes a file of {figures.file_size(result.sparse_bytes)}, as fast "
            "as this one."
        )
    return "\n".join(
        [*lines, "", f"The page:   {result.files['html']}", f"The model:  {result.model}"]
    )


def _words(model: PrunedModel) -> list[str]:
    """Returns a model's line of the terminal's table."""
    return [
        model.name,
        str(model.num_layers),
        f"{sum(model.num_heads):,}",
        f"{sum(model.num_neurons):,}",
        figures.magnitude(model.num_parameters),
        figures.file_size(model.file_bytes),
        figures.magnitude(model.num_operations),
        figures.points(model.score),
        or_none(model.latency_ms, figures.milliseconds),
        or_none(model.texts_per_second, figures.count),
        or_none(model.loaded_bytes, figures.file_size),
        or_none(model.peak_bytes, figures.file_size),
    ]
