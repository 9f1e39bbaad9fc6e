"""The tables of a report, as text, the same in Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from limbeck.report import figures, wording
from limbeck.report.distillation import (
    OF_TEACHER,
    SHARES,
    is_better_lower,
    name_held_out,
)
from limbeck.report.facts import (
    Comparison,
    ConstantFacts,
    DistillationFacts,
    ModelFacts,
    Names,
    Report,
)
from limbeck.report.figures import NONE, or_none
from limbeck.report.page import Table
from limbeck.report.training import format_steps

Columns = Mapping[str, Callable[[ModelFacts], str]]
"""What each column says of a model, by the column's name."""


def model_table(
    models: Sequence[ModelFacts], columns: Columns, *, title: str, note: str = ""
) -> Table:
    """Returns a table with a model a row."""
    rows = tuple((m.label, *(say(m) for say in columns.values())) for m in models)
    return Table(title=title, columns=("Model", *columns), rows=rows, note=note)


def quality_table(report: Report) -> Table:
    """Returns what each model scores and what it kept of the teacher."""
    name = figures.capitalise(wording.metric_name(report.metric))
    other = report.names.reference
    columns: dict[str, Callable[[ModelFacts], str]] = {
        f"{name}, mean": lambda m: figures.points(m.scores.mean),
        "Standard error": lambda m: or_none(m.scores.standard_error, figures.points),
        "Retention (95 % interval)": lambda m: or_none(m.retention, figures.share),
        f"Agrees with {other}": lambda m: or_none(m.agreement_with_teacher, figures.percent),
    }
    if has_several_seeds(report.models):
        columns |= {"Median": lambda m: figures.points(m.scores.median)}
        columns |= {"Lowest to highest": seed_range}
    columns |= {"Steps": steps_or_none}
    if report.names.is_taught:
        columns |= {"Role": lambda m: m.role}
    over = "; mean, median and range are over seeds" if "Median" in columns else ""
    note = (
        f"On {report.task} {report.split}, {figures.count(report.num_examples)} examples{over}. "
        f"Retention is the score divided by the {other}'s. Agreement is the share of examples that "
        f"get the {other}'s prediction. Steps are those of fine-tuning, of each seed."
    )
    table = model_table(report.models, columns, title="What was kept", note=note)
    return add_constant(table, report.constant)


def add_constant(table: Table, constant: ConstantFacts | None) -> Table:
    """Returns a table of models with what one answer for all scores in its second column."""
    if constant is None:
        return table
    name = figures.capitalise(wording.constant_name(constant))
    cells = [figures.points(constant.score), *[NONE] * (len(table.columns) - 2)]
    return replace(table, rows=(*table.rows, (name, *cells)))


def cost_table(models: Sequence[ModelFacts]) -> Table:
    """Returns the size and speed of each model."""
    columns: dict[str, Callable[[ModelFacts], str]] = {
        "Layers": lambda m: str(m.num_layers),
        "Parameters": lambda m: figures.magnitude(m.num_parameters),
        "Weight file": lambda m: figures.file_size(m.file_bytes),
    }
    note = ""
    batch = next((m.speed.batch_size for m in models if m.speed), None)
    if batch is not None:
        columns |= {
            "Latency, batch 1": latency_or_none,
            "Model alone": lambda m: or_none(
                m.speed, lambda speed: figures.milliseconds(speed.model_latency_ms.median)
            ),
            f"Texts/s, batch {batch}": lambda m: or_none(
                m.speed, lambda speed: figures.count(speed.texts_per_second.median)
            ),
            f"Tokens/s, batch {batch}": lambda m: or_none(
                m.speed, lambda speed: figures.count(speed.tokens_per_second.median)
            ),
            "Speed-up at batch 1": speed_up_or_none,
            f"Speed-up at batch {batch}": lambda m: or_none(
                m.speed_up, lambda ratio: figures.times(ratio.throughput)
            ),
        }
        note = (
            "Times include tokenisation unless they say otherwise. Medians over rounds in which "
            "all models took turns, quartiles in brackets."
        )
    return model_table(models, columns, title="What it costs", note=note)


def comparison_table(comparisons: Sequence[Comparison], names: Names) -> Table | None:
    """Returns the paired differences; None if nothing was compared."""
    if not comparisons:
        return None
    called = {"teacher": names.reference}
    rows = [
        (
            f"{c.model} − {c.reference}",
            called.get(c.reference_role, c.reference_role),
            *difference_cells(c),
            c.verdict,
        )
        for c in comparisons
    ]
    return Table(
        title="Paired differences",
        columns=("Difference", "Against", "Points", "95 % interval", "Finding"),
        rows=tuple(rows),
        note=(
            "Both models on the same examples. A finding other than “not distinguishable” needs "
            "an interval without 0."
        ),
    )


