"""What `export` says at the end: `result.json`, the terminal's table, the broken contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from limbeck.errors import ContractError
from limbeck.export import load_target
from limbeck.inference.footprint import Footprint
from limbeck.metrics import find_metric
from limbeck.recipes._tasks.footprints import TORCH
from limbeck.recipes._tasks.operations import count_operations
from limbeck.recipes._tasks.predictions import count_bytes
from limbeck.recipes.export.gate import LEAST_AGREEMENT, LEAST_COSINE
from limbeck.recipes.export.latency import SPEED_UP_NOTE, Latency
from limbeck.recipes.export.making import Made, group_widths
from limbeck.recipes.export.source import Source
from limbeck.report import figures, wording
from limbeck.report.figures import NONE, NONE_DIFFERS, or_none
from limbeck.report.statistics import bound_unseen
from limbeck.report.tables import align_rows
from limbeck.runs.export import (
    ExportedModel,
    ExportRecord,
    OutputsCompared,
    Repair,
    ScoreCompared,
)

MEMORY_NOTE = (
    "Peak memory is that of a process that loads it and reads a batch of 8 rows of 128 tokens, "
    "Python and libraries included."
)


def describe_model(
    made: Made, place: Path, latency: Latency | None, memory: Mapping[str, Footprint]
) -> ExportedModel:
    """Returns what is known of one export.

    Args:
        made: The export.
        place: Where it is to stand.
        latency: Of all, if that was measured.
        memory: What each takes of it, as far as that was measured.
    """
    target, verdict = made.target, made.verdict
    name, before = made.folder.name, made.before
    repair = None
    if before is not None:
        score = before.verdict.score
        kept = group_widths(made.widths)
        repair = Repair(
            kept_float=tuple(kept.get("float", ())),
            kept_int8=tuple(kept.get("int8", ())),
            num_exports=made.num_exports,
            file_bytes_before=before.file_bytes,
            score_before=None if score is None else score.score,
            latency_ms_before=None if latency is None else latency.ms.get(before.folder.name),
        )
    return ExportedModel(
        target=target.shown_name,
        engine=target.engine,
        precision=target.precision,
        folder=None if verdict.refusal else str(place),
        refusal=verdict.refusal,
        not_run=None if verdict.engine is not None else target.needs or "another system",
        file_bytes=made.file_bytes,
        outputs=verdict.outputs,
        score=verdict.score,
        latency_ms=None if latency is None else latency.ms.get(name),
        speed_up=None if latency is None else latency.speed_ups.get(name),
        texts_per_second=None if latency is None else latency.texts_per_second.get(name),
        **_word_memory(memory.get(name)),
        repair=repair,
        model_files={},
    )


def _word_memory(found: Footprint | None) -> dict[str, int | None]:
    if found is None:
        return {}
    return {"loaded_bytes": found.loaded_bytes, "peak_bytes": found.peak_bytes}


def describe_export(
    source: Source,
    models: Sequence[ExportedModel],
    latency: Latency | None,
    memory: Mapping[str, Footprint],
) -> ExportRecord:
    """Returns the outcome as it stands in `result.json`."""
    gate, task = source.gate, source.gate.task
    rows = next(filter(None, map(source.calibrate, source.targets)), None)
    return ExportRecord(
        model=source.settings.model,
        model_class=gate.graph.class_name,
        compared_with=source.settings.compare_with,
        training=source.training,
        file_bytes=count_bytes(source.compared),
        rows=gate.rows.source,
        num_rows=gate.rows.num_rows,
        calibration=None if rows is None else f"{rows.num_rows} {rows.source}",
        task=None if task is None else task.data.task.name,
        metric=None if task is None else task.data.task.metric,
        split=None if task is None else task.split,
        num_examples=None if task is None else task.num_examples,
        score=None if task is None else task.score,
        max_drop=None if task is None else task.max_drop,
        latency_ms=None if latency is None else latency.own_ms,
        num_threads=None if latency is None else latency.num_threads,
        texts_per_second=None if latency is None else latency.texts_per_second[TORCH],
        **_word_memory(memory.get(TORCH)),
        num_tokens=gate.rows.num_tokens,
        num_operations=count_operations(gate.graph, num_tokens=gate.rows.num_tokens),
        models=tuple(models),
    )


def require_kept(result: ExportRecord, *, was_repaired: bool) -> ExportRecord:
    """Returns a result of which nothing was refused.

    Args:
        result: Of the run.
        was_repaired: Whether it was looked for what to keep in float.

    Raises:
        ContractError: If something was.
    """
    refused = [model for model in result.models if model.refusal is not None]
    if not refused:
        return result
    reasons = "; ".join(f"{model.target}: {model.refusal}" for model in refused)
    kept = [model.target for model in result.models if model.refusal is None]
    rest = f" The others stand: {', '.join(kept)}." if kept else " Nothing was left."
    if result.training is not None:
        rest = f" What was trained, {result.training}, stays in training/model of the run's folder."
    helps = "; ".join(_list_remedies(result, refused, was_repaired=was_repaired))
    raise ContractError(f"refused {reasons}.{rest} What would help: {helps}", result=result)


def _list_remedies(
    result: ExportRecord, refused: Sequence[ExportedModel], *, was_repaired: bool
) -> Iterator[str]:
    """Yields what would help against refusals, and no more than does."""
    is_narrow = any(model.precision != "fp32" for model in refused)
    if is_narrow and not was_repaired:
        yield "repair=true, which finds the layers that have to stay wider"
    is_calibrated = any(load_target(model.target).needs_calibration for model in refused)
    if is_calibrated and result.task is None:
        yield "to calibrate on texts of the task's own (data or texts)"
    for model in refused:
        ends = None if model.score is None else model.score.interval
        if ends is not None and result.max_drop is not None and ends[0] <= result.max_drop:
            yield (
                f"more examples, since {result.num_examples:,} don't tell whether {model.target} "
                f"loses so much (95 % interval of the drop {ends[0]:.4f} to {ends[1]:.4f})"
            )
    if result.training is not None:
        yield "a longer training, such as finetune.epochs=10, or more bits, in another folder"
    else:
        yield "a wider precision" if is_narrow else "another target"


def summarise_result(result: ExportRecord) -> str:
    """Formats a result: a table of the model and its exports, and what the figures are of."""
    is_scored, is_measured = result.score is not None, result.latency_ms is not None
    head = ["", "size", "largest difference", "same answers"]
    metric = wording.metric_name(str(result.metric))
    head += [metric, "drop", "95 % interval"] if is_scored else []
    head += ["latency", "speed-up", "texts/s", "peak memory"] if is_measured else []
    own = [result.model_class, figures.file_size(result.file_bytes), NONE, NONE]
    own += [f"{result.score:.4f}", NONE, NONE] if is_scored else []
    if is_measured:
        own += [or_none(result.latency_ms, figures.milliseconds), NONE, *_word_load(result)]
    rows = [head, own]
    for model in result.models:
        row = [model.target, figures.file_size(model.file_bytes), *_word_outputs(model)]
        row += _word_score(model.score) if is_scored else []
        row += _word_speed(model) if is_measured else []
        rows.append(row)
    lines = ["", *align_rows(rows), ""]
    compared = [model.outputs for model in result.models if model.outputs is not None]
    if compared:
        lines.append(
            f"Outputs were compared on {result.num_rows} {result.rows}; the largest difference is "
            f"of two {name_outputs(compared[0])}."
        )
    if result.training is not None:
        lines.append(f"Trained {result.training}.")
    if result.compared_with is not None:
        lines.append(f"They are held against {result.compared_with}, not against the model itself.")
    if result.score is None and compared:
        lines.append(
            "Without data nothing was scored, which says less than a score on the task: an export "
            f"has to give {figures.percent(LEAST_AGREEMENT)} of the same answers, or vectors with "
            f"a mean cosine of {LEAST_COSINE:g}."
        )
    if result.score is not None:
        lines.append(
            f"Scored on {result.num_examples:,} {result.split} examples of {result.task}; a drop "
            f"of up to {result.max_drop:g} is accepted."
        )
        said = [(model.target, describe_doubt(model, result)) for model in result.models]
        lines += [f"{target}: {doubt}" for target, doubt in said if doubt is not None]
    if result.num_threads is not None:
        lines.append(
            f"Latency is that of single texts, {figures.number_of(result.num_threads, 'thread')}. "
            f"{SPEED_UP_NOTE}"
        )
    if result.peak_bytes is not None:
        lines.append(MEMORY_NOTE)
    if result.num_operations is not None:
        lines.append(_word_operations(result))
    if result.calibration is not None:
        lines.append(f"Calibrated on {result.calibration}.")
    for model in result.models:
        lines += [f"{model.target}: {_word_repair(model, model.repair)}"] if model.repair else []
        lines += [f"{model.target} was not run: needs {model.not_run}."] if model.not_run else []
        lines += [f"{model.target}: {model.folder}"] if model.folder else []
    return "\n".join(lines)


def _word_outputs(model: ExportedModel) -> list[str]:
    found = model.outputs
    if found is None:
        return [NONE, NONE]
    same = NONE if found.agreement is None else figures.percent(found.agreement)
    if found.agreement is None and found.cosine is not None:
        same = f"cosine {found.cosine:.5f}"
    return [f"{found.largest:.2g}", same]


def _word_score(found: ScoreCompared | None) -> list[str]:
    if found is None:
        return [NONE, NONE, NONE]
    return [f"{found.score:.4f}", f"{found.drop:.4f}", word_ends(found)]


def name_outputs(found: OutputsCompared) -> str:
    """Returns what a model's outputs are: the unit of their largest difference."""
    return "logits" if found.cosine is None else "numbers of the vectors"


