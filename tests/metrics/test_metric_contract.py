"""What every metric of the room must do, of whatever predictions."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_examples import MAKERS, NAMES, make_perfect

from limbeck import listing
from limbeck.errors import SettingsError
from limbeck.metrics import Numbers, find_metric, load_metric, main_metrics_of, score

METRICS = listing.list_names("limbeck.metrics")
FORMS = [
    pytest.param(name, form, id=f"{name}-{form.of.__name__}")
    for name in METRICS
    for form in load_metric(name).forms
]
seeds = st.integers(0, 10_000)
counts = st.integers(2, 25)
many = settings(max_examples=25)


def make(form, *, seed, count):
    """Returns random records of a form's kind, and the labels that there are."""
    num_labels = form.num_labels or 2 + seed % 3
    assert form.of in MAKERS, f"add predictions of {form.of.__name__} to metric_examples.py"
    random = np.random.default_rng(seed)
    records = MAKERS[form.of](random, count, num_labels=num_labels)
    return json.loads(json.dumps(records)), NAMES[:num_labels]


@pytest.mark.parametrize("name", METRICS)
def test_it_is_documented_and_worded(name):
    metric = load_metric(name)
    assert listing.load("limbeck.metrics", name).__doc__
    assert metric.title
    assert metric.hub_type
    kinds = [form.of for form in metric.forms]
    assert kinds
    assert len(set(kinds)) == len(kinds)
    assert all(metric.form_of(form.of) is form for form in metric.forms)


@pytest.mark.parametrize(("name", "form"), FORMS)
@many
@given(seed=seeds, count=counts)
def test_perfect_predictions_have_the_best_score(name, form, seed, count):
    records, classes = make(form, seed=seed, count=count)
    metric = load_metric(name)
    found = form.of.from_records([make_perfect(r) for r in records], classes=classes)
    assert form.score(found) == pytest.approx(metric.best, abs=1e-12)
    imperfect = form.score(form.of.from_records(records, classes=classes))
    assert imperfect <= metric.best + 1e-12 if metric.higher_is_better else imperfect >= 0


@pytest.mark.parametrize(("name", "form"), FORMS)
@many
@given(seed=seeds, count=counts)
def test_weights_say_how_often_an_example_counts(name, form, seed, count):
    """All weights 1 give the score; others that of as many copies of each example."""
    records, classes = make(form, seed=seed, count=count)
    assert load_metric(name).form_for(records[0]) is form
    weighted = form.weigh(form.of.from_records(records, classes=classes))
    assert weighted.quality.shape == (len(records),)
    random = np.random.default_rng(seed + 1)
    draws = [np.ones(len(records), dtype=int)]
    # The first two examples always count, so that the correlations are defined.
    draws += [np.maximum([1, 1, *[0] * (len(records) - 2)], d) for d in _draw(random, len(records))]
    found = weighted.score(np.array(draws, dtype=float), weighted.values)
    expected = [
        form.score(form.of.from_records(_copy(records, counts), classes=classes))
        for counts in draws
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def _draw(random, size):
    return random.multinomial(size, [1 / size] * size, size=4)


def _copy(records, counts):
    return [record for record, n in zip(records, counts, strict=True) for _ in range(n)]


@pytest.mark.parametrize("kind", MAKERS)
def test_all_metrics_of_a_kind_are_scored_at_once_or_some_in_the_given_order(kind):
    records = MAKERS[kind](np.random.default_rng(0), 20, num_labels=2)
    found = kind.from_records(records, classes=NAMES[:2])
    scores = score(found)
    assert set(main_metrics_of(kind)) <= set(scores)
    some = list(reversed(main_metrics_of(kind)))
    chosen = score(found, only=some)
    assert [name for name in chosen if not name.endswith("_standard_error")] == some
    assert chosen == {name: scores[name] for name in chosen}
    json.dumps(found.details())


def test_metrics_of_two_labels_are_left_out_where_there_are_three():
    records = MAKERS[next(iter(MAKERS))](np.random.default_rng(0), 9, num_labels=3)
    found = next(iter(MAKERS)).from_records(records)
    assert "macro_f1" in score(found)
    assert not {"f1", "accuracy_f1"} & set(score(found))


def test_what_is_no_metric_is_refused_by_name_or_not_found():
    with pytest.raises(SettingsError, match=r"no 'acuracy' among the metrics.*Did .*'accuracy'"):
        load_metric("acuracy")
    assert find_metric("loss") is None
    assert find_metric("accuracy") is load_metric("accuracy")


def test_a_metric_that_is_better_when_lower_chooses_no_epoch():
    assert not load_metric("mean_squared_error").higher_is_better
    assert "mean_squared_error" not in main_metrics_of(Numbers)
