"""How good predictions are: a metric a file, each by the library that others compute it with.

Every public module here is a metric and offers `METRIC`; the file's name is its name in settings
and reports. What it judges is one or several kinds of `Predictions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.listing import list_names, load
from limbeck.metrics._answers import Answers, answer_scores, best_threshold
from limbeck.metrics._classes import Classes
from limbeck.metrics._constant import ANY, Constant, best_constant, name_constant
from limbeck.metrics._label_sets import LabelSets
from limbeck.metrics._metric import (
    Favourite,
    Floats,
    Form,
    Metric,
    PredictionRecord,
    Predictions,
    Weighted,
)
from limbeck.metrics._numbers import Numbers
from limbeck.metrics._rankings import Rankings
from limbeck.metrics._tags import Tags

__all__ = [
    "ANY",
    "Answers",
    "Classes",
    "Constant",
    "Favourite",
    "Floats",
    "Form",
    "LabelSets",
    "Metric",
    "Numbers",
    "PredictionRecord",
    "Predictions",
    "Rankings",
    "Tags",
    "Weighted",
    "answer_scores",
    "best_constant",
    "best_threshold",
    "find_metric",
    "load_metric",
    "main_metrics_of",
    "name_constant",
    "score",
]


def load_metric(name: str) -> Metric:
    """Returns a metric by its name.

    Raises:
        SettingsError: If there is none of that name; the message lists those there are.
    """
    metric: Metric = load(__name__, name).METRIC
    return metric


def find_metric(name: str) -> Metric | None:
    """Returns a metric by its name; None for another figure of a run, such as `loss`."""
    return load_metric(name) if name in list_names(__name__) else None


def main_metrics_of(kind: type[Predictions]) -> tuple[str, ...]:
    """Returns the metrics by which a task of this kind of predictions can choose its best epoch.

    Example:
        >>> main_metrics_of(Numbers)
        ('pearson', 'pearson_spearman', 'spearman')
    """
    every = {name: load_metric(name) for name in list_names(__name__)}
    return tuple(
        name
        for name, metric in every.items()
        if metric.higher_is_better and metric.form_of(kind) is not None
    )


def score(found: Predictions, *, only: Sequence[str] | None = None) -> dict[str, float]:
    """Scores predictions by every metric that judges them.

    Args:
        found: Of one kind.
        only: Some metrics, in this order; by default all that fit the number of labels.

    Returns:
        Each metric under its name; where a formula tells how far so many examples let it be known,
        that under the name and `_standard_error`.

    Example:
        >>> records = [{"label": a, "prediction": b} for a, b in ("nn", "yy", "yy", "yn")]
        >>> found = score(Classes.from_records(records), only=["macro_f1", "f1", "accuracy_f1"])
        >>> {name: round(value, 3) for name, value in found.items()}
        {'macro_f1': 0.733, 'f1': 0.8, 'accuracy_f1': 0.775}
    """
    scores = {}
    for name in list_names(__name__) if only is None else only:
        form = load_metric(name).form_of(type(found))
        if form is None or form.num_labels not in (None, found.num_labels):
            continue
        scores[name] = form.score(found)
        if form.standard_error is not None:
            scores[f"{name}_standard_error"] = form.standard_error(found)
    return scores
