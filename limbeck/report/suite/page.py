"""The page of a suite's report."""

from __future__ import annotations

from limbeck.report.page import Items, Page, Section
from limbeck.report.parts import fold, make_report_page, show_plots, some
from limbeck.report.plots import score_plot, seeds_plot
from limbeck.report.suite import plots, tables
from limbeck.report.suite.facts import SuiteReport
from limbeck.report.tables import comparison_table, cost_table


def make_page(report: SuiteReport) -> Page:
    """Returns what a suite's page says."""
    absent = tables.absent_table(report)
    sections = some(
        _kept(report),
        _tasks(report),
        None if absent is None else Section(title=absent.title, blocks=(absent,)),
        Section(title="What it costs", blocks=(cost_table(report.models),)),
    )
    score = f"average over {len(report.averaged)} tasks"
    return make_report_page(report, sections, kept="average", score=score, remarks=report.warnings)


def _kept(report: SuiteReport) -> Section:
    models, metric, split = report.models, "macro_average", report.split
    average, differences = (
        tables.average_table(report),
        comparison_table(report.comparisons, report.names),
    )
    return Section(
        title=average.title,
        blocks=some(
            average,
            show_plots(plots.retention_plot(report)),
            tables.retention_table(report),
            show_plots(
                score_plot(models, metric=metric, split=split, of="the average"),
                seeds_plot(models, title="Average of every seed", metric=metric, split=split),
            ),
            fold("Paired differences of the averages, in figures", differences),
        ),
    )


def _tasks(report: SuiteReport) -> Section:
    scores = tables.score_table(report)
    sources = tuple(f"{found.name}: {found.source}" for found in report.published)
    return Section(
        title=scores.title,
        blocks=some(
            scores,
            show_plots(plots.task_scores_plot(report)),
            fold("Paired differences on each task", tables.findings_table(report)),
            fold("Every seed, in figures", tables.seeds_table(report)),
            fold("Sources of the published figures", Items(items=sources) if sources else None),
        ),
    )
