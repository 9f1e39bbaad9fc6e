"""The card of an exported folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from limbeck.checkpoints import read_base_model, read_inherited
from limbeck.checkpoints.exported import ExportInfo
from limbeck.export import Graph, load_target
from limbeck.models import SentenceModel
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.memory import read_memory
from limbeck.recipes.export.latency import SPEED_UP_NOTE
from limbeck.recipes.export.result import describe_doubt, name_outputs, word_ends
from limbeck.report import figures
from limbeck.report.card import Card, CardScore, ExportUse, name_class, write_card
from limbeck.report.figures import NONE_DIFFERS
from limbeck.report.page import Table
from limbeck.report.wording import metric_name
from limbeck.runs.export import ExportedModel, ExportRecord
from limbeck.tasks import load_task
from limbeck.version import __version__

_DTYPES = {
    "model": "fp32",
    "model_fp16": "fp16",
    "model_quantized": "q8",
    "model_int8": "int8",
    "model_q4": "q4",
}
"""What transformers.js calls a file by its name."""


def write_export_card(
    folder: Path, source: Path, graph: Graph, model: ExportedModel, record: ExportRecord
) -> None:
    """Writes an exported folder's `README.md`.

    Args:
        folder: The exported folder.
        source: The model's folder.
        graph: The model.
        model: What is known of the export.
        record: What is known of the run.
    """
    info, name = ExportInfo.read(folder), show_model(record.model)
    card = Card(
        name=f"{name}, {model.target}",
        summary=(
            f"{name} exported to {model.target} ({model.precision}) with limbeck {__version__}. "
            f"{_say_proof(model, record)}"
        ),
        auto_class=name_class(graph.kind, makes_vectors=isinstance(graph.model, SentenceModel)),
        task=record.task,
        scores=_scores(model, record),
        made=_describe(info, model, record, name),
        notes=_notes(model, record),
        base_model=_find_base(record.model, source),
        tags=[info.engine] if info.engine else [],
        inherited=read_inherited(source),
        tables=[_compare(model, record)],
        export=replace(_find_use(folder, info), needs=model.not_run or ""),
    )
    write_card(folder, card)


def describe_use(folder: Path) -> tuple[ExportUse, dict[str, str]]:
    """Returns how an exported model is run, and how it was written, a line each."""
    info = ExportInfo.read(folder)
    return _find_use(folder, info), _describe_writing(info)


def _find_use(folder: Path, info: ExportInfo) -> ExportUse:
    return ExportUse(
        engine=info.engine,
        needs="",
        file=_find_run(info),
        target=info.target,
        dtype=_find_dtype(info),
        reads_pairs=_reads_pairs(folder),
    )


def _reads_pairs(folder: Path) -> bool:
    """Tells whether a model was fine-tuned on pairs of texts, as far as its folder says."""
    memory = read_memory(folder)
    if memory is None:
        return False
    options = load_task(memory.task).read_options(memory.task_options)
    return getattr(options, "text_pair_column", None) is not None


def _find_run(info: ExportInfo) -> str:
    """Returns what is run: a file, or the package, which is a folder, that it lies in."""
    path = PurePosixPath(next(iter(info.files)))
    packages = [folder for folder in path.parents if folder.suffix]
    return str(packages[-1] if packages else path)


def _say_proof(model: ExportedModel, record: ExportRecord) -> str:
    if model.not_run is not None:
        return f"It was not run: needs {model.not_run}."
    if model.score is None:
        return "Its outputs were compared with the model's; no score was taken."
    return f"Its score on {record.task} was compared with the model's."


def _scores(model: ExportedModel, record: ExportRecord) -> list[CardScore]:
    if model.score is None or record.metric is None:
        return []
    return [
        CardScore(
            split=record.split or "",
            metric=record.metric,
            value=model.score.score,
            num_examples=record.num_examples or 0,
        )
    ]


def _notes(model: ExportedModel, record: ExportRecord) -> list[str]:
    other = record.compared_with
    held = [] if other is None else [f"It was held against {show_model(other)}."]
    if model.score is None:
        return held
    ends = model.score.interval
    interval = "" if ends is None else f" (95 % interval {word_ends(model.score)}, paired)"
    if ends is not None and word_ends(model.score) == NONE_DIFFERS:
        interval = f" ({NONE_DIFFERS})"
    named = "The model itself" if other is None else show_model(other)
    bound = f" A drop of up to {record.max_drop:g} was accepted."
    doubt = describe_doubt(model, record)
    return [
        *held,
        f"{named} has {record.score:.4f}: {model.score.drop:.4f} more{interval}.{bound}",
        *([] if doubt is None else [f"Whether it keeps that bound is not sure: {doubt}"]),
    ]


def _find_base(model: str, folder: Path) -> str | None:
    """Returns the Hub's model that it is of: itself, or what its own card says."""
    is_folder = Path(model).expanduser().exists()
    return read_base_model(folder) if is_folder else model


