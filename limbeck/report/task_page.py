"""The page of a report on one task."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.report import figures, plots, tables, wording
from limbeck.report.distillation import describe_teaching, is_of_vectors
from limbeck.report.facts import DistillationFacts, Report
from limbeck.report.page import Page, Paragraph, Plots, Section
from limbeck.report.parts import fold, make_report_page, show_plots, some


def make_page(report: Report, further: Sequence[Section] = ()) -> Page:
    """Returns what a report's page says.

    Args:
        report: The report.
        further: What else is shown, before what the models cost.
    """
    metric, found = wording.metric_name(report.metric), report.distillation
    sections = some(
        _results(report),
        *further,
        Section(title="What it costs", blocks=(tables.cost_table(report.models),)),
        None if found is None else distillation_section(found),
    )
    return make_report_page(report, sections, kept=metric, score=f"{metric} on {report.split}")


def _results(report: Report) -> Section:
    models, metric, split = report.models, report.metric, report.split
    table = tables.quality_table(report)
    drawn = show_plots(
        plots.score_plot(models, metric=metric, split=split, of="the score"),
        plots.difference_plot(report),
        plots.seeds_plot(models, title="Every seed", metric=metric, split=split)
        if tables.has_several_seeds(models)
        else None,
        plots.size_plot(models),
    )
    differences = tables.comparison_table(report.comparisons, report.names)
    return Section(
        title=table.title,
        blocks=some(
            table,
            drawn,
            fold("F1 of each label, in figures", tables.labels_table(report)),
            fold("Paired differences, in figures", differences),
            fold("Every seed, in figures", tables.seeds_table(report)),
        ),
    )


def distillation_section(found: DistillationFacts) -> Section:
    """Returns the part of a page that is on a distillation's way."""
    facts = [f"{figures.count(found.num_steps)} steps"]
    if found.num_tokens is not None:
        facts.append(f"{figures.magnitude(found.num_tokens)} tokens")
    if found.elapsed_seconds is not None:
        facts.append(figures.duration(found.elapsed_seconds))
    state = "" if found.is_complete else " The run has not finished."
    drawn, weak = plots.curve_plots(found), describe_teaching(found)
    return Section(
        title=f"The distillation {'of vectors' if is_of_vectors(found) else 'on running text'}",
        blocks=some(
            Paragraph(text=f"{', '.join(facts)}.{state} Figures are on text that was held out."),
            tables.distillation_table(found),
            None if weak is None else Paragraph(text=weak),
            Plots(plots=drawn, is_small=True) if drawn else None,
        ),
    )
