"""Pooling, Dense layers and Normalize against plain loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.nn import POOLING_MODES, DenseLayer, Normalize, Pooling


def pool_plainly(mode: str, tokens: np.ndarray, *, left_out: int = 0) -> np.ndarray:
    """One text's vector, of its real tokens alone."""
    kept = tokens[left_out:]
    weights = np.arange(left_out + 1, len(tokens) + 1)
    return {
        "cls": lambda: kept[0],
        "lasttoken": lambda: kept[-1],
        "max": lambda: kept.max(axis=0),
        "mean": lambda: kept.sum(axis=0) / len(kept),
        "mean_sqrt_len_tokens": lambda: kept.sum(axis=0) / len(kept) ** 0.5,
        "weightedmean": lambda: (
            sum(w * token for w, token in zip(weights, kept, strict=True)) / weights.sum()
        ),
    }[mode]()


@pytest.mark.parametrize("mode", POOLING_MODES)
@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(3, 7), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    left_out=st.integers(0, 2),
    is_left=st.booleans(),
)
def test_each_mode_is_the_plain_one_and_does_not_see_padding(
    mode, lengths, seed, left_out, is_left
):
    random = np.random.default_rng(seed)
    texts = [random.standard_normal((length, 4)) for length in lengths]
    hidden = random.standard_normal((len(texts), 8, 4)) * 100
    mask = np.zeros((len(texts), 8), dtype=np.int64)
    for row, text in enumerate(texts):
        place = slice(8 - len(text), 8) if is_left else slice(0, len(text))
        hidden[row, place], mask[row, place] = text, 1
    found = Pooling([mode])(torch.tensor(hidden), torch.tensor(mask), num_left_out=left_out)
    expected = np.stack([pool_plainly(mode, text, left_out=left_out) for text in texts])
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-9)


def test_several_modes_are_joined_in_their_order_and_no_mask_is_all_real():
    hidden = torch.randn(2, 5, 3, dtype=torch.float64)
    found = Pooling(["mean", "cls"])(hidden)
    torch.testing.assert_close(found, torch.cat([hidden.mean(1), hidden[:, 0]], dim=1))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    pairs = mask[:, :, None] * mask[:, None, :]  # what each token may see, as in packed documents
    pooling = Pooling(POOLING_MODES)
    torch.testing.assert_close(pooling(hidden, pairs), pooling(hidden, mask))


@pytest.mark.parametrize("mode", POOLING_MODES)
def test_half_precision_is_summed_in_float32(mode):
    hidden = torch.full((1, 512, 2), 300.0, dtype=torch.float16)  # their sum is beyond 65504
    found = Pooling([mode])(hidden, torch.ones(1, 512, dtype=torch.long))
    assert found.dtype == torch.float32
    assert found.isfinite().all()


@pytest.mark.parametrize("mode", POOLING_MODES)
def test_gradients(mode):
    hidden = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    pooling = Pooling([mode])
    assert torch.autograd.gradcheck(lambda states: pooling(states, mask), (hidden,))


@pytest.mark.parametrize("use_residual", [False, True])
@pytest.mark.parametrize("width", [3, 5])
def test_dense_and_normalize_are_the_formulas(use_residual, width):
    layer = DenseLayer(3, width, activation=torch.nn.Tanh(), use_residual=use_residual).double()
    vectors = torch.randn(2, 3, dtype=torch.float64)
    values = {name: tensor.detach().numpy() for name, tensor in layer.state_dict().items()}
    expected = np.tanh(vectors.numpy() @ values["linear.weight"].T + values["linear.bias"])
    if use_residual:
        kept = vectors.numpy()
        expected += kept if width == 3 else kept @ values["residual.weight"].T
    found = layer(vectors).detach()
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    lengths = np.sqrt((expected**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(Normalize()(found).numpy(), expected / lengths, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["mean", "mean_sqrt_len_tokens", "weightedmean"])
def test_of_no_tokens_the_mean_is_0(mode):
    mask = torch.tensor([[1, 1], [0, 0]])
    found = Pooling([mode])(torch.ones(2, 2, 3), mask)
    assert torch.equal(found[1], torch.zeros(3))
