"""Every main metric as a function of how often each example counts, computed from predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from limbeck.report.statistics import Floats, Statistics
from limbeck.tasks import Record

Build = Callable[[Sequence[Record], Sequence[str]], Statistics]


def make_statistics(
    records: Sequence[Record], *, metric: str, classes: Sequence[str] = ()
) -> Statistics | None:
    """Returns what a metric needs of each prediction; None if the metric can't be resampled.

    Args:
        records: The predictions of one model on a labelled split, in the examples' order.
        metric: The task's main metric, as `Task.score` calls it.
        classes: All labels in the task's order; labels that are not among them, or all where there
            are none, come after in sorted order.
    """
    kind = _kind_of(records[0])
    if kind == "answers" and metric in records[0]:
        return _mean_of(np.array([record[metric] for record in records], dtype=float))
    build = _BUILDERS.get((metric, kind))
    return None if build is None else build(records, classes)


def _kind_of(record: Record) -> str:
    """Returns what is predicted, as its record shows."""
    label, prediction = record["label"], record["prediction"]
    if isinstance(prediction, list):
        return "lists"  # tags of words, or several labels
    if isinstance(label, list):
        return "answers"
    return "numbers" if isinstance(prediction, float) else "classes"


def _accuracy(records: Sequence[Record], classes: Sequence[str]) -> Statistics:  # noqa: ARG001
    right = np.array([record["label"] == record["prediction"] for record in records], dtype=float)
    return _mean_of(right)


def _mean_of(values: Floats) -> Statistics:
    return Statistics(values=values[:, None], score=_weighted_mean, quality=values)


def _weighted_mean(weights: Floats, values: Floats) -> Floats:
    mean: Floats = weights @ values[:, 0] / weights.sum(axis=1)
    return mean


def _of_classes(
    score: Callable[..., Floats], records: Sequence[Record], classes: Sequence[str]
) -> Statistics:
    labels = [record["label"] for record in records]
    predictions = [record["prediction"] for record in records]
    order = [*classes, *sorted({*labels, *predictions} - set(classes))]
    ids = {name: number for number, name in enumerate(order)}
    values = np.array([[ids[a], ids[b]] for a, b in zip(labels, predictions, strict=True)], float)
    return Statistics(
        values=values,
        score=partial(score, num_classes=len(order)),
        quality=(values[:, 0] == values[:, 1]).astype(float),
    )


def _count_classes(
    weights: Floats, values: Floats, num_classes: int
) -> tuple[Floats, Floats, Floats]:
    """Returns hits, labels and predictions of each class, each (rows, classes)."""
    known = np.arange(num_classes)
    is_label = (values[:, :1] == known).astype(float)
    is_predicted = (values[:, 1:] == known).astype(float)
    return weights @ (is_label * is_predicted), weights @ is_label, weights @ is_predicted


def _matthews(weights: Floats, values: Floats, *, num_classes: int) -> Floats:
    """Source: Gorodkin 2004, equation 8, which scikit-learn computes too."""
    hits, actual, predicted = _count_classes(weights, values, num_classes)
    total = weights.sum(axis=1)
    covariance = hits.sum(axis=1) * total - (actual * predicted).sum(axis=1)
    spread = (total**2 - (actual**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
    return _divide(covariance, np.sqrt(np.maximum(spread, 0.0)))


def _macro_f1(weights: Floats, values: Floats, *, num_classes: int) -> Floats:
    hits, actual, predicted = _count_classes(weights, values, num_classes)
    macro: Floats = _divide(2 * hits, actual + predicted).mean(axis=1)
    return macro


def _f1_of_second(weights: Floats, values: Floats, *, num_classes: int) -> Floats:
    hits, actual, predicted = _count_classes(weights, values, num_classes)
    of_class: Floats = _divide(2 * hits, actual + predicted)[:, 1]
    return of_class


def _accuracy_f1(weights: Floats, values: Floats, *, num_classes: int) -> Floats:
    hits, _, _ = _count_classes(weights, values, num_classes)
    accuracy = hits.sum(axis=1) / weights.sum(axis=1)
    mean: Floats = (accuracy + _f1_of_second(weights, values, num_classes=num_classes)) / 2
    return mean


def _of_numbers(
    score: Callable[[Floats, Floats], Floats],
    records: Sequence[Record],
    classes: Sequence[str],  # noqa: ARG001
) -> Statistics:
    values = np.array([[record["label"], record["prediction"]] for record in records], dtype=float)
    # Centred, the sums of squares lose no digits.
    values -= values.mean(axis=0)
    return Statistics(values=values, score=score, quality=-np.abs(values[:, 0] - values[:, 1]))


def _pearson(weights: Floats, values: Floats) -> Floats:
    first, second = values.T
    return _weighted_pearson(weights, np.broadcast_to(first, weights.shape), second)


def _spearman(weights: Floats, values: Floats) -> Floats:
    return _weighted_pearson(weights, *(_weighted_ranks(weights, column) for column in values.T))


def _pearson_spearman(weights: Floats, values: Floats) -> Floats:
    mean: Floats = (_pearson(weights, values) + _spearman(weights, values)) / 2
    return mean


def _weighted_ranks(weights: Floats, values: Floats) -> Floats:
    """Returns ranks in the resample, ties sharing their mean rank, (rows, examples)."""
    _, group = np.unique(values, return_inverse=True)
    sizes = np.zeros((len(weights), group.max() + 1))
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(sizes.shape[1]))
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]
    return ranks


def _weighted_pearson(weights: Floats, first: Floats, second: Floats) -> Floats:
    """Returns the correlation in each row; 0 where one of the two does not vary."""
    total = weights.sum(axis=1, keepdims=True)
    x = first - (weights * first).sum(axis=1, keepdims=True) / total
    y = second - (weights * second).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1))
    return _divide((weights * x * y).sum(axis=1), spread)


def _of_sets(
    score: Callable[[Floats, Floats], Floats], records: Sequence[Record], classes: Sequence[str]
) -> Statistics:
    """Takes hits, labels and predictions, each (examples, classes), one beside the other."""
    found = [name for record in records for name in (*record["label"], *record["prediction"])]
    order = [*classes, *sorted(set(found) - set(classes))]
    labels, predictions = (
        np.array([[name in record[which] for name in order] for record in records], dtype=float)
        for which in ("label", "prediction")
    )
    return Statistics(
        values=np.hstack([labels * predictions, labels, predictions]),
        score=score,
        quality=(labels == predictions).all(axis=1).astype(float),
    )


def _micro_f1(weights: Floats, values: Floats) -> Floats:
    hits, actual, predicted = np.split(weights @ values, 3, axis=1)
    return _divide(2 * hits.sum(axis=1), actual.sum(axis=1) + predicted.sum(axis=1))


def _f1_of_sets(weights: Floats, values: Floats) -> Floats:
    hits, actual, predicted = np.split(weights @ values, 3, axis=1)
    macro: Floats = _divide(2 * hits, actual + predicted).mean(axis=1)
    return macro


def _of_rankings(records: Sequence[Record], classes: Sequence[str]) -> Statistics:
    """Takes labels and scores, each (examples, classes), one beside the other."""
    sets = _of_sets(_micro_f1, records, classes)
    labels = np.split(sets.values, 3, axis=1)[1]
    scores = np.array([record["scores"] for record in records], dtype=float)
    return Statistics(
        values=np.hstack([labels, scores]), score=_mean_average_precision, quality=sets.quality
    )


def _mean_average_precision(weights: Floats, values: Floats) -> Floats:
    """Averages over the classes that occur.

    Source: scikit-learn's `average_precision_score`, the sum of precision times gain of recall.
    """
    labels, scores = np.split(values, 2, axis=1)
    total, occurs = np.zeros(len(weights)), np.zeros(len(weights))
    for label, score in zip(labels.T, scores.T, strict=True):
        order = np.argsort(-score, kind="stable")
        last = np.flatnonzero(np.append(np.diff(score[order]), 1.0))  # ties come in together
        chosen = np.cumsum(weights[:, order], axis=1)[:, last]
        hits = np.cumsum(weights[:, order] * label[order], axis=1)[:, last]
        gains = np.diff(hits, axis=1, prepend=0)
        total += _divide((_divide(hits, chosen) * gains).sum(axis=1), hits[:, -1])
        occurs += hits[:, -1] > 0
    return _divide(total, occurs)


def _of_tags(records: Sequence[Record], classes: Sequence[str]) -> Statistics:  # noqa: ARG001
    """Takes hits, labels and predictions, counted in entities, of each sentence.

    Source: seqeval's `f1_score`, which follows conlleval.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    rows = []
    for record in records:
        actual, predicted = (set(get_entities(record[w])) for w in ("label", "prediction"))
        rows.append([len(actual & predicted), len(actual), len(predicted)])
    right = [record["label"] == record["prediction"] for record in records]
    return Statistics(
        values=np.array(rows, dtype=float),
        score=_micro_f1,
        quality=np.array(right, dtype=float),
    )


def _divide(top: Floats, bottom: Floats) -> Floats:
    """Returns top / bottom, and 0 where bottom is 0, as scikit-learn has it."""
    quotient: Floats = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return quotient


_BUILDERS: dict[tuple[str, str], Build] = {
    **{("accuracy", kind): _accuracy for kind in ("classes", "numbers")},
    ("f1", "classes"): partial(_of_classes, _f1_of_second),
    ("accuracy_f1", "classes"): partial(_of_classes, _accuracy_f1),
    ("macro_f1", "classes"): partial(_of_classes, _macro_f1),
    ("matthews_correlation", "classes"): partial(_of_classes, _matthews),
    ("pearson", "numbers"): partial(_of_numbers, _pearson),
    ("spearman", "numbers"): partial(_of_numbers, _spearman),
    ("pearson_spearman", "numbers"): partial(_of_numbers, _pearson_spearman),
    ("micro_f1", "lists"): partial(_of_sets, _micro_f1),
    ("macro_f1", "lists"): partial(_of_sets, _f1_of_sets),
    ("mean_average_precision", "lists"): _of_rankings,
    ("f1", "lists"): _of_tags,
}
