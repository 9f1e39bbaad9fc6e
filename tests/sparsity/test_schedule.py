"""How far pruning is: a function of the step that falls from 1 to exactly 0."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.sparsity._schedule import share_left


@given(
    num_steps=st.integers(1, 200),
    warmup=st.floats(0, 1),
    rest=st.floats(0, 1),
)
def test_it_falls_and_ends(num_steps, warmup, rest):
    ratios = {"warmup_ratio": warmup, "cooldown_ratio": (1 - warmup) * rest}
    left = [share_left(step, num_steps, **ratios) for step in range(num_steps + 1)]
    assert left[-1] == 0
    assert all(later <= sooner for sooner, later in itertools.pairwise(left))
    assert all(0 <= each <= 1 for each in left)
    end = (1 - ratios["cooldown_ratio"]) * num_steps
    assert all(each == 0 for step, each in enumerate(left) if step >= end)
    assert all(each == 1 for step, each in enumerate(left) if step <= warmup * num_steps < end)


def test_between_it_is_a_cube():
    left = [share_left(s, 20, warmup_ratio=0.1, cooldown_ratio=0.4) for s in range(2, 13)]
    assert left == pytest.approx([(1 - k / 10) ** 3 for k in range(11)])
