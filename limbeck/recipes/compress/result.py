"""What `compress` says at the end: `result.json`, the terminal's table, the broken contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import ContractError
from limbeck.report import figures, wording
from limbeck.report.compression import (
    Compression,
    describe_test,
    find_looser,
    find_nearest,
    headline,
)
from limbeck.report.compression_page import FILES
from limbeck.report.facts import ModelFacts
from limbeck.report.figures import NONE
from limbeck.report.tables import align_rows
from limbeck.runs import CompressedModel, CompressRecord, hash_model_files
from limbeck.runs.machine import describe_hardware
from limbeck.train import Progress


def make_record(
    found: Compression, out: Path, *, asked: Mapping[str, Any], examples_sha256: str
) -> CompressRecord:
    """Returns the outcome as it stands in `result.json`.

    Args:
        found: The outcome.
        out: The run's folder.
        asked: The settings that decide what is tried and chosen.
        examples_sha256: Of the examples that it is over.
    """
    return CompressRecord(
        asked=dict(asked),
        examples_sha256=examples_sha256,
        task=found.task,
        metric=found.metric,
        split=found.split,
        num_examples=found.num_examples,
        retain=found.retain,
        reached=found.chosen is not None,
        chosen=found.chosen,
        model=None if found.chosen is None else str(out / "model"),
        headline=headline(found),
        on_test=describe_test(found),
        models=tuple(_describe_model(found, model) for model in found.models),
        looser=() if found.chosen is not None else tuple(find_looser(found)),
        **_describe_search(found, out / "model"),
        files={kind: str(out / name) for kind, name in FILES.items()},
    )


def summarise_result(result: CompressRecord) -> str:
    """Formats a result: the table, and where the contract was kept the outcome and the files.

    Where it was not, the error says it.
    """
    head = ["model", "layers", "parameters", "file", wording.metric_name(result.metric)]
    head += ["kept", "enough", "latency", "speed-up"]
    head += ["memory"] if result.bounds is not None else []
    rows = [head, *map(_words, result.models)]
    lines = ["", *align_rows([row[: len(head)] for row in rows]), ""]
    lines += [f"Not tried: {name}: {why}" for name, why in result.not_tried.items()]
    if result.reached:
        lines += [result.headline, *([result.on_test] if result.on_test else []), ""]
        lines += [f"The page:   {result.files.get('html')}", f"The model:  {result.model}"]
    return "\n".join(lines)


def require_contract(result: CompressRecord) -> CompressRecord:
    """Returns a result whose contract was kept.

    Raises:
        ContractError: If it was not.
    """
    if result.reached:
        return result
    wider = "" if result.bounds is None else "wider bounds, other targets, "
    looser = f" It would do to ask for {'; or for '.join(result.looser)}." if result.looser else ""
    raise ContractError(
        f"{result.headline}{looser} What would help: {wider}more epochs or seeds, more examples, a "
        "student that was distilled on running text before (student=MODEL), a deeper one, or a "
        f"smaller share. All that was tried: {result.files.get('html')}",
        result=result,
    )


def warn_of_other_machine(result: CompressRecord, out: Path, progress: Progress) -> None:
    """Says where a finished search was measured, if that is not here."""
    here, there = describe_hardware(), result.machine
    if there is None or there == here:
        return
    progress.log(
        f"{out} was measured on another machine ({there.cpu}, {there.num_usable_cores} cores), and "
        f"what is within bounds there need not be so here ({here.cpu}, {here.num_usable_cores} "
        f"cores); remove {out / result.FILE_NAME}, and the same command measures on this one"
    )


def _describe_search(found: Compression, model: Path) -> dict[str, Any]:
    if found.search is None:
        return {}
    return {
        "bounds": dict(found.search.bounds.items()),
        "not_tried": dict(found.search.not_tried),
        "nearest": None if found.chosen is not None else find_nearest(found).label,
        "model_files": {} if found.chosen is None else hash_model_files(model),
        "machine": describe_hardware(),
    }


def _describe_model(found: Compression, model: ModelFacts) -> CompressedModel:
    is_teacher = model is found.teacher
    interval = model.retention
    return CompressedModel(
        name=model.label,
        role=model.role,
        how=found.how[model.label],
        folder=model.folder,
        num_layers=model.num_layers,
        num_parameters=model.num_parameters,
        file_bytes=model.file_bytes,
        seeds=model.scores.seeds,
        scores=model.scores.values,
        score=model.scores.median,
        retained=found.kept(model) if not is_teacher and found.is_shown(model) else None,
        retained_interval=None if interval is None else (interval.low, interval.high),
        reached=None if is_teacher else found.is_enough(model),
        latency_ms=None if model.speed is None else model.speed.latency_ms.median,
        speed_up=None if model.speed_up is None else model.speed_up.latency.median,
        **_describe_costs(found, model),
    )


def _describe_costs(found: Compression, model: ModelFacts) -> dict[str, Any]:
    if found.search is None:
        return {}
    footprint = found.search.footprints.get(model.label)
    return {
        "loaded_bytes": None if footprint is None else footprint.loaded_bytes,
        "peak_bytes": None if footprint is None else footprint.peak_bytes,
        "expected": found.search.expected.get(model.label),
    }


def _words_of_size(model: CompressedModel) -> list[str]:
    if not model.num_parameters:  # a file of predictions, or a server
        return [NONE] * 3
    return [
        str(model.num_layers),
        figures.magnitude(model.num_parameters),
        figures.file_size(model.file_bytes),
    ]


def _words(model: CompressedModel) -> list[str]:
    """Returns a model's line of the terminal's table."""
    return [
        model.name,
        *_words_of_size(model),
        figures.points(model.score),
        NONE if model.retained is None else f"{figures.points(model.retained)} %",
        {None: NONE, True: "yes", False: "no"}[model.reached],
        NONE if model.latency_ms is None else figures.milliseconds(model.latency_ms),
        NONE if model.speed_up is None else f"{model.speed_up:.2f}×",
        figures.or_none(model.loaded_bytes, figures.file_size),
    ]
