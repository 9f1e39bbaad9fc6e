"""Which numbers are kept: exactly as many as asked for, the largest, of equal ones the first."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from limbeck.sparsity._top import FLOOR, keep_largest, keep_share, keep_within

# Of few different numbers, so that many are equal.
MATRICES = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(-3, 3).map(float),
)


def rank(numbers):
    """The places of numbers from the largest down; of equal ones those that come first."""
    return np.argsort(-numbers.ravel(), kind="stable")


@given(numbers=MATRICES, data=st.data())
def test_the_largest(numbers, data):
    count = data.draw(st.integers(0, numbers.size))
    kept = keep_largest(torch.from_numpy(numbers), count).numpy()
    expected = np.zeros(numbers.size, dtype=bool)
    expected[rank(numbers)[:count]] = True
    assert (kept.ravel() == expected).all()


@given(matrices=st.lists(MATRICES, min_size=1, max_size=4), density=st.floats(0.001, 0.999))
def test_a_share_of_each_and_of_all(matrices, density):
    tensors = [torch.from_numpy(each) for each in matrices]
    local = keep_share(tensors, density, scope="local")
    assert [int(k.sum()) for k in local] == [round(density * each.size) for each in matrices]
    together = keep_share(tensors, density, scope="global")
    total = sum(each.size for each in matrices)
    assert sum(int(k.sum()) for k in together) == round(density * total)
    assert [k.shape for k in together] == [each.shape for each in matrices]


def test_no_matrix_loses_all_beside_larger_ones():
    low, high = torch.arange(1000.0).view(10, 100), torch.arange(5000.0, 6000.0).view(10, 100)
    kept = keep_share([low, high], 0.1, scope="global")
    assert [int(each.sum()) for each in kept] == [int(FLOOR * 1000), 200 - int(FLOOR * 1000)]
    assert kept[0].flatten()[-int(FLOOR * 1000) :].all()


@given(data=st.data())
def test_as_many_as_a_budget_allows(data):
    """One after another in the order of rating, and what no longer fits is passed over."""
    costs = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    rating = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    groups = [data.draw(st.lists(rating, min_size=1, max_size=6)) for _ in costs]
    budget = data.draw(st.integers(0, 100))
    kept = keep_within([torch.tensor(group) for group in groups], costs, budget=budget)
    units = [(-r, g, i, costs[g]) for g, group in enumerate(groups) for i, r in enumerate(group)]
    left, expected = budget, [[False] * len(group) for group in groups]
    for _, group, place, cost in sorted(units):
        if cost <= left:
            left -= cost
            expected[group][place] = True
    assert [one.tolist() for one in kept] == expected
