"""The main metric as a function of how often each example counts, computed from predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.metrics import Constant, Form, Predictions, best_constant, find_metric
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
    return _weigh(form, form.of.from_records(records, classes=classes))


def judge_constant(
    records: Sequence[Mapping[str, Any]], *, metric: str, classes: Sequence[str] = ()
) -> tuple[Constant[Any], Statistics] | None:
    """Returns the best that one answer to every example reaches, and its statistics.

    Args:
        records: As for `make_statistics`, which gives None where this does.
        metric: Likewise.
        classes: Likewise.
    """
    known = find_metric(metric)
    form = None if known is None else known.form_for(records[0])
    if known is None or form is None:
        return None
    constant = best_constant(form.of.from_records(records, classes=classes), known)
    assert constant is not None, "the form is of these predictions"
    return constant, _weigh(form, constant.predictions)


def find_decisions(records: Sequence[Mapping[str, Any]], *, metric: str) -> list[str]:
    """Returns what two models have in common where they agree, of each example, as JSON.

    Args:
        records: As for `make_statistics`.
        metric: Likewise; of one that can't be resampled it is the whole prediction.
    """
    known = find_metric(metric)
    form = None if known is None else known.form_for(records[0])
    kind: type[Predictions] = Predictions if form is None else form.of
    return [json.dumps(kind.decision(record)) for record in records]


def find_favourite(
    records: Sequence[Mapping[str, Any]], *, metric: str, classes: Sequence[str] = ()
) -> str | None:
    """Returns what is predicted nearly always, and how often; None where it is told apart.

    Args:
        records: As for `make_statistics`.
        metric: Likewise; one that can't be resampled says nothing of what it judges.
        classes: Likewise.
    """
    known = find_metric(metric)
    form = None if known is None else known.form_for(records[0])
    if form is None:
        return None
    found = form.of.from_records(records, classes=classes).favourite()
    return None if found is None else str(found)


def score_labels(
    records: Sequence[Mapping[str, Any]], *, metric: str, classes: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Returns precision, recall, F1 and support of each label; empty where there are none.

    Args:
        records: As for `make_statistics`.
        metric: Likewise.
        classes: Likewise.
    """
    known = find_metric(metric)
    form = None if known is None else known.form_for(records[0])
    if form is None:
        return {}
    predictions = form.of.from_records(records, classes=classes)
    found: dict[str, dict[str, float]] = predictions.details().get("per_label", {})
    return found


def _weigh(form: Form[Any], predictions: Predictions) -> Statistics:
    weighted = form.weigh(predictions)
    return Statistics(
        values=weighted.values,
        score=weighted.score,
        quality=weighted.quality,
        is_binomial=form.is_binomial,
    )
