"""Forms as they are made: every seed of a source, exported and scored by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from limbeck.checkpoints import resolve_folder
from limbeck.export import Calibration, load_graph, write_export
from limbeck.files import replace_folder
from limbeck.recipes import evaluate
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes._teacher import evaluation_settings
from limbeck.recipes.compress.forms import Form
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.compress.sources import take_calibration
from limbeck.recipes.export.making import showing_steps
from limbeck.report.runs import FinetuneRun, SeedRun, read_finetune_run
from limbeck.runs import EvaluateRecord
from limbeck.train import Progress

_CALIBRATION_ROWS = 128  # as `export` takes by default


@dataclass(frozen=True, kw_only=True)
class ExportedRun(FinetuneRun):
    """A source in a format: its seeds' models were exported, and each export scored by itself.

    Attributes:
        exported: One for each seed.
    """

    exported: tuple[SeedRun, ...]

    @property
    def seeds(self) -> tuple[SeedRun, ...]:
        """One entry per seed."""
        return self.exported

    @property
    def best(self) -> SeedRun:
        """The seed whose export scores best on the split."""
        (split,) = {name for seed in self.exported for name in seed.scores}
        return max(self.exported, key=lambda seed: seed.scores[split][self.result.metric])


def make_form(
    settings: CompressSettings, form: Form, *, splits: Sequence[str], progress: Progress
) -> None:
    """Exports the models of a form and scores them, but for what is there already.

    Args:
        settings: Of the run.
        form: The form; its source is trained.
        splits: What is scored.
        progress: Where it is told.

    Raises:
        LimbeckError: If it can't be exported, or an export can't be run.
    """
    if form.target is None:
        return
    for model, place in _list_models(settings, form):
        exported = place / "model"
        if not exported.exists():
            progress.log(f"exporting {form.name}")
            graph = load_graph(model)
            rows: Calibration = ()
            if form.target.needs_calibration:
                rows = take_calibration(form.source, graph, count=_CALIBRATION_ROWS)
            with replace_folder(exported) as folder, showing_steps(form.target, progress):
                write_export(model, folder, form.target, graph=graph, calibration=rows)
        for split in splits:
            if not EvaluateRecord.exists(place / split):
                evaluate.run(
                    evaluation_settings(
                        settings,
                        model=exported,
                        split=split,
                        out=place / split,
                        label=form.name,
                        role="student",
                        device="cpu",
                    ),
                    progress=progress,
                )


def read_form(settings: CompressSettings, form: Form, split: str) -> FinetuneRun:
    """Reads what a form that was made scores on a split, as a run of a report.

    Raises:
        DataError: If a record can't be used.
    """
    trained = None
    if form.source.candidate is not None:
        trained = read_finetune_run(form.source.candidate.folder)
    if form.target is None:
        assert trained is not None, "the model itself in torch is no form"
        return replace(trained, result=trained.result.model_copy(update={"label": form.name}))
    places = [place for _, place in _list_models(settings, form)]
    runs = [read_finetune_run(place / split) for place in places]
    records = [None] if trained is None else [seed.record for seed in trained.seeds]
    seeds = tuple(
        replace(run.seeds[0], model=str(place / "model"), record=record)
        for run, place, record in zip(runs, places, records, strict=True)
    )
    found = ExportedRun(
        folder=runs[0].folder,
        record=runs[0].record if trained is None else trained.record,
        result=runs[0].result,
        role="student",
        exported=seeds,
    )
    return replace(found, folder=found.best.folder)


def _list_models(settings: CompressSettings, form: Form) -> list[tuple[Path, Path]]:
    """Returns the model folder of each seed, and where its form stands."""
    assert form.target is not None
    place = settings.out / "exports" / folder_name(form.source.name)
    name = form.target.shown_name
    candidate = form.source.candidate
    if candidate is None:
        vocabulary = form.source.vocabulary
        model = resolve_folder(settings.model) if vocabulary is None else vocabulary.kept
        return [(model, place / name)]
    run = read_finetune_run(candidate.folder)
    return [(Path(seed.model), place / seed.folder.name / name) for seed in run.seeds]
