"""Metrics of the tasks, computed by scikit-learn; the one place where scores are made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def classification_scores(
    labels: Sequence[int], predictions: Sequence[int], *, num_labels: int
) -> dict[str, float]:
    """Scores single-label predictions.

    Args:
        labels: The right label of each example.
        predictions: The predicted one.
        num_labels: Number of labels that exist, whether they occur or not.

    Returns:
        `accuracy`; `accuracy_standard_error`, sqrt(p (1 - p) / n), which says how far a sample of
        this size lets the accuracy be known; `macro_f1`, the mean over all labels; and, with two
        labels, `f1` of label 1 (0 where it is undefined).

    Source:
        scikit-learn's `accuracy_score` and `f1_score`; GLUE scores MRPC and QQP by `f1`.

    Example:
        >>> scores = classification_scores([0, 1, 1, 1], [0, 1, 1, 0], num_labels=2)
        >>> {name: round(value, 3) for name, value in scores.items()}
        {'accuracy': 0.75, 'accuracy_standard_error': 0.217, 'macro_f1': 0.733, 'f1': 0.8}
    """
    from sklearn.metrics import accuracy_score, f1_score

    truth, predicted = np.asarray(labels), np.asarray(predictions)
    known = list(range(num_labels))
    accuracy = float(accuracy_score(truth, predicted))
    scores = {
        "accuracy": accuracy,
        "accuracy_standard_error": math.sqrt(accuracy * (1 - accuracy) / len(truth)),
        "macro_f1": float(
            f1_score(truth, predicted, labels=known, average="macro", zero_division=0)
        ),
    }
    if num_labels == 2:
        scores["f1"] = float(f1_score(truth, predicted, pos_label=1, zero_division=0))
    return scores
