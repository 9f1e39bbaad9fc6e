"""Metrics on resamples: equal to scipy and scikit-learn on copies, and 0 where nothing varies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score

from limbeck.metrics import LabelSets, Numbers, load_metric


def weigh(name, found):
    weighted = load_metric(name).form_of(type(found)).weigh(found)
    return lambda weights: weighted.score(np.array(weights, dtype=float), weighted.values)


@pytest.mark.parametrize("digits", [1, 6])  # with ties, and without
@pytest.mark.parametrize(("name", "peer"), [("pearson", pearsonr), ("spearman", spearmanr)])
def test_correlations_are_scipys(name, peer, digits):
    random = np.random.default_rng(digits)
    labels = np.round(random.normal(size=300), digits)
    predictions = np.round(0.8 + labels + random.normal(size=300), digits)
    draws = random.multinomial(300, np.full(300, 1 / 300), size=20)
    expected = [peer(np.repeat(labels, d), np.repeat(predictions, d)).statistic for d in draws]
    found = weigh(name, Numbers(labels, predictions))(draws)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_average_precision_is_scikit_learns():
    random = np.random.default_rng(0)
    labels = random.random((200, 3)) < [0.02, 0.3, 0.9]
    scores = np.round(random.random((200, 3)), 2)
    draws = random.multinomial(200, np.full(200, 1 / 200), size=20)
    expected = [
        np.mean(
            [
                average_precision_score(np.repeat(label, d), np.repeat(score, d))
                for label, score in zip(labels.T, scores.T, strict=True)
                if np.repeat(label, d).any()
            ]
        )
        for d in draws
    ]
    found = weigh("mean_average_precision", LabelSets(labels, labels, scores, "abc"))(draws)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)


@pytest.mark.parametrize("name", ["pearson", "spearman", "pearson_spearman"])
@settings(max_examples=50)
@given(rows=st.lists(st.tuples(numbers, numbers), min_size=2, max_size=6, unique_by=lambda r: r[0]))
def test_a_resample_of_one_example_correlates_with_nothing(name, rows):
    labels, predictions = np.array(rows, dtype=float).T
    draws = len(rows) * np.eye(len(rows))
    assert (weigh(name, Numbers(labels, predictions))(draws) == 0).all()


def test_what_hardly_varies_loses_no_digits():
    """Two close examples drawn from among far ones: of sums of squares nothing would be left."""
    labels = np.array([0.5, 0.5 + 1e-7, -900.0, 800.0])
    predictions = np.array([0.25, 0.25 - 1e-7, 3.0, 1.0])
    draws = [[3, 1, 0, 0], [2, 2, 0, 0]]
    assert weigh("pearson", Numbers(labels, predictions))(draws) == pytest.approx(
        [-1, -1], abs=1e-6
    )
