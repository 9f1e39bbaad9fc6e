"""The page of a suite's report."""

from __future__ import annotations

from limbeck.report import wording
from limbeck.report.page import Fold, Items, Page, Plots, Section
from limbeck.report.parts import (
    cost_tiles,
    fold_tables,
    list_findings,
    method_section,
    retention_tiles,
    score_tile,
)
from limbeck.report.plots import score_plot, seeds_plot
from limbeck.report.suite import plots, tables
from limbeck.report.suite.facts import SuiteReport
from limbeck.report.tables import comparison_table, cost_table


def make_page(report: SuiteReport) -> Page:
    """Returns what a suite's page says."""
    tiles, remarks = [], list(report.warnings)
    if report.student is not None:
        student, teacher = report.model(report.student), report.model(report.teacher)
        average = f"average over {len(report.averaged)} tasks"
        tiles = [
            *retention_tiles(student, of="the teacher's average"),
            score_tile(average, student.scores.mean, teacher.scores.mean),
            *cost_tiles(student, teacher),
        ]
        remarks.insert(0, wording.describe_baselines(report.comparisons))
    absent = tables.absent_table(report)
    sections = [
        _kept(report),
        _tasks(report),
        *([] if absent is None else [Section(title=absent.title, blocks=(absent,))]),
        Section(title="What it costs", blocks=(cost_table(report.models),)),
        method_section(report.notes, report.conditions),
    ]
    return Page(
        title=report.title,
        headline=report.headline,
        remarks=tuple(remarks),
        tiles=tuple(tiles),
        findings=list_findings(report.comparisons),
        sections=tuple(sections),
        models=tuple(model.label for model in report.models),
        marked=report.student,
    )


def _kept(report: SuiteReport) -> Section:
    average, retention = tables.average_table(report), tables.retention_table(report)
    kept = plots.retention_plot(report)
    models, split = report.models, report.split
    shown = (
        score_plot(models, metric="macro_average", split=split, of="the average"),
        seeds_plot(models, title="Average of every seed", metric="macro_average", split=split),
    )
    differences = comparison_table(report.comparisons)
    return Section(
        title=average.title,
        blocks=(
            average,
            *([] if kept is None else [Plots(plots=(kept,), has_legend=True)]),
            *([] if retention is None else [retention]),
            Plots(plots=shown, has_legend=True),
            *fold_tables(("Paired differences of the averages, in figures", differences)),
        ),
    )


def _tasks(report: SuiteReport) -> Section:
    scores = tables.score_table(report)
    sources = tuple(f"{found.name}: {found.source}" for found in report.published)
    return Section(
        title=scores.title,
        blocks=(
            scores,
            Plots(plots=(plots.task_scores_plot(report),), has_legend=True),
            *fold_tables(
                ("Paired differences on each task", tables.findings_table(report)),
                ("Every seed, in figures", tables.seeds_table(report)),
            ),
            *(
                [Fold(title="Sources of the published figures", block=Items(items=sources))]
                if sources
                else []
            ),
        ),
    )
