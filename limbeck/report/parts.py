"""Parts that pages of all kinds have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limbeck.report import figures, wording
from limbeck.report.facts import Comparison, ModelFacts
from limbeck.report.page import Finding, Fold, Items, Section, Table, Terms, Tile


def retention_tiles(student: ModelFacts, *, of: str) -> list[Tile]:
    """Returns the tile of what a student kept; none where the metric has no intervals.

    Args:
        student: The student.
        of: What it kept a share of, such as `the teacher's accuracy`.
    """
    share = student.retention
    if share is None:
        return []
    figure = f"{figures.points(share.estimate)} %"
    return [Tile(figure=figure, name=f"of {of}", more=f"95 % interval {figures.interval(share)}")]


def score_tile(name: str, own: float, other: float) -> Tile:
    """Returns the tile of a student's score beside its teacher's."""
    return Tile(figure=figures.points(own), name=name, more=f"teacher {figures.points(other)}")


def cost_tiles(student: ModelFacts, teacher: ModelFacts) -> list[Tile]:
    """Returns the tiles of a student's speed, where it was measured, and size."""
    found = []
    if student.speed_up is not None and student.speed is not None and teacher.speed is not None:
        own, other = student.speed.latency_ms.median, teacher.speed.latency_ms.median
        ratio = student.speed_up.latency
        more = (
            f"quartiles {ratio.lower:.2f} to {ratio.upper:.2f}; median latency "
            f"{figures.milliseconds(own)} against {figures.milliseconds(other)}. "
            f"{wording.PAIRED_RATIOS}"
        )
        name = "the teacher's speed, batch 1"
        found.append(Tile(figure=f"{ratio.median:.2f}×", name=name, more=more))
    more = (
        f"teacher {figures.file_size(teacher.file_bytes)}; "
        f"{student.num_layers} of {teacher.num_layers} layers"
    )
    size = figures.file_size(student.file_bytes)
    return [*found, Tile(figure=size, name="weight file", more=more)]


def list_findings(comparisons: Sequence[Comparison]) -> tuple[Finding, ...]:
    """Returns what the comparisons show."""
    return tuple(Finding(verdict=c.verdict, text=c.text) for c in comparisons)


def fold_tables(*found: tuple[str, Table | None]) -> list[Fold]:
    """Returns the tables that there are, each to be opened under its name."""
    return [Fold(title=title, block=table) for title, table in found if table is not None]


def method_section(notes: Sequence[str], conditions: Mapping[str, str]) -> Section:
    """Returns the section on how the figures were obtained."""
    method = Fold(title="Method", block=Items(items=tuple(notes)), is_open=True)
    terms = Terms(terms=tuple(conditions.items()))
    more = [Fold(title="Machine, versions, runs", block=terms)] if conditions else []
    return Section(title="How this was measured", blocks=(method, *more))
