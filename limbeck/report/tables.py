"""The tables of a report, as text, the same in Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.report import wording
from limbeck.report.distillation import HELD_OUT, OF_TEACHER
from limbeck.report.facts import Comparison, Distillation, ModelFacts, Report

NONE = "–"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text; the first column names the row.

    Attributes:
        title: Heading.
        columns: Names of the columns.
        rows: Cells.
        note: A sentence on how to read it, or an empty string.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def quality_table(report: Report) -> Table:
    """Returns what each model scores and what it kept of the teacher."""
    name = wording.metric_name(report.metric)
    return Table(
        title="What was kept",
        columns=(
            "Model",
            f"{_capitalise(name)}, mean",
            "Standard error",
            "Retention (95 % interval)",
            "Agrees with teacher",
            "Median",
            "Lowest to highest",
            "Role",
        ),
        rows=tuple(_quality_row(model) for model in report.models),
        note=(
            f"On {report.task} {report.split}, {wording.count(report.num_examples)} examples; "
            "mean, median and range are over seeds. Retention is the score divided by the "
            "teacher's. Agreement is the share of examples that get the teacher's prediction."
        ),
    )


def cost_table(models: Sequence[ModelFacts]) -> Table:
    """Returns the size and speed of each model."""
    batch_size = next((m.speed.batch_size for m in models if m.speed), None)
    measured: tuple[str, ...] = ()
    note = ""
    if batch_size is not None:
        measured = (
            "Latency, batch 1",
            "Model alone",
            f"Texts/s, batch {batch_size}",
            f"Tokens/s, batch {batch_size}",
            "Speed-up at batch 1",
            f"Speed-up at batch {batch_size}",
        )
        note = (
            "Times include tokenisation unless they say otherwise. Medians over rounds in which "
            f"all models took turns, quartiles in brackets. {wording.PAIRED_RATIOS}"
        )
    return Table(
        title="What it costs",
        columns=("Model", "Layers", "Parameters", "Weight file", *measured),
        rows=tuple(_cost_row(model, has_speed=bool(measured)) for model in models),
        note=note,
    )


def comparison_table(comparisons: Sequence[Comparison]) -> Table | None:
    """Returns the paired differences; None if nothing was compared."""
    if not comparisons:
        return None
    rows = []
    for comparison in comparisons:
        paired = comparison.paired
        difference = ends = NONE
        if paired is not None:
            difference = wording.points(paired.difference.estimate, signed=True)
            ends = wording.interval(paired.difference, signed=True)
        rows.append(
            (
                f"{comparison.model} − {comparison.reference}",
                comparison.reference_role,
                difference,
                ends,
                comparison.verdict,
            )
        )
    return Table(
        title="Paired differences",
        columns=("Difference", "Against", "Points", "95 % interval", "Finding"),
        rows=tuple(rows),
        note=(
            "Both models on the same examples. A finding other than “not distinguishable” needs "
            "an interval without 0."
        ),
    )


def seeds_table(report: Report) -> Table:
    """Returns every seed's score."""
    found = {seed for model in report.models for seed in model.scores.seeds}
    seeds = sorted(found, key=lambda seed: (seed is not None, seed or 0))  # evaluated ones first
    rows = []
    for model in report.models:
        by_seed = dict(zip(model.scores.seeds, model.scores.values, strict=True))
        cells = [wording.points(by_seed[s]) if s in by_seed else NONE for s in seeds]
        own = model.agreement_between_seeds
        time = model.training_seconds
        rows.append(
            (
                model.label,
                *cells,
                NONE if own is None else f"{wording.points(own)} %",
                NONE if time is None else wording.duration(time),
            )
        )
    return Table(
        title="Every seed",
        columns=(
            "Model",
            *("As given" if seed is None else f"Seed {seed}" for seed in seeds),
            "Seeds agree",
            "Fine-tuning, all seeds",
        ),
        rows=tuple(rows),
        note=(
            f"{_capitalise(wording.metric_name(report.metric))} on {report.split}. “Seeds agree” "
            "is the share of examples on which two seeds of one model predict the same: what "
            "agreement with the teacher is to be held against."
        ),
    )


def distillation_table(distillation: Distillation) -> Table | None:
    """Returns the held-out figures before and after; None if none was measured."""
    names = [name for name in HELD_OUT if name in distillation.after]
    if not names:
        return None
    before, after = distillation.before, distillation.after
    return Table(
        title="Held-out text, before and after",
        columns=("Figure", f"Step {wording.count(distillation.before_step)}", "End", "Teacher"),
        rows=tuple(
            (
                HELD_OUT[name],
                _figure(name, before.get(name)),
                _figure(name, after[name]),
                _figure(name, after.get(OF_TEACHER.get(name, ""))),
            )
            for name in names
        ),
    )


def report_tables(report: Report) -> list[Table]:
    """Returns all tables, in order."""
    distillation = report.distillation
    tables = [
        quality_table(report),
        comparison_table(report.comparisons),
        cost_table(report.models),
        None if distillation is None else distillation_table(distillation),
        seeds_table(report),
    ]
    return [table for table in tables if table is not None]


def align_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lays rows out as lines of text for a terminal, all columns but the first to the right.

    Example:
        >>> align_rows([("model", "F1"), ("a", "0.9")])
        ['model   F1', 'a      0.9']
    """
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]).rstrip() for row in rows
    ]


def _quality_row(model: ModelFacts) -> tuple[str, ...]:
    scores, share = model.scores, model.retention
    error, agrees = scores.standard_error, model.agreement_with_teacher
    kept = NONE
    if share is not None:
        kept = f"{wording.points(share.estimate)} % ({wording.interval(share)})"
    return (
        model.label,
        wording.points(scores.mean),
        NONE if error is None else wording.points(error),
        kept,
        NONE if agrees is None else f"{wording.points(agrees)} %",
        wording.points(scores.median),
        f"{wording.points(scores.lowest)} to {wording.points(scores.highest)}",
        model.role,
    )


def _cost_row(model: ModelFacts, *, has_speed: bool) -> tuple[str, ...]:
    size = (
        model.label,
        str(model.num_layers),
        wording.magnitude(model.num_parameters),
        wording.file_size(model.file_bytes),
    )
    if not has_speed:
        return size
    if model.speed is None:
        return (*size, *[NONE] * 6)
    speed, ratio = model.speed, model.speed_up
    return (
        *size,
        wording.milliseconds(speed.latency_ms.median),
        wording.milliseconds(speed.model_latency_ms.median),
        wording.count(speed.texts_per_second.median),
        wording.count(speed.tokens_per_second.median),
        NONE if ratio is None else wording.times(ratio.latency),
        NONE if ratio is None else wording.times(ratio.throughput),
    )


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return NONE
    if name in {"mlm_accuracy", "teacher_agreement"}:
        return f"{wording.points(value)} %"
    return f"{value:.3f}".replace("-", wording.MINUS)


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
