"""A model beside the one that it was made of, as a result tells it."""

from __future__ import annotations

from limbeck.report.facts import Report
from limbeck.report.statistics import Interval
from limbeck.runs.estimate import Estimate


def make_estimate(interval: Interval | None) -> Estimate | None:
    """Returns an interval as it stands in `result.json`."""
    if interval is None:
        return None
    return Estimate(value=interval.estimate, low=interval.low, high=interval.high)


def find_difference(report: Report) -> Interval | None:
    """Returns what the score changed by from the given model to what was made of it."""
    paired = report.comparisons[0].paired
    return None if paired is None else paired.difference
