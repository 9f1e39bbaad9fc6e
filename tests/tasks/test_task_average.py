"""What several teachers say together, against plain float64 loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.tasks import PADDING
from limbeck.tasks._average import average_distributions, average_yes_and_no, sum_weighted

WEIGHTS = (0.5, 0.3, 0.2)


def draw(*shape, seed=0, scale=4.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in WEIGHTS]


def softmax(values):
    top = max(values)
    total = math.fsum(math.exp(value - top) for value in values)
    return [math.exp(value - top) / total for value in values]


def test_a_mean_of_distributions_is_that_of_their_probabilities():
    logits = draw(5, 4)
    found = average_distributions(logits, WEIGHTS, dim=-1)
    for row in range(5):
        each = [softmax(one[row].tolist()) for one in logits]
        expected = [
            math.fsum(w * p[label] for w, p in zip(WEIGHTS, each, strict=True))
            for label in range(4)
        ]
        assert softmax(found[row].tolist()) == pytest.approx(expected, abs=1e-12)
    turned = average_distributions([one.T for one in logits], WEIGHTS, dim=0)
    torch.testing.assert_close(turned.T, found)


def test_a_mean_of_labels_each_by_itself_is_that_of_their_chances():
    logits = draw(5, 3)
    found = average_yes_and_no(logits, WEIGHTS)
    for row in range(5):
        for label in range(3):
            chances = [1 / (1 + math.exp(-float(one[row, label]))) for one in logits]
            expected = math.fsum(w * c for w, c in zip(WEIGHTS, chances, strict=True))
            assert 1 / (1 + math.exp(-float(found[row, label]))) == pytest.approx(expected)


@given(seed=st.integers(0, 99), scale=st.sampled_from([0.1, 3.0, 200.0]))
@settings(max_examples=20, deadline=None)
def test_one_model_given_several_times_comes_back(seed, scale):
    one = draw(6, 4, seed=seed, scale=scale)[0].float()
    one[0, 2:] = PADDING
    three = [one] * 3
    tolerance = {"rtol": 1e-5, "atol": 1e-4 * scale}
    for dim in (0, 1):
        torch.testing.assert_close(average_distributions(three, WEIGHTS, dim=dim), one, **tolerance)
    real = one[1:] / max(1.0, scale / 3)  # a sigmoid of 600 is 1 in float32, whatever its logit
    torch.testing.assert_close(average_yes_and_no([real] * 3, WEIGHTS), real, **tolerance)
    torch.testing.assert_close(sum_weighted(three, WEIGHTS), one, **tolerance)


def test_what_is_padding_stays_so_and_nothing_becomes_infinite():
    logits = [one.float() for one in draw(3, 6)]
    for one in logits:
        one[:, 4:] = PADDING
    logits[0][0, 0] = PADDING  # ruled out by one alone
    found = average_distributions(logits, WEIGHTS, dim=-1)
    assert bool(torch.isfinite(found).all())
    assert bool((found.softmax(dim=-1)[:, 4:] == 0).all())
    assert float(found.softmax(dim=-1)[0, 0]) > 0