def labels_table(report: Report) -> Table | None:
    """Returns every model's F1 on each label or type of entity; None where there are none."""
    if not report.labels:
        return None
    models = [model.label for model in report.models]
    rows = [
        (
            label.name,
            figures.count(label.support),
            *(figures.points(label.f1[model]) for model in models),
        )
        for label in report.labels
    ]
    return Table(
        title="Each label",
        columns=("Label", "Examples of it", *models),
        rows=tuple(rows),
        note=f"F1 on {report.split}, mean over seeds; of few examples it is known only roughly.",
    )


def has_several_seeds(models: Sequence[ModelFacts]) -> bool:
    """Tells whether there is more to say of any model's seeds than its one score."""
    return any(len(model.scores.values) > 1 for model in models)


def seeds_table(report: Report) -> Table | None:
    """Returns every seed's score; None where no model has more than one."""
    if not has_several_seeds(report.models):
        return None
    names, cells = seed_columns(report.models)
    return Table(
        title="Every seed",
        columns=("Model", *names, "Seeds agree", "Fine-tuning, all seeds"),
        rows=tuple(
            (
                model.label,
                *cells(model),
                or_none(model.agreement_between_seeds, figures.percent),
                or_none(model.training_seconds, figures.duration),
            )
            for model in report.models
        ),
        note=(
            f"{figures.capitalise(wording.metric_name(report.metric))} on {report.split}. “Seeds "
            "agree” is the share of examples on which two seeds of one model predict the same: "
            "what agreement with the teacher is to be held against."
        ),
    )


def distillation_table(distillation: DistillationFacts) -> Table | None:
    """Returns the held-out figures before and after; None if none was measured."""
    before, after = distillation.before, distillation.after
    rows = tuple(
        (
            words,
            _held_out(name, before.get(name)),
            _held_out(name, after[name]),
            _held_out(name, after.get(OF_TEACHER.get(name, ""))),
            "lower" if is_better_lower(name) else "higher",
        )
        for name, words in name_held_out(after).items()
        if name in after
    )
    if not rows:
        return None
    start = f"Step {figures.count(distillation.before_step)}"
    columns = ("Figure", start, "End", "Teacher", "Better is")
    return Table(title="Held-out text, before and after", columns=columns, rows=rows)


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


def seed_columns(
    models: Sequence[ModelFacts],
) -> tuple[list[str], Callable[[ModelFacts], list[str]]]:
    """Returns a column's name for each seed of any model, and what gives a model's cells."""
    found = {seed for model in models for seed in model.scores.seeds}
    seeds = sorted(found, key=lambda seed: (seed is not None, seed or 0))  # evaluated ones first

    def cells(model: ModelFacts) -> list[str]:
        by_seed = dict(zip(model.scores.seeds, model.scores.values, strict=True))
        return [or_none(by_seed.get(seed), figures.points) for seed in seeds]

    return ["As given" if seed is None else f"Seed {seed}" for seed in seeds], cells


def difference_cells(comparison: Comparison) -> tuple[str, str]:
    """Returns a difference in points and its interval."""
    if comparison.paired is None:
        return NONE, NONE
    found = comparison.paired.difference
    return figures.points(found.estimate, signed=True), figures.interval(found, signed=True)


def seed_range(model: ModelFacts) -> str:
    """Returns the lowest and the highest seed's score."""
    return f"{figures.points(model.scores.lowest)} to {figures.points(model.scores.highest)}"


def steps_or_none(model: ModelFacts) -> str:
    """Returns how many steps each seed of a model was fine-tuned for, or a dash."""
    return or_none(model.training, format_steps)


def latency_or_none(model: ModelFacts) -> str:
    """Returns a model's latency at batch 1, or a dash."""
    return or_none(model.speed, lambda speed: figures.milliseconds(speed.latency_ms.median))


def speed_up_or_none(model: ModelFacts) -> str:
    """Returns how many times as fast as the teacher a model is at batch 1, or a dash."""
    return or_none(model.speed_up, lambda ratio: figures.times(ratio.latency))


def _held_out(name: str, value: float | None) -> str:
    if value is None or name in SHARES:
        return or_none(value, figures.percent)
    return f"{value:.3f}".replace("-", figures.MINUS)
