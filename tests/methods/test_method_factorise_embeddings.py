"""The factors of a table: the best there are, by a formula of NumPy's, and by what pieces count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck import BertConfig, BertForMaskedLM
from limbeck.data import CorpusSettings, build_corpus
from limbeck.errors import SettingsError
from limbeck.methods import apply_methods
from limbeck.methods import factorise_embeddings as method
from limbeck.methods.factorise_embeddings import factorise, split_table, weigh_pieces
from limbeck.tokenizers import train_wordpiece

RNG = np.random.default_rng(3)
TABLE = RNG.normal(size=(40, 12)) * RNG.uniform(0.1, 3, size=12)
COUNTS = RNG.integers(1, 500, size=40)


def error_of(product, weights):
    return float((weights[:, None] * (TABLE - product) ** 2).sum())


def multiply(rank, weights=None):
    given = None if weights is None else torch.from_numpy(weights)
    narrow, projection = split_table(torch.from_numpy(TABLE), rank, weights=given)
    assert narrow.shape == (40, rank)
    assert projection.shape == (12, rank)
    return (narrow @ projection.T).numpy()


@pytest.mark.parametrize("rank", [1, 5, 11])
@pytest.mark.parametrize("weights", [np.ones(40), COUNTS], ids=["alike", "counted"])
def test_no_product_of_the_rank_is_nearer(rank, weights):
    """The oracle: the cut singular value decomposition of the rows, each times its root weight."""
    roots = np.sqrt(weights)[:, None]
    left, values, right = np.linalg.svd(roots * TABLE, full_matrices=False)
    best = (left[:, :rank] * values[:rank]) @ right[:rank] / roots
    given = multiply(rank, weights)
    np.testing.assert_allclose(given, best, rtol=0, atol=1e-10)
    assert error_of(given, weights) == pytest.approx((values[rank:] ** 2).sum(), rel=1e-9)


def test_a_full_rank_is_the_table():
    np.testing.assert_allclose(multiply(12), TABLE, rtol=0, atol=1e-12)
    np.testing.assert_allclose(multiply(12, COUNTS), TABLE, rtol=0, atol=1e-12)


def test_rows_that_count_more_are_nearer():
    heavy = np.where(np.arange(40) < 3, 10**6, 1)
    errors = [((TABLE - multiply(3, w)) ** 2)[:3].sum() for w in (heavy, np.ones(40, dtype=int))]
    assert errors[0] < 1e-3 * errors[1]


def test_a_large_table_is_read_in_parts(monkeypatch):
    whole = multiply(5, COUNTS)
    monkeypatch.setattr(method, "_ROWS_AT_A_TIME", 7)
    np.testing.assert_allclose(multiply(5, COUNTS), whole, rtol=0, atol=1e-10)


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(["abcdefghij bed cab"], vocab_size=50, min_frequency=1)


def make_model(vocab_size):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForMaskedLM(BertConfig(vocab_size=vocab_size, num_hidden_layers=1, **sizes))


def test_special_tokens_count_as_the_most_frequent_piece(tokenizer):
    counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    bed = tokenizer.convert_tokens_to_ids("a")
    counts[bed] = 9
    weights = weigh_pieces(tokenizer, counts, num_rows=tokenizer.vocab_size + 2)
    assert {*weights[tokenizer.all_special_ids]} == {10}
    assert weights[bed] == 10
    assert {*np.delete(weights, [bed, *tokenizer.all_special_ids])} == {1}
    assert len(weights) == tokenizer.vocab_size + 2


def test_a_corpus_says_how_pieces_count(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("bed bed\n\ncab", encoding="utf-8")
    build_corpus(
        [tmp_path / "a.txt"],
        tokenizer=tokenizer,
        out=tmp_path / "c",
        settings=CorpusSettings(heldout_ratio=0),
    )
    model = make_model(60)
    step = {"method": "factorise_embeddings", "rank": 6, "corpus": str(tmp_path / "c")}
    made = apply_methods(model, [step])
    counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    for text in ("bed bed", "cab"):
        for number in tokenizer(text, add_special_tokens=False)["input_ids"]:
            counts[number] += 1
    weights = weigh_pieces(tokenizer, counts, num_rows=60)
    expected = factorise(model, 6, counts=weights)
    for name, tensor in made.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=0.0, atol=1e-6)
    with pytest.raises(SettingsError, match=r"tokenizer has \d+ pieces, but the model embeds 20;"):
        apply_methods(make_model(20), [{**step, "rank": 0.25}])
