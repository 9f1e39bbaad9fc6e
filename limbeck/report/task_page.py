"""The page of a report on one task."""

from __future__ import annotations

from limbeck.report import figures, plots, tables, wording
from limbeck.report.facts import DistillationFacts, Report
from limbeck.report.page import Page, Paragraph, Plots, Section
from limbeck.report.parts import (
    cost_tiles,
    fold_tables,
    list_findings,
    method_section,
    retention_tiles,
    score_tile,
)


def make_page(report: Report) -> Page:
    """Returns what a report's page says."""
    tiles, remarks = [], []
    metric = wording.metric_name(report.metric)
    if report.student is not None:
        student, teacher = report.model(report.student), report.model(report.teacher)
        tiles = [
            *retention_tiles(student, of=f"the teacher's {metric}"),
            score_tile(f"{metric} on {report.split}", student.scores.mean, teacher.scores.mean),
            *cost_tiles(student, teacher),
        ]
        remarks = [wording.describe_baselines(report.comparisons)]
    sections = [
        _results(report),
        Section(title="What it costs", blocks=(tables.cost_table(report.models),)),
        *([] if report.distillation is None else [_distillation(report.distillation)]),
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


def _results(report: Report) -> Section:
    models, metric, split = report.models, report.metric, report.split
    shown = (
        plots.score_plot(models, metric=metric, split=split, of="the score"),
        plots.difference_plot(report),
        plots.seeds_plot(models, title="Every seed", metric=metric, split=split),
        plots.size_plot(models),
    )
    drawn = Plots(plots=tuple(plot for plot in shown if plot is not None), has_legend=True)
    folds = fold_tables(
        ("Paired differences, in figures", tables.comparison_table(report.comparisons)),
        ("Every seed, in figures", tables.seeds_table(report)),
    )
    table = tables.quality_table(report)
    return Section(title=table.title, blocks=(table, drawn, *folds))


def _distillation(found: DistillationFacts) -> Section:
    facts = [f"{figures.count(found.num_steps)} steps"]
    if found.num_tokens is not None:
        facts.append(f"{figures.magnitude(found.num_tokens)} tokens")
    if found.elapsed_seconds is not None:
        facts.append(figures.duration(found.elapsed_seconds))
    state = "" if found.is_complete else " The run has not finished."
    table, drawn = tables.distillation_table(found), plots.curve_plots(found)
    return Section(
        title="The distillation on running text",
        blocks=(
            Paragraph(text=f"{', '.join(facts)}.{state} Figures are on text that was held out."),
            *([] if table is None else [table]),
            *([Plots(plots=drawn, is_small=True)] if drawn else []),
        ),
    )