def _compare(model: ExportedModel, record: ExportRecord) -> Table:
    """Returns the export beside the model."""
    none = figures.NONE
    rows: list[tuple[str, ...]] = [
        ("Size", figures.file_size(record.file_bytes), figures.file_size(model.file_bytes))
    ]
    if model.score is not None:
        metric = figures.capitalise(metric_name(str(record.metric)))
        rows.append((metric, f"{record.score:.4f}", f"{model.score.score:.4f}"))
    if model.latency_ms is not None and record.latency_ms is not None:
        own, given = map(figures.milliseconds, (record.latency_ms, model.latency_ms))
        threads = record.num_threads
        number = "" if threads is None else f", {figures.number_of(threads, 'thread')}"
        label = f"Latency at batch 1, median{number}"
        rows.append((label, own, f"{given} ({model.speed_up:.2f}×)"))
    rates = (record.texts_per_second, model.texts_per_second)
    if None not in rates:
        label = "Texts a second, in a batch"
        rows.append((label, *(figures.or_none(rate, figures.count) for rate in rates)))
    peaks = (record.peak_bytes, model.peak_bytes)
    if None not in peaks:
        label = "Peak memory of a process"
        rows.append((label, *(figures.or_none(peak, figures.file_size) for peak in peaks)))
    if record.num_operations is not None:
        label = f"Operations of a text of {record.num_tokens} tokens"
        rows.append((label, *[figures.magnitude(record.num_operations)] * 2))
    found = model.outputs
    if found is not None:
        rows.append(("Largest difference of outputs", none, f"{found.largest:.2g}"))
        if found.agreement is not None:
            rows.append(("Same answers", none, figures.percent(found.agreement)))
        if found.cosine is not None:
            rows.append(("Mean cosine of vectors", none, f"{found.cosine:.6f}"))
    notes = []
    if found is not None:
        compared = f"Outputs on {record.num_rows} {record.rows}"
        notes.append(f"{compared}; the largest difference is of two {name_outputs(found)}.")
    notes += [SPEED_UP_NOTE] if model.speed_up is not None else []
    return Table(
        title="Beside the model",
        columns=("What", f"{record.model_class} in torch", model.target),
        rows=tuple(rows),
        note=" ".join(notes),
    )


def _describe(
    info: ExportInfo, model: ExportedModel, record: ExportRecord, name: str
) -> dict[str, str]:
    """Returns how the export was made, a line each."""
    made = {"Recipe": f"limbeck export {__version__}", "Exported from": name}
    if record.training is not None:
        made["Trained"] = record.training
    if record.calibration is not None and load_target(info.target).needs_calibration:
        made["Calibrated on"] = record.calibration
    if model.repair is not None:
        kept = {"int8": model.repair.kept_int8, "float": model.repair.kept_float}
        made |= {f"Kept in {width}": ", ".join(names) for width, names in kept.items() if names}
    return {**made, **_describe_writing(info)}


def _describe_writing(info: ExportInfo) -> dict[str, str]:
    libraries = ", ".join(f"{library} {version}" for library, version in info.made_with.items())
    made = {"Written with": libraries} if libraries else {}
    for word, value in info.options.items():
        if value:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            made[word.replace("_", " ").capitalize()] = shown
    return {**made, "Files": ", ".join(info.files)}


def _find_dtype(info: ExportInfo) -> str | None:
    """Returns what transformers.js calls an ONNX file of ours."""
    name = PurePosixPath(next(iter(info.files))).stem
    return _DTYPES.get(name) if info.engine == "onnxruntime" else None
