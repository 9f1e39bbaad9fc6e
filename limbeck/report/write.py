"""Writes a report: reads the runs, measures, joins, renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.files import write_json
from limbeck.report import wording
from limbeck.report.distillation import read_distillation
from limbeck.report.facts import TAUGHT, ModelFacts, Names, Report
from limbeck.report.join import join_comparisons, join_models, order_runs
from limbeck.report.notes import describe_conditions, describe_method
from limbeck.report.page import Page, Section
from limbeck.report.render import write_page
from limbeck.report.runs import Measure, choose_split, read_finetune_run
from limbeck.report.scored import read_scored
from limbeck.report.task_page import make_page


def write_report(
    runs: Sequence[Path],
    *,
    out: Path,
    teacher: str | None = None,
    distill_run: Path | None = None,
    title: str | None = None,
    shortage: str | None = None,
    notes: Sequence[str] = (),
    sections: Sequence[Section] = (),
    measure: Measure | None = None,
    names: Names = TAUGHT,
) -> Report:
    """Joins fine-tuning runs into `report.md`, `report.html` and `report.json`.

    The report is on the test split if all runs were scored on it, else on validation. The HTML
    page holds all it needs, plots included, and loads nothing.

    Args:
        runs: Finished run folders of `finetune` or `evaluate`, of one task: the teacher's, the
            student's and the baselines', as their `role` says.
        out: Folder to write to; made if it does not exist.
        teacher: Folder or label of the run that is the teacher; needed unless exactly one has
            that role. A folder counts before a label.
        distill_run: Run folder of the distillation that made the student.
        title: Heading; by default from the labels and the task.
        shortage: That the models were trained too briefly for any claim, in a sentence. It is the
            headline then; scores are shown, but neither retention nor differences.
        notes: What else is to be said, in sentences; they stand before those on the method.
        sections: What else the page shows, before what the models cost.
        measure: Measures the models' speed; None leaves it out.
        names: What sentences call the teacher and the student, where they are no such.

    Raises:
        DataError: If a run has not finished, or the runs can't be compared.
        SettingsError: If there is no single teacher.
    """
    read = order_runs([read_finetune_run(Path(folder)) for folder in runs], teacher=teacher)
    split = choose_split(read)
    scored = read_scored(read, split)
    speeds = {} if measure is None else measure(read, split)
    models = join_models(read, scored, speeds=speeds)
    if shortage is not None:
        models = [replace(model, retention=None) for model in models]
    comparisons = join_comparisons(models, scored, is_short=shortage is not None, names=names)
    task = read[0].result.task
    report = Report(
        title=title or _title(models, task),
        headline=shortage or wording.headline(models, scored, where=f"on {task}", names=names),
        remarks=wording.describe_limits(models, comparisons),
        constant=scored.constant,
        task=task,
        metric=scored.metric,
        labels=scored.labels,
        split=split,
        num_examples=scored.num_examples,
        models=tuple(models),
        comparisons=tuple(comparisons),
        distillation=None if distill_run is None else read_distillation(Path(distill_run)),
        notes=(*notes, *describe_method(models, scored, names)),
        conditions=describe_conditions(read),
        names=names,
    )
    page = make_page(report, sections)
    return replace(report, files=write_files(page, Path(out), report.to_dict()))


def _title(models: Sequence[ModelFacts], task: str) -> str:
    students = [f" to {model.label}," for model in models if model.role == "student"]
    return f"{models[0].label}{''.join(students[:1])} on {task}"


def write_files(page: Page, out: Path, values: Mapping[str, Any]) -> dict[str, Path]:
    """Writes `report.*`; returns the path of each kind.

    Args:
        page: The page.
        out: Folder to write to; made if it does not exist.
        values: Content of `report.json`.
    """
    files = {**write_page(page, out, name="report"), "json": out / "report.json"}
    named = {kind: path.name for kind, path in files.items()}
    write_json(files["json"], {**values, "files": named}, error=DataError)
    return files