def word_ends(found: ScoreCompared) -> str:
    """Returns the interval of a drop; of exports that differ on no example, just that."""
    if found.interval is None:
        return NONE
    low, high = found.interval
    return NONE_DIFFERS if low == high == 0 else f"{low:.4f} to {high:.4f}"


def _find_most(found: ScoreCompared, result: ExportRecord) -> float | None:
    """Returns the largest drop that the examples allow; None where nobody knows."""
    if found.interval is None:
        return None
    low, high = found.interval
    if low or high:
        return high
    # No example differs. What others may is a share of them, which no other metric is.
    metric = find_metric(str(result.metric))
    is_share = metric is not None and any(form.is_binomial for form in metric.forms)
    return bound_unseen(result.num_examples or 1) if is_share else None


def describe_doubt(model: ExportedModel, result: ExportRecord) -> str | None:
    """Says that the examples don't show that an export keeps the bound; None where they do."""
    if model.score is None or result.max_drop is None or model.refusal is not None:
        return None
    most = _find_most(model.score, result)
    if most is None or most <= result.max_drop:
        return None
    return (
        f"{result.num_examples:,} examples allow a drop of up to {most:.4f}, beyond the bound of "
        f"{result.max_drop:g}; more of them would tell."
    )


def _word_operations(result: ExportRecord) -> str:
    assert result.num_operations is not None
    return (
        f"Each makes {figures.magnitude(result.num_operations)} operations of a text of "
        f"{result.num_tokens} tokens, in whatever precision."
    )


