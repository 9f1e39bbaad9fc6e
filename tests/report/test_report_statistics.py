import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, matthews_corrcoef

from limbeck.errors import DataError
from limbeck.report import statistics
from limbeck.report.scoring import make_statistics
from limbeck.report.statistics import binomial_error, resample

METRICS = ("accuracy", "f1", "macro_f1", "matthews_correlation")


def of_classes(labels, predictions, *, metric="accuracy", num_classes=None):
    """The statistics of one set of predictions, classes being whole numbers."""
    records = [
        {"label": int(a), "prediction": int(b)} for a, b in zip(labels, predictions, strict=True)
    ]
    known = num_classes or 1 + int(max(labels.max(), predictions.max()))
    return make_statistics(records, metric=metric, classes=range(known))


def compare(labels, first, second, *, metric="accuracy", resamples=4000, seed=0):
    known = 1 + int(max(labels.max(), first.max(), second.max()))
    made = {
        name: [of_classes(labels, row, metric=metric, num_classes=known) for row in rows]
        for name, rows in (("first", first), ("second", second))
    }
    found = resample(made, resamples=resamples, seed=seed)
    return statistics.compare([found["first"]], [found["second"]], seed=seed)


def score(labels, predictions, *, metric, num_classes=None):
    return of_classes(labels, predictions, metric=metric, num_classes=num_classes).total


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


@settings(max_examples=60)
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


@settings(max_examples=40)
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


@pytest.mark.parametrize(("correlation", "is_given"), [(0.03, False), (0.15, True)])
def test_no_share_of_a_score_that_may_be_0_is_given(correlation, is_given):
    """On 1,000 examples a correlation of 0.03 has a standard error as large as itself."""
    random = np.random.default_rng(0)
    x, noise = stats.zscore(random.standard_normal((2, 1000)), axis=1)
    noise -= x * (x @ noise) / 1000
    y = correlation * x + math.sqrt(1 - correlation**2) * noise / np.std(noise)
    records = [{"label": a, "prediction": b} for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    made = [make_statistics(records, metric="pearson")]
    assert made[0].total == pytest.approx(correlation)
    found = resample({"a": made})["a"]
    paired = statistics.compare([found], [found])
    normal = stats.norm.cdf(correlation * math.sqrt(1000) / (1 - correlation**2))
    assert paired.positive_ratio == pytest.approx(normal, abs=0.03)
    assert paired.ratio.estimate == 1
    assert (paired.retention is not None) is is_given


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


def test_standard_errors():
    assert binomial_error(0.8, 400) == pytest.approx(0.02)
    labels, rows = make(2000, rates=(0.8,))
    accuracy = score(labels, rows[0], metric="accuracy")
    found = resample({"a": [of_classes(labels, rows[0])]})["a"].standard_error
    assert found == pytest.approx(binomial_error(accuracy, 2000), rel=0.05)


def test_classes_follow_the_order_of_the_names():
    """`f1` is that of the second name, also where the alphabet has it first."""
    pairs = [("a", "a"), ("b", "a"), ("b", "b"), ("b", "b")]
    records = [{"label": label, "prediction": prediction} for label, prediction in pairs]
    found = [
        make_statistics(records, metric="f1", classes=classes).total
        for classes in (("a", "b"), ("b", "a"), ())
    ]
    assert found == pytest.approx([0.8, 2 / 3, 0.8])


def test_models_with_different_examples_are_refused():
    labels, first, second = make(10, rates=(0.9, 0.8))
    made = {"a": [of_classes(labels, first[0])], "b": [of_classes(labels[:9], second[0, :9])]}
    with pytest.raises(DataError, match=r"'b' has predictions for 9 examples.* 10: expected"):
        resample(made)
    nothing = statistics.Statistics(values=np.zeros((0, 1)), score=max, quality=np.zeros(0))
    with pytest.raises(DataError, match=r"'a' has predictions for 0 examples.*at least 1"):
        resample({"a": [nothing]})


def numbers(count, *, seed=0, noise=1.0, step=None):
    random = np.random.default_rng(seed)
    labels = random.normal(size=count)
    predictions = labels + noise * random.normal(size=count)
    if step is not None:  # many ties
        labels, predictions = np.round(labels / step), np.round(predictions / step)
    return [
        {"label": float(a), "prediction": float(b)}
        for a, b in zip(labels, predictions, strict=True)
    ]


@pytest.mark.parametrize("step", [None, 0.5, 2.0])
def test_correlations_of_resamples_are_those_of_scipy(step):
    """Each weighting gives what scipy says of the examples written out that often."""
    records = numbers(60, step=step)
    values = np.array([[r["label"], r["prediction"]] for r in records])
    random = np.random.default_rng(1)
    weights = random.multinomial(60, np.full(60, 1 / 60), size=20)
    drawn = [np.repeat(values, row, axis=0).T for row in weights]
    pearson = [stats.pearsonr(*columns).statistic for columns in drawn]
    spearman = [stats.spearmanr(*columns).statistic for columns in drawn]
    expected = {
        "pearson": np.array(pearson),
        "spearman": np.array(spearman),
        "pearson_spearman": (np.array(pearson) + np.array(spearman)) / 2,
    }
    for metric, wanted in expected.items():
        made = make_statistics(records, metric=metric)
        found = made.score(weights.astype(float), made.values)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_correlation_of_what_does_not_vary_is_zero():
    records = [{"label": float(i), "prediction": 0.5} for i in range(5)]
    for metric in ("pearson", "spearman", "pearson_spearman"):
        assert make_statistics(records, metric=metric).total == 0


def test_interval_of_a_correlation_agrees_with_fishers():
    records = numbers(3000)
    made = make_statistics(records, metric="pearson")
    found = resample({"a": [made]})["a"].standard_error
    assert found == pytest.approx((1 - made.total**2) / math.sqrt(3000), rel=0.06)


def test_macro_average_is_over_tasks_whose_examples_are_drawn_apart():
    """Two tasks: the variance of the mean of the differences is a quarter of their sum."""
    made = []
    for task, count in ((0, 900), (1, 300)):
        labels, first, second = make(count, rates=(0.9, 0.8), seed=task)
        rows = {"a": [of_classes(labels, first[0])], "b": [of_classes(labels, second[0])]}
        made.append((labels, first, second, resample(rows, resamples=20_000, seed=task)))
    found = statistics.compare([m[3]["a"] for m in made], [m[3]["b"] for m in made])
    gains = [(f[0] == y).astype(float) - (s[0] == y) for y, f, s, _ in made]
    expected = np.mean([gain.mean() for gain in gains])
    half = 1.96 * math.sqrt(sum(gain.var() / len(gain) for gain in gains)) / 2
    assert found.difference.estimate == pytest.approx(expected, abs=1e-12)
    assert found.difference.low == pytest.approx(expected - half, abs=0.05 * half)
    assert found.difference.high == pytest.approx(expected + half, abs=0.05 * half)
    assert found.num_discordant == sum(np.count_nonzero(gain) for gain in gains)


def test_unknown_metrics_have_no_statistics():
    assert make_statistics([{"label": 1.0, "prediction": 0.5}], metric="kendall") is None
