"""Rows in batches: each once, within the budget, and of all ways to cut them the cheapest."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.inference._batches import Budget, choose_budget, divide, padding_ratio

LENGTHS = st.lists(st.integers(1, 512), max_size=60)
BUDGETS = st.builds(Budget, tokens=st.integers(1, 2048), call=st.integers(0, 256))
ROWS = st.none() | st.integers(1, 40)


@given(LENGTHS, BUDGETS, ROWS)
def test_every_row_is_in_one_batch_and_every_batch_within_the_budget(lengths, budget, max_rows):
    batches = list(divide(lengths, budget, max_rows=max_rows))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget.tokens
        assert len(batch) <= (max_rows or len(batch))
    longest = [max(lengths[place] for place in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=8), st.integers(1, 256), st.integers(0, 40)
)
def test_no_other_cut_of_the_sorted_rows_costs_less(lengths, tokens, call):
    budget = Budget(tokens=tokens, call=call)
    ranked = sorted(lengths, reverse=True)

    def cost(cuts):
        found = 0
        for begin, end in pairwise((0, *cuts, len(ranked))):
            padded = ranked[begin] * (end - begin)
            if end - begin > 1 and padded > tokens:
                return None
            found += padded + call
        return found

    places = range(1, len(ranked))
    costs = [cost(cuts) for count in range(len(ranked)) for cuts in combinations(places, count)]
    batches = list(divide(lengths, budget, max_rows=None))
    assert sum(max(lengths[i] for i in b) * len(b) + call for b in batches) == min(
        c for c in costs if c is not None
    )


@given(LENGTHS)
def test_where_a_call_costs_nothing_nothing_is_padded(lengths):
    batches = list(divide(lengths, Budget(tokens=2048, call=0), max_rows=None))
    assert padding_ratio(lengths, batches) == 0


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize("seed", range(3))
def test_padding_of_a_window_of_mixed_text_stays_under_5_percent(device, seed):
    """Short reviews, paragraphs and long reviews, as long as those that the benchmark reads."""
    random = np.random.default_rng(seed)
    kinds = [(24, 0.5), (119, 0.6), (229, 0.6)]  # medians of tokens, and spreads of their logarithm
    lengths = np.concatenate([random.lognormal(np.log(m), s, 340) for m, s in kinds])
    lengths = np.clip(lengths, 4, 512).astype(int).tolist()
    batches = list(divide(lengths, choose_budget(device), max_rows=None))
    assert padding_ratio(lengths, batches) < 0.05
    assert len(batches) < len(lengths) / 3
