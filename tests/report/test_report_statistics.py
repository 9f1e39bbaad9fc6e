import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, matthews_corrcoef

from limbeck.errors import DataError, SettingsError
from limbeck.report.statistics import (
    METRICS,
    agreement,
    agreement_between_seeds,
    compare,
    encode_classes,
    resampling_error,
    score,
    standard_error,
)


def make(num_examples, *, rates, num_classes=2, seed=0, correlation=0.0):
    """Labels, and per model predictions of one seed that are right at the given rates."""
    random = np.random.default_rng(seed)
    labels = random.integers(num_classes, size=num_examples)
    shared = random.random(num_examples)
    rows = []
    for rate in rates:
        own = random.random(num_examples)
        draw = np.where(random.random(num_examples) < correlation, shared, own)
        wrong = (labels + random.integers(1, num_classes, size=num_examples)) % num_classes
        rows.append(np.where(draw < rate, labels, wrong)[None])
    return labels, *rows


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@given(
    st.integers(2, 5).flatmap(
        lambda c: st.tuples(
            st.just(c),
            st.lists(
                st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=2, max_size=60
            ),
        )
    )
)
def test_metrics_are_those_of_scikit_learn(case):
    num_classes, pairs = case
    labels, predictions = np.array(pairs).T
    known = list(range(num_classes))
    expected = {
        "accuracy": float(np.mean(labels == predictions)),
        "macro_f1": f1_score(labels, predictions, labels=known, average="macro", zero_division=0),
        "matthews_correlation": matthews_corrcoef(labels, predictions),
        "f1": f1_score(labels == 1, predictions == 1, zero_division=0),
    }
    for metric in METRICS:
        found = score(labels, predictions, metric=metric, num_classes=num_classes)
        assert found == pytest.approx(expected[metric], abs=1e-12)


def test_interval_agrees_with_the_normal_formula_for_paired_accuracies():
    labels, first, second = make(5000, rates=(0.85, 0.80), correlation=0.7)
    paired = compare(labels, first, second, resamples=20_000)
    per_example = (first[0] == labels).astype(float) - (second[0] == labels)
    expected = per_example.mean()
    half = stats.norm.ppf(0.975) * per_example.std() / math.sqrt(len(labels))
    assert paired.difference.estimate == pytest.approx(expected, abs=1e-12)
    assert paired.difference.low == pytest.approx(expected - half, abs=0.03 * half)
    assert paired.difference.high == pytest.approx(expected + half, abs=0.03 * half)
    assert paired.num_discordant == np.count_nonzero(per_example)


def test_ratio_agrees_with_the_delta_method():
    labels, first, second = make(8000, rates=(0.80, 0.84), correlation=0.5, seed=3)
    a, b = (first[0] == labels).astype(float), (second[0] == labels).astype(float)
    ratio = a.mean() / b.mean()
    half = stats.norm.ppf(0.975) * np.std(a - ratio * b) / b.mean() / math.sqrt(len(labels))
    found = compare(labels, first, second, resamples=20_000).ratio
    assert found.estimate == pytest.approx(ratio, abs=1e-12)
    assert found.low == pytest.approx(ratio - half, abs=0.04 * half)
    assert found.high == pytest.approx(ratio + half, abs=0.04 * half)


def test_seeds_add_their_variance_to_that_of_the_examples():
    """Seeds that differ by far more than the examples explain: the spread of the seeds' mean."""
    random = np.random.default_rng(0)
    labels = np.zeros(20_000, dtype=np.int64)
    accuracies = np.array([0.70, 0.75, 0.80, 0.85, 0.90])
    rows = (random.random((5, 20_000)) > accuracies[:, None]).astype(np.int64)
    paired = compare(labels, rows, labels[None], resamples=20_000)
    means = np.mean(rows == 0, axis=1)
    expected = np.std(means, ddof=1) / math.sqrt(5)
    width = paired.difference.high - paired.difference.low
    assert width == pytest.approx(2 * 1.96 * expected, rel=0.06)


def test_coverage_of_the_interval_is_about_its_level():
    hits = 0
    for seed in range(200):
        labels, first, second = make(300, rates=(0.85, 0.80), seed=seed, correlation=0.5)
        found = compare(labels, first, second, resamples=400, seed=seed).difference
        hits += found.low <= 0.05 <= found.high
    assert 180 <= hits <= 199  # 190 expected, standard deviation 3


