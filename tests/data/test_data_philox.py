from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.philox import permute, raw_words, row_uniforms, to_uniforms


@given(st.integers(1, 3000), st.integers(-5, 2**70), st.integers(0, 2**40))
def test_permutation_is_one_to_one(size, seed, epoch):
    order = permute(np.arange(size), size=size, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(size))


@given(st.integers(1, 2**45), st.integers(0, 2**63))
def test_any_part_of_a_huge_permutation_is_computed_alone(size, seed):
    positions = np.unique(np.linspace(0, size - 1, 50).astype(np.int64))
    order = permute(positions, size=size, seed=seed, epoch=3)
    assert len(np.unique(order)) == len(positions)
    assert order.min() >= 0
    assert order.max() < size
    last = permute(positions[-1:], size=size, seed=seed, epoch=3)
    assert last.tolist() == order[-1:].tolist()


def test_permutations_differ_by_seed_and_epoch_and_look_random():
    size = 10_000
    orders = [
        permute(np.arange(size), size=size, seed=seed, epoch=epoch)
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    for i, first in enumerate(orders):
        assert abs(np.corrcoef(first, np.arange(size))[0, 1]) < 4 / size**0.5
        assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 4 / size**0.5
        for second in orders[:i]:
            assert abs(np.corrcoef(first, second)[0, 1]) < 4 / size**0.5


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 9),
    st.integers(0, 10**9),
    st.integers(1, 9),
    st.integers(1, 40),
)
def test_uniforms_of_a_row_do_not_depend_on_how_rows_are_grouped(seed, epoch, first, rows, draws):
    key = {"seed": seed, "epoch": epoch, "num_draws": draws}
    together = row_uniforms(first_row=first, num_rows=rows, **key)
    assert together.shape == (rows, draws)
    assert together.min() > 0
    assert together.max() < 1
    for i in range(rows):
        alone = row_uniforms(first_row=first + i, num_rows=1, **key)
        np.testing.assert_array_equal(alone[0], together[i])


def test_uniforms_never_reach_the_ends():
    lowest, highest = to_uniforms(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert 0 < lowest < 1e-15
    assert 1 - 1e-15 < highest < 1


def test_uniforms_are_uniform():
    values = row_uniforms(seed=7, epoch=0, first_row=0, num_rows=1000, num_draws=99).ravel()
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    expected = len(values) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # chi-square, 19 degrees, 0.1 %


def test_bits_are_those_of_the_philox_paper():
    # known answer of Random123 1.14 (kat_vectors): philox4x64 10, counter and key zero. NumPy
    # counts on before each block, so its block 2^256 - 1 has the counter zero.
    bits = np.random.Philox(key=[0, 0], counter=[2**64 - 1] * 4).random_raw(4)
    assert [hex(word) for word in bits] == [
        "0x16554d9eca36314c",
        "0xdb20fe9d672d0fdc",
        "0xd7e772cee186176b",
        "0x7e68b68aec7ba23b",
    ]
    first = raw_words(8, seed=5, purpose=2, epoch=3)
    np.testing.assert_array_equal(
        raw_words(4, seed=5, purpose=2, epoch=3, first_block=1), first[4:]
    )
