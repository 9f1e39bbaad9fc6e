"""The main metric as a function of how often each example counts, computed from predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.metrics import find_metric
from limbeck.report.statistics import Statistics


def make_statistics(
    records: Sequence[Mapping[str, Any]], *, metric: str, classes: Sequence[str] = ()
) -> Statistics | None:
    """Returns what a metric needs of each prediction; None if the metric can't be resampled.

    Args:
        records: The predictions of one model on a labelled split, in the examples' order.
        metric: The task's main metric, as `Task.score` calls it.
        classes: All labels in the task's order; labels that are not among them, or all where there
            are none, come after in sorted order.
    """
    known = find_metric(metric)
    form = None if known is None else known.form_for(records[0])
    if form is None:
        return None
    weighted = form.weigh(form.of.from_records(records, classes=classes))
    return Statistics(
        values=weighted.values,
        score=weighted.score,
        quality=weighted.quality,
        is_binomial=form.is_binomial,
    )