predictions = st.integers(1, 4).flatmap(
    lambda seeds: st.lists(
        st.tuples(st.integers(0, 2), *[st.integers(0, 2)] * seeds, *[st.integers(0, 2)] * 2),
        min_size=1,
        max_size=40,
    )
)


@settings(max_examples=60, deadline=None)
@given(predictions, st.sampled_from(METRICS))
def test_interval_contains_the_estimate_and_order_does_not_matter(rows, metric):
    columns = np.array(rows).T
    labels, first, second = columns[0], columns[1:-2], columns[-2:]
    paired = compare(labels, first, second, metric=metric, resamples=50)
    for found in (paired.difference, paired.ratio):
        if found is not None:
            assert found.low <= found.estimate <= found.high
    shuffled = columns[:, np.random.default_rng(1).permutation(columns.shape[1])]
    again = compare(shuffled[0], shuffled[1:-2], shuffled[-2:], metric=metric, resamples=50)
    assert again == paired


@settings(max_examples=40, deadline=None)
@given(predictions)
def test_retention_of_identical_predictions_is_one(rows):
    columns = np.array(rows).T
    labels, own = columns[0], columns[1:2]
    paired = compare(labels, own, own, resamples=50)
    assert paired.difference.estimate == paired.difference.low == paired.difference.high == 0
    assert not paired.is_distinguishable
    if np.any(labels == own[0]):
        assert paired.ratio.estimate == paired.ratio.low == paired.ratio.high == 1
    else:
        assert paired.ratio is None


def test_swapping_the_models_negates_the_difference_estimate():
    labels, first, second = make(500, rates=(0.9, 0.8))
    one, other = compare(labels, first, second), compare(labels, second, first)
    assert one.difference.estimate == pytest.approx(-other.difference.estimate)
    assert one.is_distinguishable
    assert other.is_distinguishable


def test_few_discordant_examples_are_never_a_difference():
    labels = np.zeros((1000,), dtype=np.int64)
    for num_wrong, expected in ((5, False), (6, True)):
        wrong = labels.copy()
        wrong[:num_wrong] = 1
        paired = compare(labels, labels[None], wrong[None])
        assert paired.difference.low > 0  # the bootstrap alone would claim both
        assert paired.is_distinguishable is expected
        assert bool(stats.binomtest(num_wrong, num_wrong).pvalue < 0.05) is expected


def test_same_quality_is_seldom_called_different():
    claimed = 0
    for seed in range(200):
        labels, first, second = make(400, rates=(0.8, 0.8), seed=1000 + seed)
        claimed += compare(labels, first, second, resamples=400, seed=seed).is_distinguishable
    assert claimed <= 20  # 10 expected


def test_agreement_counts_every_pair_of_seeds():
    first = np.array([[0, 1, 1, 0], [0, 0, 0, 0]])
    second = np.array([[0, 1, 0, 0]])
    assert agreement(first, second) == pytest.approx((3 / 4 + 3 / 4) / 2)
    assert agreement_between_seeds(first) == pytest.approx(2 / 4)
    assert agreement_between_seeds(second) is None


def test_standard_errors():
    assert standard_error(0.8, 400) == pytest.approx(0.02)
    labels, rows = make(2000, rates=(0.8,))
    accuracy = score(labels, rows[0], metric="accuracy")
    found = resampling_error(labels, rows, metric="accuracy", resamples=4000)
    assert found == pytest.approx(standard_error(accuracy, 2000), rel=0.05)


def test_encoding_follows_the_order_of_the_names():
    labels, rows = encode_classes(
        [np.array(["yes", "no"]), np.array([["no", "no"], ["maybe", "yes"]])], names=["yes", "no"]
    )
    assert labels.tolist() == [0, 1]
    assert rows.tolist() == [[1, 1], [2, 0]]


def test_wrong_shapes_and_metrics_are_refused():
    labels, first, second = make(10, rates=(0.9, 0.8))
    with pytest.raises(DataError, match=r"the second model has predictions of shape \(1, 9\).*10"):
        compare(labels, first, second[:, :9])
    with pytest.raises(DataError, match="at least 1 example"):
        compare(labels[:0], first[:, :0], second[:, :0])
    with pytest.raises(SettingsError, match=r"metric 'acuracy'.*Did you mean 'accuracy'\?"):
        compare(labels, first, second, metric="acuracy")
