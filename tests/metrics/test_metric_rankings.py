"""Metrics of ranked documents: scikit-learn's, trec_eval's figures, and their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_examples import make_rankings
from sklearn.metrics import average_precision_score, ndcg_score

from limbeck.metrics import Rankings, best_constant, load_metric, score

FIGURES = ("ndcg_at_10", "mrr_at_10", "recall_at_10", "mean_average_precision")


def random_rankings(seed, *, count=6, num_labels=3):
    random = np.random.default_rng(seed)
    return Rankings.from_records(make_rankings(random, count, num_labels=num_labels))


def all_ranked(random, *, num_documents, num_relevant):
    """Returns one query's relevances and scores of all documents, no two of which tie."""
    relevance = np.zeros(num_documents)
    relevance[random.permutation(num_documents)[:num_relevant]] = random.integers(
        1, 4, num_relevant
    )
    scores = random.permutation(num_documents).astype(float)
    found = Rankings(
        [{f"d{i}": float(value) for i, value in enumerate(relevance)}],
        [[f"d{i}" for i in np.argsort(-scores)]],
    )
    return relevance, scores, found


@pytest.mark.parametrize("seed", range(20))
def test_ndcg_and_average_precision_are_scikit_learns(seed):
    random = np.random.default_rng(seed)
    relevance, scores, found = all_ranked(random, num_documents=30, num_relevant=seed % 12 + 1)
    for at in (1, 3, 10, 30):
        expected = ndcg_score([relevance], [scores], k=at)
        assert found.ndcg(at)[0] == pytest.approx(expected, abs=1e-12)
    precision = average_precision_score(relevance > 0, scores)
    assert score(found)["mean_average_precision"] == pytest.approx(precision, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_follow_their_definitions(seed):
    found = random_rankings(seed)
    expected = {name: [] for name in FIGURES}
    for judged, order in zip(found.judged, found.orders, strict=True):
        relevant = {name for name, value in judged.items() if value > 0}
        gain = sum(judged.get(d, 0) / math.log2(i + 2) for i, d in enumerate(order[:10]))
        best = sorted(judged.values(), reverse=True)[:10]
        ideal = sum(value / math.log2(i + 2) for i, value in enumerate(best))
        expected["ndcg_at_10"].append(gain / ideal)
        ranks = [i for i, name in enumerate(order, 1) if name in relevant]
        expected["mrr_at_10"].append(next((1 / rank for rank in ranks if rank <= 10), 0.0))
        expected["recall_at_10"].append(sum(rank <= 10 for rank in ranks) / len(relevant))
        precisions = [len(relevant & set(order[:rank])) / rank for rank in ranks]
        expected["mean_average_precision"].append(sum(precisions) / len(relevant))
    scores = score(found)
    for name in FIGURES:
        assert scores[name] == pytest.approx(np.mean(expected[name]), abs=1e-12)


def test_figures_are_those_of_trec_eval():
    """Made by pytrec_eval-terrier 0.5.11 of these judgements and scores, where equal scores stand
    in the order of ids, the last first: z, y, x for query a."""
    found = Rankings(
        [{"x": 1, "y": 0}, {"x": 0}, {"z": 2, "y": 1, "w": -1}],
        [["z", "y", "x"], ["x", "y"], ["w", "y", "z"]],
    )
    assert found.ndcg(10) == pytest.approx([0.5, 0.0, 0.6199062332840657])
    assert found.average_precision() == pytest.approx([1 / 3, 0.0, 0.5833333333333333])
    assert found.reciprocal_rank(10) == pytest.approx([1 / 3, 0.0, 0.5])
    assert found.recall(10) == pytest.approx([1.0, 0.0, 1.0])
    # A query without a relevant document counts, with 0.
    assert score(found)["ndcg_at_10"] == pytest.approx((0.5 + 0 + 0.6199062332840657) / 3)


def test_what_is_not_among_the_first_does_not_count():
    order = [f"d{i}" for i in range(120)]
    found = Rankings([{"d9": 1}, {"d10": 1}, {"d100": 1}, {"missing": 1}], [order] * 4)
    assert found.reciprocal_rank(10).tolist() == [0.1, 0.0, 0.0, 0.0]
    assert found.recall(10).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert score(found)["recall_at_100"] == 0.5
    assert found.average_precision().tolist() == [1 / 10, 1 / 11, 1 / 101, 0.0]


def test_details_tell_the_scores_at_each_cutoff_of_the_lists():
    found = random_rankings(3)
    longest = max(map(len, found.orders))
    at = found.details()["at"]
    assert list(at) == [str(n) for n in (1, 3, 5, 10, 20, 50, 100) if n <= longest]
    assert at["10"]["ndcg"] == pytest.approx(score(found)["ndcg_at_10"])
    assert at["1"]["mrr"] <= at["3"]["mrr"] <= at["10"]["mrr"]


def test_one_order_for_every_query_is_that_which_most_of_them_look_for():
    judged = [{"a": 1}, {"b": 1, "c": 0}, {"a": 1, "b": 1}, {"a": 2}]
    found = Rankings(judged, [["x", "y"]] * 4)
    best = best_constant(found, load_metric("mrr_at_10"))
    assert best.answer == "one and the same order"
    assert best.predictions.orders == [["a", "b"]] * 4
    assert best.score == pytest.approx((1 + 0.5 + 1 + 1) / 4)


def test_candidates_of_ones_own_are_shuffled():
    """Of ten with one that is relevant, 1 / rank is 0.29 on average."""
    names = [f"d{i}" for i in range(10)]
    judged = [{name: int(name == "d0") for name in names} for _ in range(400)]
    best = best_constant(Rankings(judged, [names] * 400), load_metric("mrr_at_10"))
    assert best.answer == "a random order"
    assert best.score == pytest.approx(sum(1 / r for r in range(1, 11)) / 10, abs=0.04)


def test_two_models_agree_where_they_find_the_same_first():
    one, other = (
        [{"label": {"a": 1}, "prediction": order} for order in orders]
        for orders in ([["a", "b"], ["b", "a"], []], [["a", "c"], ["a", "b"], []])
    )
    agree = [Rankings.decision(a) == Rankings.decision(b) for a, b in zip(one, other, strict=True)]
    assert agree == [True, False, True]


def test_a_model_that_finds_the_same_for_every_query_is_told():
    judged = [{f"d{i}": 1} for i in range(20)]
    names = [f"d{i}" for i in range(20)]
    assert str(Rankings(judged, [names] * 20).favourite()) == "“d0” for 20 of 20 queries"
    assert Rankings(judged, [[name] for name in names]).favourite() is None
