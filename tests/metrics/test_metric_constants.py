"""What one answer to every example reaches, and which predictions are nearly that."""

from dataclasses import replace

import numpy as np
import pytest
from metric_examples import NAMES
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score
from test_metric_contract import FORMS, make

from limbeck.metrics import ANY, Classes, LabelSets, Numbers, Tags, best_constant, load_metric


def classes(labels, predictions, names=("no", "yes")):
    records = [{"label": a, "prediction": b} for a, b in zip(labels, predictions, strict=True)]
    return Classes.from_records(records, classes=names)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_metric_has_one(name, form):
    """By the metric's own definition, and by weights the same."""
    for seed in range(4):
        records, names = make(form, seed=seed, count=20)
        found = form.of.from_records(records, classes=names)
        best = best_constant(found, load_metric(name))
        assert best.answer
        assert best.score == form.score(best.predictions)
        weighted = form.weigh(best.predictions)
        (total,) = weighted.score(np.ones((1, len(records))), weighted.values)
        assert total == pytest.approx(best.score, abs=1e-9)
        if load_metric(name).higher_is_better:
            assert best.score <= load_metric(name).best


def test_the_majority_is_scikit_learns():
    labels = ["a"] * 3 + ["b"] * 5 + ["c"] * 2
    found = classes(labels, labels, NAMES[:0])
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((10, 1)), labels)
    best = best_constant(found, load_metric("accuracy"))
    assert (best.answer, best.score) == ("b", dummy.score(np.zeros((10, 1)), labels))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.627])
def test_of_f1_the_rarer_label_is_the_better_answer(share):
    labels = np.arange(1000) < 1000 * share
    found = classes(labels, labels, (False, True))
    best = best_constant(found, load_metric("f1"))
    assert best.answer == "True"
    assert best.score == pytest.approx(2 * share / (1 + share))
    assert best.score == f1_score(labels, np.ones(1000, dtype=bool))


def test_the_best_labels_of_micro_f1_are_found():
    random = np.random.default_rng(0)
    labels = random.random((40, 4)) < [0.1, 0.3, 0.5, 0.7]
    found = LabelSets(labels, labels, labels.astype(float), NAMES)
    every = [np.array([k >> i & 1 for i in range(4)], dtype=bool) for k in range(16)]
    scores = [
        f1_score(labels, np.tile(chosen, (40, 1)), average="micro", zero_division=0)
        for chosen in every
    ]
    assert best_constant(found, load_metric("micro_f1")).score == pytest.approx(max(scores))


@pytest.mark.parametrize("name", ["matthews_correlation", "balanced_accuracy", "accuracy"])
def test_no_answer_is_named_where_all_score_the_same(name):
    metric = load_metric(name)
    labels = ["a"] * 3 + ["b"] * 5 + ["c"] * 2
    found = classes(labels, labels, ("a", "b", "c"))
    form = metric.form_of(Classes)
    scores = {
        form.score(replace(found, predictions=np.full_like(found.labels, n))) for n in range(3)
    }
    assert metric.constants_are_equal == (len(scores) == 1)
    best = best_constant(found, metric)
    assert (best.answer == ANY) == metric.constants_are_equal
    assert best.score == max(scores)


def test_nothing_correlates_with_the_mean():
    numbers = np.array([0.1, 0.7, 0.3])
    found = Numbers(numbers, numbers)
    for name in ("pearson", "spearman"):
        best = best_constant(found, load_metric(name))
        assert (best.answer, best.score) == (ANY, 0)
    error = best_constant(found, load_metric("mean_squared_error"))
    assert error.score == pytest.approx(numbers.var())


def test_no_tag_finds_no_entity_but_most_words():
    tags = Tags([["O", "O", "B-X"], ["O", "B-Y", "I-Y"]], [["O"] * 3] * 2)
    assert best_constant(tags, load_metric("accuracy")).score == 0.5
    assert best_constant(tags, load_metric("f1")).score == pytest.approx(2 / (2 + 6))
    assert str(tags.favourite()) == "“O” for 6 of 6 words"


@pytest.mark.parametrize(("num_other", "near"), [(0, True), (2, True), (11, True), (12, False)])
def test_near_constant_is_a_tenth_of_the_variety_that_there_is(num_other, near):
    """Of 300, 120 are not like most: 298 of one kind is near-constant, 288 is not."""
    labels = ["yes"] * 180 + ["no"] * 120
    favourite = classes(labels, ["yes"] * (300 - num_other) + ["no"] * num_other).favourite()
    said = f"“yes” for {300 - num_other} of 300 examples"
    assert (favourite is not None and str(favourite) == said) == near


def test_a_rare_label_is_not_asked_of_a_good_model_often():
    labels = ["no"] * 980 + ["yes"] * 20
    assert classes(labels, ["no"] * 985 + ["yes"] * 15).favourite() is None
    assert classes(labels, ["no"] * 999 + ["yes"]).favourite().count == 999


def test_where_all_is_the_same_nothing_else_can_be_said():
    assert classes(["no"] * 4, ["no"] * 4).favourite() is None


def test_a_long_answer_is_cut():
    found = classes(["a\n" * 99] * 3 + ["b"] * 3, ["a\n" * 99] * 6, ())
    assert str(found.favourite()) == f"“{'a ' * 19}a…” for 6 of 6 examples"
