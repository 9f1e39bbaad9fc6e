"""The page of a distillation by itself, before anything was fine-tuned from it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from limbeck.report.distillation import (
    describe_distillation,
    describe_teaching,
    is_of_vectors,
    read_distillation,
)
from limbeck.report.facts import DistillationFacts
from limbeck.report.page import Page
from limbeck.report.parts import some
from limbeck.report.task_page import distillation_section
from limbeck.report.write import write_files

_ELSEWHERE = (
    "What a student keeps on a task is measured after fine-tuning: limbeck report with the runs of "
    "teacher and student."
)
_ELSEWHERE_OF_VECTORS = (
    "What a student keeps on a task is measured by limbeck evaluate, with task=sts or "
    "task=retrieval for teacher and student; limbeck report compares the two."
)


class DistillationReport(NamedTuple):
    """What the page of a distillation says first, and what was written, by kind."""

    headline: str
    files: dict[str, Path]


def write_distillation_report(
    folder: Path, *, out: Path, title: str | None = None
) -> DistillationReport:
    """Writes `report.md`, `report.html` and `report.json` of a distillation, finished or not.

    Args:
        folder: Its run folder.
        out: Folder to write to; made if it does not exist.
        title: Heading; by default the folder's name.

    Returns:
        The headline, and the path of each kind of file.

    Raises:
        DataError: If there are no metrics in the folder, or its result can't be used.
    """
    found = read_distillation(folder)
    page = make_page(found, title=title or f"The distillation {folder.resolve().name}")
    values = {"title": page.title, "headline": page.headline, **asdict(found)}
    return DistillationReport(page.headline, write_files(page, out, values))


def make_page(found: DistillationFacts, *, title: str) -> Page:
    """Returns what the page says."""
    return Page(
        title=title,
        headline=describe_distillation(found),
        remarks=some(
            describe_teaching(found),
            _ELSEWHERE_OF_VECTORS if is_of_vectors(found) else _ELSEWHERE,
        ),
        sections=(distillation_section(found),),
    )
