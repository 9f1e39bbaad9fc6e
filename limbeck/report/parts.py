"""Parts that pages of all kinds have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from limbeck.report import figures, wording
from limbeck.report.facts import TAUGHT, BaseReport, ModelFacts, Names
from limbeck.report.page import (
    Finding,
    Fold,
    Items,
    Page,
    Plot,
    Plots,
    Section,
    Table,
    Terms,
    Tile,
)

Part = TypeVar("Part")


def make_report_page(
    report: BaseReport,
    sections: Sequence[Section],
    *,
    kept: str,
    score: str,
    remarks: Sequence[str] = (),
) -> Page:
    """Returns a report's page: the student's main figures, what was compared, and the sections.

    Args:
        report: On a task or a suite.
        sections: The parts of the page that are before the method.
        kept: Name of what the student kept a share of.
        score: Name of its score.
        remarks: What belongs beside the headline, besides the outcome against the baselines.
    """
    tiles: tuple[Tile, ...] = ()
    names = report.names
    if report.student is not None:
        student, teacher = report.model(report.student), report.models[0]
        share, own = student.retention, student.scores.mean
        of_score = None
        if share is not None:
            of_score = Tile(
                figure=figures.percent(share.estimate),
                name=f"of the {names.reference}'s {kept}",
                more=wording.describe_ends(share, report.num_examples),
            )
        error = student.scores.standard_error
        tiles = (
            *some(of_score),
            score_tile(score, own, teacher.scores.mean, error, names=names),
            *cost_tiles(student, teacher, names=names),
        )
        if names.is_taught:
            remarks = [wording.describe_baselines(report.comparisons), *remarks]
    remarks = [*report.remarks, *remarks]
    return Page(
        title=report.title,
        headline=report.headline,
        remarks=tuple(remarks),
        tiles=tiles,
        findings=tuple(Finding(verdict=c.verdict, text=c.text) for c in report.comparisons),
        sections=(*sections, method_section(report.notes, report.conditions)),
        models=tuple(model.label for model in report.models),
        marked=report.student,
    )


def some(*parts: Part | None) -> tuple[Part, ...]:
    """Returns the parts that there are."""
    return tuple(part for part in parts if part is not None)


def fold(title: str, block: Table | Items | Terms | None) -> Fold | None:
    """Returns a part to be opened under its title; None where there is no part."""
    return None if block is None else Fold(title=title, block=block)


def show_plots(*plots: Plot | None) -> Plots | None:
    """Returns the plots that there are with the models' marks above; None if there is none."""
    found = some(*plots)
    return Plots(plots=found, has_legend=True) if found else None


def score_tile(
    name: str, own: float, other: float, error: float | None = None, *, names: Names = TAUGHT
) -> Tile:
    """Returns the tile of a student's score beside its teacher's, with its standard error."""
    more = f"{names.reference} {figures.points(other)}"
    if error is not None:
        more = f"standard error {figures.points(error)}, {more}"
    return Tile(figure=figures.points(own), name=name, more=more)


def cost_tiles(
    student: ModelFacts, teacher: ModelFacts, *, names: Names = TAUGHT
) -> tuple[Tile, ...]:
    """Returns the tiles of a student's speed, where it was measured, and size."""
    speed = None
    if student.speed_up is not None and student.speed is not None and teacher.speed is not None:
        own, other = student.speed.latency_ms.median, teacher.speed.latency_ms.median
        ratio = student.speed_up.latency
        more = (
            f"quartiles {ratio.lower:.2f} to {ratio.upper:.2f}; median latency "
            f"{figures.milliseconds(own)} against {figures.milliseconds(other)}"
        )
        name = f"the {names.reference}'s speed, batch 1"
        speed = Tile(figure=f"{ratio.median:.2f}×", name=name, more=more)
    more = (
        f"{names.reference} {figures.file_size(teacher.file_bytes)}; "
        f"{student.num_layers} of {teacher.num_layers} layers"
    )
    if not teacher.is_model:
        more = f"{student.num_layers} layers; the teacher is no model"
    size = Tile(figure=figures.file_size(student.file_bytes), name="weight file", more=more)
    return some(speed, size)


def method_section(notes: Sequence[str], conditions: Mapping[str, str]) -> Section:
    """Returns the section on how the figures were obtained."""
    method = Fold(title="Method", block=Items(items=tuple(notes)), is_open=True)
    terms = Terms(terms=tuple(conditions.items())) if conditions else None
    blocks = some(method, fold("Machine, versions, runs", terms))
    return Section(title="How this was measured", blocks=blocks)
