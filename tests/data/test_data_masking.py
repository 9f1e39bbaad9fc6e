from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data import MaskingSettings
from limbeck.data.masking import Masker
from limbeck.data.philox import row_uniforms
from limbeck.errors import DataError, SettingsError
from limbeck.nn.constants import IGNORE_INDEX


def uniforms(rows, length, *, seed=0):
    return row_uniforms(
        seed=seed, epoch=0, first_row=0, num_rows=rows, num_draws=Masker.NUM_DRAWS * length
    )


def random_rows(tokenizer, rows, length, *, seed=0, special_share=0.1):
    """Rows of any tokens, special ones among them."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(5, tokenizer.vocab_size, (rows, length))
    special = generator.random((rows, length)) < special_share
    return np.where(special, generator.choice(tokenizer.all_special_ids, (rows, length)), tokens)


@pytest.fixture(scope="module")
def counts(tokenizer):
    return np.random.default_rng(1).integers(0, 1000, tokenizer.vocab_size)


masking_settings = st.builds(
    MaskingSettings,
    probability=st.floats(0.01, 0.9),
    weights=st.sampled_from(["uniform", "smoothed"]),
    quota=st.sampled_from(["row", "batch"]),
    whole_word=st.booleans(),
)


@given(masking_settings, st.integers(1, 8), st.integers(1, 40), st.integers(0, 100))
def test_what_holds_for_all_settings(tokenizer, counts, settings, rows, length, seed):
    tokens = random_rows(tokenizer, rows, length, seed=seed, special_share=0.3)
    masker = Masker(settings, tokenizer=tokenizer, token_counts=counts)
    inputs, labels = masker.mask(tokens, uniforms(rows, length, seed=seed))
    special = np.isin(tokens, tokenizer.all_special_ids)
    chosen = labels != IGNORE_INDEX
    assert not (chosen & special).any()
    np.testing.assert_array_equal(labels[chosen], tokens[chosen])
    np.testing.assert_array_equal(inputs[~chosen], tokens[~chosen])
    replaced = chosen & (inputs != tokens) & (inputs != tokenizer.mask_token_id)
    assert not np.isin(inputs[replaced], tokenizer.all_special_ids).any()
    again = masker.mask(tokens, uniforms(rows, length, seed=seed))
    np.testing.assert_array_equal(again, (inputs, labels))
    has_ordinary = (~special).any(axis=1)
    if settings.quota == "row":
        assert (chosen.any(axis=1) == has_ordinary).all()
    else:
        assert chosen.any() == has_ordinary.any()


@given(st.floats(0.01, 0.95), st.integers(1, 6), st.integers(1, 50), st.integers(0, 100))
def test_the_number_of_masked_tokens_is_the_quota(tokenizer, probability, rows, length, seed):
    tokens = random_rows(tokenizer, rows, length, seed=seed)
    ordinary = ~np.isin(tokens, tokenizer.all_special_ids)
    for quota in ("row", "batch"):
        settings = MaskingSettings(probability=probability, quota=quota)
        masker = Masker(settings, tokenizer=tokenizer, token_counts=None)
        labels = masker.mask(tokens, uniforms(rows, length, seed=seed))[1]
        chosen = labels != IGNORE_INDEX
        if quota == "row":
            in_row = ordinary.sum(axis=1)
            expected = np.clip(np.floor(probability * in_row + 0.5), np.minimum(in_row, 1), in_row)
            np.testing.assert_array_equal(chosen.sum(axis=1), expected)
        else:  # as in the training code of DistilBERT
            assert chosen.sum() == min(math.ceil(probability * tokens.size), ordinary.sum())


def test_four_fifths_are_masked_a_tenth_random_a_tenth_kept(tokenizer):
    tokens = random_rows(tokenizer, 400, 100)
    masker = Masker(MaskingSettings(), tokenizer=tokenizer, token_counts=None)
    inputs, labels = masker.mask(tokens, uniforms(400, 100))
    chosen = labels != IGNORE_INDEX
    num = chosen.sum()
    masked = (inputs[chosen] == tokenizer.mask_token_id).sum() / num
    kept = (inputs[chosen] == labels[chosen]).sum() / num
    error = 4 * (0.8 * 0.2 / num) ** 0.5
    assert abs(masked - 0.8) < error
    num_ordinary = tokenizer.vocab_size - len(tokenizer.all_special_ids)
    assert abs(kept - (0.1 + 0.1 / num_ordinary)) < error


def test_random_tokens_are_uniform_over_ordinary_ones(tokenizer):
    settings = MaskingSettings(probability=0.9, mask_share=0.0, random_share=1.0)
    masker = Masker(settings, tokenizer=tokenizer, token_counts=None)
    tokens = random_rows(tokenizer, 800, 100)
    inputs, labels = masker.mask(tokens, uniforms(800, 100))
    counts = np.bincount(inputs[labels != IGNORE_INDEX], minlength=tokenizer.vocab_size)
    assert counts[tokenizer.all_special_ids].sum() == 0
    ordinary = np.delete(counts, tokenizer.all_special_ids)
    expected = ordinary.sum() / len(ordinary)
    chi_square = ((ordinary - expected) ** 2 / expected).sum()
    degrees = len(ordinary) - 1
    assert abs(chi_square - degrees) < 5 * (2 * degrees) ** 0.5


def inclusion_of_two(weights):
    """Chance of each item when two are drawn one by one without replacement, enumerated."""
    share = weights / weights.sum()
    chance = share.copy()
    for first in range(len(share)):
        for second in range(len(share)):
            if first != second:
                chance[second] += share[first] * share[second] / (1 - share[first])
    return chance


@pytest.mark.parametrize("quota", ["row", "batch"])
def test_smoothed_weights_prefer_rare_tokens_as_drawing_one_by_one_does(tokenizer, quota):
    counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    ids = np.array([20, 21, 22, 23, 24, 25])
    counts[ids] = [0, 1, 10, 100, 1000, 100_000]
    weights = np.maximum(counts[ids], 1.0) ** -0.7
    settings = MaskingSettings(probability=2 / 6, weights="smoothed", quota=quota)
    masker = Masker(settings, tokenizer=tokenizer, token_counts=counts)
    num = 20_000
    if quota == "row":
        rows = np.tile(ids, (num, 1))
        chosen = masker.mask(rows, uniforms(num, 6))[1] != IGNORE_INDEX
    else:  # one step of six rows of one token each, many times
        draws = uniforms(4000, 6)
        chosen = np.array(
            [
                masker.mask(ids[:, None], draw.reshape(3, 6).T)[1][:, 0] != IGNORE_INDEX
                for draw in draws
            ]
        )
    expected = inclusion_of_two(weights)
    assert expected.sum() == pytest.approx(2)
    error = 4 * np.sqrt(expected * (1 - expected) / len(chosen)) + 1e-3
    assert (np.abs(chosen.mean(axis=0) - expected) < error).all()


def words_of(tokenizer, row):
    """Pieces of each word of a row, the plain way."""
    words: list[list[int]] = []
    open_word = False
    for place, token in enumerate(row.tolist()):
        special = token in tokenizer.all_special_ids
        if open_word and tokenizer.continuation_mask[token]:
            words[-1].append(place)
        elif not special:
            words.append([place])
        open_word = not special
    return words


@given(st.sampled_from(["row", "batch"]), st.integers(1, 5), st.integers(1, 60), st.integers(0, 99))
def test_whole_words_are_masked_whole(tokenizer, quota, rows, length, seed):
    tokens = random_rows(tokenizer, rows, length, seed=seed)
    settings = MaskingSettings(whole_word=True, quota=quota, probability=0.3)
    masker = Masker(settings, tokenizer=tokenizer, token_counts=None)
    chosen = masker.mask(tokens, uniforms(rows, length, seed=seed))[1] != IGNORE_INDEX
    for row, places in zip(tokens, chosen, strict=True):
        for word in words_of(tokenizer, row):
            assert places[word].all() or not places[word].any()


def test_whole_words_meet_the_quota_on_average(tokenizer):
    tokens = random_rows(tokenizer, 2000, 60)
    masker = Masker(MaskingSettings(whole_word=True), tokenizer=tokenizer, token_counts=None)
    chosen = masker.mask(tokens, uniforms(2000, 60))[1] != IGNORE_INDEX
    ordinary = ~np.isin(tokens, tokenizer.all_special_ids)
    assert chosen.sum() / ordinary.sum() == pytest.approx(0.15, abs=0.005)


def test_all_places_of_a_row_are_masked_alike(tokenizer):
    tokens = np.full((4000, 40), 30)
    masker = Masker(MaskingSettings(), tokenizer=tokenizer, token_counts=None)
    chosen = masker.mask(tokens, uniforms(4000, 40))[1] != IGNORE_INDEX
    error = 4 * (0.15 * 0.85 / 4000) ** 0.5
    assert (np.abs(chosen.mean(axis=0) - 0.15) < error).all()


def test_settings_that_cannot_be_are_refused(tokenizer):
    with pytest.raises(SettingsError, match=r"mask_share=0.9 and random_share=0.2 add up to more "):
        MaskingSettings.from_values({"mask_share": 0.9, "random_share": 0.2})
    smoothed = MaskingSettings(weights="smoothed")
    with pytest.raises(SettingsError, match=r"weights=smoothed needs token_counts"):
        Masker(smoothed, tokenizer=tokenizer, token_counts=None)
    size = tokenizer.vocab_size
    with pytest.raises(
        DataError, match=rf"for a vocabulary of 7 entries, the tokenizer has {size}"
    ):
        Masker(smoothed, tokenizer=tokenizer, token_counts=np.ones(7, dtype=np.int64))


def test_whole_words_need_word_pieces(tmp_path):
    from limbeck.tokenizers import Tokenizer

    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(SettingsError, match=r"whole_word=true needs a vocabulary .*'##'.*'▁'"):
        Masker(MaskingSettings(whole_word=True), tokenizer=tokenizer, token_counts=None)
