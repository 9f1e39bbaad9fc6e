"""What is reached without looking at the input: the score that a model has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic

from limbeck.metrics._metric import Form, Metric, P, answer_in_words

ANY: Final = "any constant answer"
"""Stands for the best answer where a metric tells none from another."""


@dataclass(frozen=True, kw_only=True)
class Constant(Generic[P]):
    """The best that one and the same answer to every example reaches.

    Attributes:
        answer: In words; `ANY` where all score the same.
        score: By the metric's own definition.
        predictions: It beside what is right.
    """

    answer: str
    score: float
    predictions: P


def best_constant(found: P, metric: Metric) -> Constant[P] | None:
    """Returns the constant answer with the best score; None if the metric is for another kind.

    That is not always the most frequent one: of F1 of label 1, it is label 1 however rare.

    Args:
        found: Predictions; only what is right of them is looked at.
        metric: What the answers are scored by.

    Source:
        scikit-learn's `DummyClassifier` and `DummyRegressor` name the same predictors; that of F1
        is 2 p / (1 + p) with p the share of label 1 (Lipton et al., Optimal Thresholding of
        Classifiers to Maximize F1 Measure, 2014).

    Example:
        >>> from limbeck.metrics import Classes, load_metric
        >>> records = [{"label": label, "prediction": "no"} for label in ["no"] * 6 + ["yes"] * 4]
        >>> best = best_constant(Classes.from_records(records), load_metric("f1"))
        >>> best.answer, round(best.score, 4)
        ('yes', 0.5714)
    """
    form: Form[P] | None = metric.form_of(type(found))
    if form is None:
        return None
    scored = [
        Constant(
            answer=ANY if metric.constants_are_equal else answer_in_words(answer),
            score=form.score(predictions),
            predictions=predictions,
        )
        for answer, predictions in found.constants()
    ]
    choose = max if metric.higher_is_better else min
    return choose(scored, key=lambda constant: constant.score)


def name_constant(answer: str) -> str:
    """Returns what a constant answer is called in sentences.

    Example:
        >>> name_constant("no"), name_constant(ANY)
        ('always “no”', 'any constant answer')
    """
    return answer if answer == ANY else f"always “{answer}”"
