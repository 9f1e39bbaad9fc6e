"""Precision, recall and F1 of entities, computed by seqeval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.tasks._tags import OUTSIDE

Tags = Sequence[Sequence[str]]


def entity_scores(labels: Tags, predictions: Tags) -> dict[str, float]:
    """Scores tags in BIO2 by the entities that they make, each right only as a whole.

    Args:
        labels: The right tags of each sentence.
        predictions: The predicted ones, as many.

    Returns:
        `precision`, `recall` and `f1` over all entities, 0 where there are none; `accuracy` of
        tags.

    Source:
        seqeval, which counts as CoNLL's `conlleval`: an I that goes on with nothing begins an
        entity.
    """
    from seqeval.metrics import accuracy_score
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        [list(tags) for tags in labels],
        [list(tags) for tags in predictions],
        average="micro",
        zero_division=0,
    )
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "accuracy": float(accuracy_score(labels, predictions)),
    }


def entity_details(labels: Tags, predictions: Tags) -> dict[str, Any]:
    """Returns precision, recall, f1 and support of each type of entity."""
    from seqeval.metrics import classification_report

    if all(tag == OUTSIDE for tags in [*labels, *predictions] for tag in tags):
        return {"per_label": {}}  # seqeval would warn of means of nothing
    report = classification_report(labels, predictions, output_dict=True, zero_division=0)
    averages = ("micro avg", "macro avg", "weighted avg")
    figures = {"precision": "precision", "recall": "recall", "f1": "f1-score", "support": "support"}
    return {
        "per_label": {
            kind: {name: float(row[key]) for name, key in figures.items()}
            for kind, row in report.items()
            if kind not in averages
        }
    }
