"""Answers are matched as by SQuAD's official scorers, evaluate-v1.1.py and evaluate-v2.0.py."""

import collections
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.metrics import answer_scores, best_threshold


def official_normalise(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def remove_punctuation(text):
        excluded = set(string.punctuation)
        return "".join(ch for ch in text if ch not in excluded)

    return " ".join(remove_articles(remove_punctuation(s.lower())).split())


def official_v1(prediction, gold):
    def f1(truth):
        ours, theirs = official_normalise(prediction).split(), official_normalise(truth).split()
        common = collections.Counter(ours) & collections.Counter(theirs)
        same = sum(common.values())
        if same == 0:
            return 0
        precision, recall = same / len(ours), same / len(theirs)
        return (2 * precision * recall) / (precision + recall)

    exact = max(official_normalise(prediction) == official_normalise(truth) for truth in gold)
    return float(exact), float(max(f1(truth) for truth in gold))


def official_v2(prediction, gold):
    def tokens(s):
        return official_normalise(s).split() if s else []

    def f1(truth):
        theirs, ours = tokens(truth), tokens(prediction)
        same = sum((collections.Counter(theirs) & collections.Counter(ours)).values())
        if len(theirs) == 0 or len(ours) == 0:
            return int(theirs == ours)
        if same == 0:
            return 0
        precision, recall = same / len(ours), same / len(theirs)
        return (2 * precision * recall) / (precision + recall)

    gold = [answer for answer in gold if official_normalise(answer)] or [""]
    exact = max(official_normalise(a) == official_normalise(prediction) for a in gold)
    return float(exact), float(max(f1(a) for a in gold))


PIECES = [
    "a",
    "an",
    "the",
    "The",
    "thea",
    "rain",
    "Rain",
    "co-op",
    "U.S.",
    " ",
    "  ",
    ",",
    "–",
    "東",
    "",
]
texts = st.lists(st.sampled_from(PIECES), max_size=6).map(" ".join) | st.text(max_size=12)


@settings(max_examples=300)
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_scores_are_those_of_the_official_scorers(prediction, gold):
    assert answer_scores(prediction, gold, with_unanswerable=False) == official_v1(prediction, gold)
    assert answer_scores(prediction, gold, with_unanswerable=True) == official_v2(prediction, gold)


def test_no_gold_answer_is_matched_by_silence_alone():
    assert answer_scores("", [], with_unanswerable=True) == (1.0, 1.0)
    assert answer_scores("the", [], with_unanswerable=True) == (1.0, 1.0)
    assert answer_scores("rain", [], with_unanswerable=True) == (0.0, 0.0)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(-9, 9), st.booleans()),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[1],
    )
)
def test_the_best_threshold_is_better_than_any_other(rows):
    scores, differences, has_answer = zip(*rows, strict=True)

    def score_at(threshold):
        gained = [
            (score if answerable else 0.0) if difference <= threshold else float(not answerable)
            for score, difference, answerable in rows
        ]
        return sum(gained) / len(rows)

    answers = ["rain"] * len(rows)
    best, threshold = best_threshold(answers, scores, differences, has_answer=has_answer)
    everywhere = [score_at(t) for t in (-100, *differences)]
    assert best_threshold([""], [1.0], [-1.0], has_answer=[False]) == (1.0, 0.0)
    assert best == pytest.approx(max(everywhere))
    if best > score_at(-100):
        assert score_at(threshold) == pytest.approx(best)