def _word_speed(model: ExportedModel) -> list[str]:
    return [
        or_none(model.latency_ms, figures.milliseconds),
        NONE if model.speed_up is None else f"{model.speed_up:.2f}×",
        *_word_load(model),
    ]


def _word_load(found: ExportedModel | ExportRecord) -> list[str]:
    return [
        or_none(found.texts_per_second, figures.count),
        or_none(found.peak_bytes, figures.file_size),
    ]


def _word_repair(model: ExportedModel, repair: Repair) -> str:
    """Says what stayed wider, and what that cost."""
    size = f"{figures.file_size(repair.file_bytes_before)} to {figures.file_size(model.file_bytes)}"
    latency = ""
    if repair.latency_ms_before is not None and model.latency_ms is not None:
        before, after = map(figures.milliseconds, (repair.latency_ms_before, model.latency_ms))
        latency = f", latency from {before} to {after}"
    score = ""
    if repair.score_before is not None and model.score is not None:
        score = f"score from {repair.score_before:.4f} to {model.score.score:.4f}, "
    flattered = ", on the examples that the score is of, which flatters it" if score else ""
    kept = {"int8": repair.kept_int8, "float": repair.kept_float}
    named = "; ".join(f"in {width}: {', '.join(names)}" for width, names in kept.items() if names)
    return (
        f"kept {named}. That took {score}size from {size}"
        f"{latency}; {repair.num_exports} exports were tried{flattered}"
    )
