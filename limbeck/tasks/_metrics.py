"""Metrics of the tasks over texts, computed by scikit-learn and scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def accuracy_scores(labels: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """Returns `accuracy` and `accuracy_standard_error`, sqrt(p (1 - p) / n).

    The error says how far a sample of this size lets the accuracy be known.
    """
    accuracy = float(np.mean(np.asarray(labels) == np.asarray(predictions)))
    error = math.sqrt(accuracy * (1 - accuracy) / len(labels))
    return {"accuracy": accuracy, "accuracy_standard_error": error}


def classification_scores(
    labels: Sequence[int], predictions: Sequence[int], *, num_labels: int
) -> dict[str, float]:
    """Scores single-label predictions.

    Args:
        labels: The right label of each example.
        predictions: The predicted one.
        num_labels: Number of labels that exist, whether they occur or not.

    Returns:
        What `accuracy_scores` gives; `macro_f1`, the mean over all labels; `matthews_correlation`,
        0 where nothing varies; and, with two labels, `f1` of label 1 (0 where it is undefined) and
        `accuracy_f1`, the mean of accuracy and F1.

    Source:
        scikit-learn's `f1_score` and `matthews_corrcoef`. GLUE (Wang et al.,
        ICLR 2019) scores CoLA by the Matthews correlation, MRPC and QQP by accuracy and F1, which
        it averages.

    Example:
        >>> scores = classification_scores([0, 1, 1, 1], [0, 1, 1, 0], num_labels=2)
        >>> {name: round(value, 3) for name, value in scores.items() if name.endswith("f1")}
        {'macro_f1': 0.733, 'f1': 0.8, 'accuracy_f1': 0.775}
    """
    from sklearn.metrics import f1_score, matthews_corrcoef

    truth, predicted = np.asarray(labels), np.asarray(predictions)
    known = list(range(num_labels))
    scores = {
        **accuracy_scores(labels, predictions),
        "macro_f1": float(
            f1_score(truth, predicted, labels=known, average="macro", zero_division=0)
        ),
        "matthews_correlation": float(matthews_corrcoef(truth, predicted))
        if np.ptp(truth) > 0 and np.ptp(predicted) > 0
        else 0.0,
    }
    if num_labels == 2:
        f1 = float(f1_score(truth, predicted, pos_label=1, zero_division=0))
        scores |= {"f1": f1, "accuracy_f1": (scores["accuracy"] + f1) / 2}
    return scores


def classification_details(
    labels: Sequence[int], predictions: Sequence[int], *, names: Sequence[str]
) -> dict[str, Any]:
    """Returns where single-label predictions go wrong.

    Returns:
        `confusion_matrix`, whose rows are the right labels and columns the predicted ones, both in
        the order of `labels`; and `per_label`: precision, recall, f1 and support of each.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    known = list(range(len(names)))
    matrix = confusion_matrix(labels, predictions, labels=known)
    columns = precision_recall_fscore_support(
        labels, predictions, labels=known, average=None, zero_division=0
    )
    return {
        "labels": list(names),
        "confusion_matrix": matrix.tolist(),
        "per_label": _per_label(names, columns),
    }


def regression_scores(values: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """Scores predicted numbers.

    Returns:
        `pearson` and `spearman`, each 0 where one side does not vary; `pearson_spearman`, their
        mean; `mean_squared_error`.

    Source:
        scipy's `pearsonr` and `spearmanr`; GLUE scores STS-B by both, which it averages.
    """
    from scipy.stats import pearsonr, spearmanr

    truth, predicted = np.asarray(values, float), np.asarray(predictions, float)
    varies = len(truth) > 1 and np.ptp(truth) > 0 and np.ptp(predicted) > 0
    pearson = float(pearsonr(truth, predicted).statistic) if varies else 0.0
    spearman = float(spearmanr(truth, predicted).statistic) if varies else 0.0
    return {
        "pearson": pearson,
        "spearman": spearman,
        "pearson_spearman": (pearson + spearman) / 2,
        "mean_squared_error": float(np.mean((truth - predicted) ** 2)),
    }


def multi_label_scores(
    labels: npt.NDArray[np.bool_], predictions: npt.NDArray[np.bool_], scores: npt.NDArray[Any]
) -> dict[str, float]:
    """Scores sets of labels.

    Shape:
        labels, predictions, scores: (examples, labels).

    Returns:
        `micro_f1`, over all decisions; `macro_f1`, the mean over labels; `exact_match`, the share
        of examples with every label right; `mean_average_precision`, the mean over the labels
        that occur.

    Source:
        scikit-learn's `f1_score` and `average_precision_score`.
    """
    from sklearn.metrics import average_precision_score, f1_score

    # Column by column: scikit-learn takes a single column for a problem of two classes.
    columns = range(labels.shape[1])
    f1 = [f1_score(labels[:, i], predictions[:, i], zero_division=0) for i in columns]
    precision = [
        average_precision_score(labels[:, i], scores[:, i]) for i in columns if labels[:, i].any()
    ]
    return {
        "micro_f1": float(f1_score(labels.ravel(), predictions.ravel(), zero_division=0)),
        "macro_f1": float(np.mean(f1)),
        "exact_match": float((labels == predictions).all(axis=1).mean()),
        "mean_average_precision": float(np.mean(precision)) if precision else 0.0,
    }


def multi_label_details(
    labels: npt.NDArray[np.bool_], predictions: npt.NDArray[np.bool_], *, names: Sequence[str]
) -> dict[str, Any]:
    """Returns precision, recall, f1 and support of each label."""
    from sklearn.metrics import precision_recall_fscore_support

    rows = [
        precision_recall_fscore_support(
            labels[:, i], predictions[:, i], average="binary", zero_division=0
        )[:3]
        for i in range(labels.shape[1])
    ]
    columns = [*zip(*rows, strict=True), labels.sum(axis=0)]
    return {"labels": list(names), "per_label": _per_label(names, columns)}


def _per_label(names: Sequence[str], columns: Sequence[Any]) -> dict[str, dict[str, float]]:
    figures = ("precision", "recall", "f1", "support")
    return {
        name: {figure: float(column[i]) for figure, column in zip(figures, columns, strict=True)}
        for i, name in enumerate(names)
    }
