"""Every metric against its definition, counted by hand."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from limbeck.metrics import Classes, LabelSets, Numbers, Tags, score


def spans(tags):
    """Returns (start, end, type) of the entities of tags in BIO2, where I may begin one."""
    found, start, kind = [], None, None
    for i, tag in enumerate([*tags, "O"]):
        goes_on = tag.startswith("I-") and kind == tag[2:]
        if kind is not None and not goes_on:
            found.append((start, i, kind))
            kind = None
        if tag != "O" and not goes_on:
            start, kind = i, tag[2:]
    return set(found)


tag = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
pairs_of_tags = st.lists(
    st.lists(st.tuples(tag, tag), min_size=1, max_size=8), min_size=1, max_size=5
)


@settings(max_examples=100)
@given(pairs_of_tags)
@pytest.mark.filterwarnings("error")
def test_scores_count_whole_entities(sentences):
    labels = [[a for a, _ in sentence] for sentence in sentences]
    predictions = [[b for _, b in sentence] for sentence in sentences]
    right = sum(len(spans(a) & spans(b)) for a, b in zip(labels, predictions, strict=True))
    num_gold = sum(len(spans(tags)) for tags in labels)
    num_predicted = sum(len(spans(tags)) for tags in predictions)
    found = Tags(labels, predictions)
    scores = score(found)
    assert scores["precision"] == pytest.approx(right / num_predicted if num_predicted else 0)
    assert scores["recall"] == pytest.approx(right / num_gold if num_gold else 0)
    total = num_gold + num_predicted
    assert scores["f1"] == pytest.approx(2 * right / total if total else 0)
    words = [pair for sentence in sentences for pair in sentence]
    assert scores["accuracy"] == pytest.approx(sum(a == b for a, b in words) / len(words))
    details = found.details()["per_label"]
    supports = {kind: row["support"] for kind, row in details.items()}
    assert sum(supports.values()) == num_gold


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_balanced_accuracy_is_the_mean_of_what_is_found_of_each_label(pairs):
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    found = Classes(truth, predicted, range(4))
    expected = [np.mean(predicted[truth == label] == label) for label in set(truth)]
    with warnings.catch_warnings(action="error"):
        assert score(found)["balanced_accuracy"] == pytest.approx(np.mean(expected))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_scores_equal_their_definitions(pairs):
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    scores = score(Classes(truth, predicted, range(4)))
    accuracy = np.mean(truth == predicted)
    assert scores["accuracy"] == pytest.approx(accuracy)
    assert scores["accuracy_standard_error"] == pytest.approx(
        math.sqrt(accuracy * (1 - accuracy) / len(pairs))
    )
    per_label = []
    for label in range(4):
        hits = np.sum((truth == label) & (predicted == label))
        total = np.sum(truth == label) + np.sum(predicted == label)
        per_label.append(2 * hits / total if total else 0.0)
    assert scores["macro_f1"] == pytest.approx(np.mean(per_label))
    assert "f1" not in scores
    binary = score(Classes(truth % 2, predicted % 2, range(2)))
    assert binary["f1"] == f1_score(truth % 2, predicted % 2, zero_division=0)


pairs_of_bits = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


@settings(max_examples=60)
@given(pairs_of_bits)
def test_binary_scores_follow_from_the_four_counts(pairs):
    truth, predicted = np.array(pairs).T
    tp, tn = pairs.count((1, 1)), pairs.count((0, 0))
    fn, fp = pairs.count((1, 0)), pairs.count((0, 1))
    found = Classes(truth, predicted, ["no", "yes"])
    scores = score(found)
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
    bottom = np.sqrt(float((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
    assert scores["f1"] == pytest.approx(f1)
    assert scores["accuracy"] == pytest.approx((tp + tn) / len(pairs))
    assert scores["accuracy_f1"] == pytest.approx(((tp + tn) / len(pairs) + f1) / 2)
    matthews = (tp * tn - fp * fn) / bottom if bottom else 0.0
    assert scores["matthews_correlation"] == pytest.approx(matthews)
    details = found.details()
    assert details["confusion_matrix"] == [[tn, fp], [fn, tp]]
    assert details["per_label"]["yes"]["f1"] == pytest.approx(f1)
    assert details["per_label"]["yes"]["support"] == tp + fn


def ranks(values):
    """Returns mean ranks, ties sharing theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-5, 5)), min_size=2, max_size=30))
def test_correlations_follow_their_definitions_and_are_0_where_nothing_varies(pairs):
    truth, predicted = np.array(pairs, dtype=float).T
    scores = score(Numbers(truth, predicted))
    if len(set(truth)) == 1 or len(set(predicted)) == 1:
        assert scores["pearson"] == scores["spearman"] == scores["pearson_spearman"] == 0.0
        return
    assert scores["pearson"] == pytest.approx(np.corrcoef(truth, predicted)[0, 1])
    spearman = np.corrcoef(ranks(truth), ranks(predicted))[0, 1]
    assert scores["spearman"] == pytest.approx(spearman)
    assert scores["pearson_spearman"] == pytest.approx((scores["pearson"] + spearman) / 2)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10_000))
def test_multi_label_scores_follow_their_definitions(num_examples, num_labels, seed):
    random = np.random.default_rng(seed)
    labels = random.random((num_examples, num_labels)) < 0.4
    scores = random.permutation(num_examples * num_labels).reshape(labels.shape) / 50
    predictions = scores >= 0.5
    found = score(LabelSets(labels, predictions, scores, range(num_labels)))
    hits = (labels & predictions).sum(0)
    bottom = labels.sum(0) + predictions.sum(0)
    per_label = np.divide(2 * hits, bottom, out=np.zeros(num_labels), where=bottom > 0)
    assert found["macro_f1"] == pytest.approx(per_label.mean())
    micro = 2 * hits.sum() / bottom.sum() if bottom.sum() else 0.0
    assert found["micro_f1"] == pytest.approx(micro)
    precisions = []
    for label in np.flatnonzero(labels.any(0)):
        order = np.argsort(-scores[:, label])
        right = labels[order, label]
        precisions.append(np.mean([right[: place + 1].mean() for place in np.flatnonzero(right)]))
    assert found["mean_average_precision"] == pytest.approx(np.mean(precisions or [0.0]))
    assert found["exact_match"] == pytest.approx(np.mean((labels == predictions).all(1)))
