"""The chosen model in its place, with a card that has the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from limbeck.checkpoints import read_inherited
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.folders import share_folder
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.exports import ExportedRun
from limbeck.recipes.compress.forms import Form
from limbeck.recipes.compress.vocabulary import Vocabulary
from limbeck.recipes.export.card import describe_use
from limbeck.report import figures
from limbeck.report.card import Card, CardScore, write_card
from limbeck.report.compression import Compression, describe_test, headline
from limbeck.report.facts import ModelFacts
from limbeck.report.page import Table
from limbeck.runs import FinetuneRecord
from limbeck.version import __version__


def write_student(folder: Path, chosen: Candidate, data: TaskData, found: Compression) -> None:
    """Puts the chosen student's best seed into its place."""
    share_folder(chosen.folder / "model", folder)
    record = FinetuneRecord.read(chosen.folder)
    card = chosen.card(data, record.best, records=record.seeds)
    write_card(folder, _with_proof(card, found, chosen.how, chosen.vocabulary))


def write_export(
    folder: Path, form: Form, run: ExportedRun, data: TaskData, found: Compression
) -> None:
    """Puts the export of the chosen form's best seed into its place."""
    best = run.best
    share_folder(Path(best.model), folder)
    use, made = describe_use(folder)
    card = _base_card(form, data)
    scores = [
        CardScore(
            split=found.split,
            metric=found.metric,
            value=best.scores[found.split][found.metric],
            num_examples=found.num_examples,
            seed_values=tuple(seed.scores[found.split][found.metric] for seed in run.seeds),
        )
    ]
    card = replace(
        card,
        scores=scores,
        made={**card.made, **made},
        tags=[*card.tags, *([use.engine] if use.engine else [])],
        tables=[_compare(found)],
        export=use,
    )
    write_card(folder, _with_proof(card, found, form.how, form.source.vocabulary))


def _base_card(form: Form, data: TaskData) -> Card:
    """Returns the card of the model that was exported."""
    candidate = form.source.candidate
    if candidate is not None:
        record = FinetuneRecord.read(candidate.folder)
        return candidate.card(data, record.best, records=record.seeds)
    return Card(
        name="",
        summary="",
        auto_class=data.task.auto_model.__name__,
        task=data.settings.task_label or data.task.name,
        made={"Recipe": f"limbeck compress {__version__}"},
        base_model=data.settings.model,
        pipeline_tag=data.task.pipeline_tag,
        inherited=read_inherited(data.folder),
    )


def _with_proof(card: Card, found: Compression, how: str, vocabulary: Vocabulary | None) -> Card:
    model = _chosen(found)
    made = {
        "Chosen by": "limbeck compress",
        "Asked to retain": f"{found.retain:g}",
        **_word_bounds(found),
        **({"Retained on validation": f"{found.kept(model):.4f}"} if found.is_shown(model) else {}),
    }
    if model.speed is not None and model.speed_up is not None:
        latency, device = model.speed.latency_ms.median, model.speed.device
        made |= {
            "Latency at batch 1": f"{latency:.2f} ms on {device}, tokenisation included",
            "Teacher's latency over its own": f"{model.speed_up.latency.median:.2f}",
        }
    notes = [headline(found), describe_test(found) or "", *card.notes]
    if vocabulary is not None:
        made["Vocabulary"] = f"{vocabulary.size} pieces"
        notes.insert(2, vocabulary.describe())
    return replace(
        card,
        name=f"{found.name} to {found.chosen}",
        summary=f"{found.name}, made smaller for {found.task}: {how}.",
        made={**made, **card.made},
        notes=[note for note in notes if note],
    )


def _word_bounds(found: Compression) -> Mapping[str, str]:
    bounds = "" if found.search is None else str(found.search.bounds)
    return {"Asked to be within": bounds} if bounds else {}


def _compare(found: Compression) -> Table:
    """Returns the choice beside the teacher."""
    model, teacher = _chosen(found), found.teacher
    rows = [(found.metric.replace("_", " "), *(f"{m.scores.median:.4f}" for m in (teacher, model)))]
    if teacher.is_model:
        rows.append(("Size", *(figures.file_size(m.file_bytes) for m in (teacher, model))))
    speeds = [m.speed for m in (teacher, model)]
    if all(speeds):
        words = [figures.milliseconds(s.latency_ms.median) for s in speeds if s is not None]
        rows.append(("Latency at batch 1, median", *words))
    columns = ("What", "The teacher in torch", str(found.chosen))
    return Table(title="Beside the teacher", columns=columns, rows=tuple(rows))


def _chosen(found: Compression) -> ModelFacts:
    return next(model for model in found.models if model.label == found.chosen)
