"""Blocks by themselves: attention by its formula, masks, initialisers, errors."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from limbeck import SettingsError
from limbeck.nn import (
    ACTIVATIONS,
    Embeddings,
    MaskedLMHead,
    MeanPooler,
    SelfAttention,
    VocabularyTransform,
    additive_mask,
    build_activation,
    initialise,
    sinusoidal_positions,
)
from limbeck.nn.masks import MASKED_SCORE


def attention_by_formula(block: SelfAttention, hidden, mask):
    """Row by row and head by head, as the article writes it."""
    size = block.head_size
    query, key, value = block.query(hidden), block.key(hidden), block.value(hidden)
    context = torch.zeros_like(hidden)
    for row in range(hidden.shape[0]):
        for head in range(hidden.shape[2] // size):
            part = slice(head * size, (head + 1) * size)
            scores = query[row, :, part] @ key[row, :, part].T / math.sqrt(size)
            scores = scores.masked_fill(mask[row] == 0, -math.inf)
            context[row, :, part] = scores.softmax(-1) @ value[row, :, part]
    return block.output(context)


@pytest.mark.parametrize("explicit", [False, True])
@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 6),
    heads=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_attention_is_its_formula(explicit, batch, length, heads, seed):
    torch.manual_seed(seed)
    block = SelfAttention(heads * 3, num_heads=heads, dropout=0.5).double().eval()
    hidden = torch.randn(batch, length, heads * 3, dtype=torch.float64)
    mask = torch.rand(batch, length, length) < 0.6
    mask |= torch.eye(length, dtype=torch.bool)
    with torch.no_grad():
        given, parts = block(hidden, additive_mask(mask, dtype=hidden.dtype), explicit=explicit)
        expected = attention_by_formula(block, hidden, mask)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-9)
    products = parts.queries @ parts.keys.mT / math.sqrt(block.head_size)
    products = products.masked_fill(~mask[:, None], -math.inf)
    context = (products.softmax(-1) @ parts.values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(block.output(context).detach(), expected, rtol=0, atol=1e-9)
    if explicit:
        scores, probabilities = parts.attention_scores, parts.attentions
        is_hidden = ~mask[:, None].expand_as(probabilities)
        torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(probabilities[..., 0]))
        assert not probabilities[is_hidden].any()
        torch.testing.assert_close(scores.softmax(-1), probabilities)
        assert torch.equal(scores < MASKED_SCORE / 2, is_hidden)
    else:
        assert parts.attention_scores is None
        assert parts.attentions is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_mask_is_finite_and_broadcasts(dtype):
    flat = additive_mask(torch.tensor([[1, 1, 0]]), dtype=dtype)
    assert flat.shape == (1, 1, 1, 3)
    assert flat.dtype == dtype
    assert flat.isfinite().all()
    assert flat[0, 0, 0].tolist()[:2] == [0, 0]
    assert flat.softmax(-1)[0, 0, 0, 2] == 0
    assert additive_mask(torch.ones(2, 3, 3, dtype=torch.bool), dtype=dtype).shape == (2, 1, 3, 3)


def test_embeddings_without_types_and_with_positions():
    torch.manual_seed(0)
    arguments = {"norm": nn.Identity(), "dropout": nn.Identity()}
    tables = {"word": nn.Embedding(9, 4), "position": nn.Embedding(6, 4)}
    types = nn.Embedding(2, 4)
    ids = torch.tensor([[3, 1, 2]])
    plain = Embeddings(**tables, token_type=None, **arguments)
    assert torch.equal(plain(ids), plain(ids, None, torch.arange(3)[None]))
    assert not torch.equal(plain(ids), plain(ids, None, torch.tensor([[0, 1, 0]])))
    typed = Embeddings(**tables, token_type=types, **arguments)
    torch.testing.assert_close(typed(ids), plain(ids) + types.weight[0])
    torch.testing.assert_close(typed(ids), typed(ids, torch.zeros_like(ids)))
    torch.testing.assert_close(typed(ids, torch.ones_like(ids)), plain(ids) + types.weight[1])


def test_activations():
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    exact = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    torch.testing.assert_close(build_activation("gelu")(x), exact)
    tanh = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    for name in ("gelu_new", "gelu_pytorch_tanh"):
        torch.testing.assert_close(build_activation(name)(x), tanh)
    assert all(isinstance(build_activation(name), nn.Module) for name in ACTIVATIONS)
    with pytest.raises(SettingsError, match=r"no activation 'gelo'; accepted: gelu, .*mean 'gelu'"):
        build_activation("gelo")


def test_vocabulary_head_ties_and_initialises():
    word = torch.randn(7, 4, requires_grad=True)
    transform = VocabularyTransform(
        dense=nn.Linear(4, 4), activation=nn.GELU(), norm=nn.LayerNorm(4)
    )
    head = MaskedLMHead(transform=transform, vocab_size=7)
    assert "bias" in dict(head.named_parameters())
    assert len(list(head.parameters())) == 5
    hidden = torch.randn(3, 5, 4)
    torch.testing.assert_close(head(hidden, word * 2), head(hidden, word) * 2)
    with torch.no_grad():
        head.bias.fill_(3.0)
    initialise(head, std=0.1)
    assert not head.bias.any()
    head(hidden, word).sum().backward()
    assert word.grad is not None


def test_sinusoids_by_the_formula():
    table = sinusoidal_positions(5, 6)
    for position in range(5):
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            assert table[position, 2 * pair].item() == pytest.approx(math.sin(angle))
            assert table[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_mean_of_a_long_text_is_no_overflow(dtype):
    hidden = torch.full((1, 8000, 2), 100.0, dtype=dtype)
    pooled = MeanPooler()(hidden, attention_mask=torch.ones(1, 8000, dtype=torch.long))
    assert pooled.dtype == dtype
    assert pooled.tolist() == [[100.0, 100.0]]
