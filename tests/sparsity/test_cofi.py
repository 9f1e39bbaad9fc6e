"""Gates on blocks and units: what is expected of them, the Lagrangian, and what is left."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_bert import make_batch, make_model, masked_layers

from limbeck import AlbertConfig, AlbertForMaskedLM
from limbeck.errors import SettingsError
from limbeck.methods._empty import drop_empty_units
from limbeck.sparsity import Sparsifier, build_sparsity, require_prunable
from limbeck.sparsity.cofi import CofiMask, expect_density

STEPS = 10
HEAD, NEURON = 4 * (3 * 8 + 8), 8 + 8
"""Weights of a head and of a neuron of the tiny model, which has 2 and 12."""
TOTAL = 2 * HEAD + 12 * NEURON


def make_gated(**changes):
    model = make_model()
    settings = build_sparsity({"method": "cofi", "density": 0.5, **changes})
    sparsifier = Sparsifier(model, settings, num_steps=STEPS, seed=3)
    masks = [layer.mask for layer in masked_layers(model) if isinstance(layer.mask, CofiMask)]
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for mask in masks:
            mask.gates.scores.normal_(generator=generator)
    return model, sparsifier, masks


def test_the_expected_density_is_that_of_many_draws():
    _, sparsifier, masks = make_gated()
    draws = 6000
    found = 0.0
    for step in range(draws):
        sparsifier.settings.set_masks(
            masked_layers(sparsifier._model),
            left=0.5,
            generator=torch.Generator().manual_seed(step),
        )
        opened = [int((mask.gates() > 0).sum()) for mask in masks]
        found += (opened[0] * HEAD + opened[1] * NEURON) / TOTAL / draws
    # A share has a standard deviation of at most a half.
    assert expect_density(masks).item() == pytest.approx(found, abs=4.5 * 0.5 / draws**0.5)


@given(
    density=st.floats(0.01, 0.99),
    warmup=st.floats(0, 0.9),
    rest=st.floats(0, 1),
    rise=st.floats(0, 1),
    num_steps=st.integers(1, 200),
)
def test_the_target_falls_to_the_density_and_stays(density, warmup, rest, rise, num_steps):
    ratios = {"warmup_ratio": warmup, "cooldown_ratio": 0.9 * (1 - warmup) * rest}
    settings = build_sparsity({"method": "cofi", "density": density, "rise_ratio": rise, **ratios})
    left = [settings.left_at(step, num_steps) for step in range(num_steps + 1)]
    targets = [settings.target(each) for each in left]
    assert all(later <= sooner for sooner, later in itertools.pairwise(targets))
    assert targets[-1] == pytest.approx(density)
    assert all(density - 1e-12 <= each <= 1 for each in targets)
    assert all(each == 1 for step, each in enumerate(targets[:-1]) if step <= warmup * num_steps)


@pytest.mark.parametrize("left", [0.7, 0.2])
def test_multipliers_climb_where_gates_descend(left):
    """Of l1 (e - t) + l2 (e - t)^2; the derivatives by l1 and l2 with the sign turned."""
    model, sparsifier, masks = make_gated(density=0.1)
    layers = masked_layers(model)
    multipliers = masks[0].lagrangian.multipliers
    with torch.no_grad():
        multipliers.copy_(torch.tensor([0.7, 1.3], dtype=torch.float64))
    excess = expect_density(masks).item() - sparsifier.settings.target(left)
    penalty = sparsifier.settings.penalise(layers, left=left)
    assert penalty.item() == pytest.approx(0.7 * excess + 1.3 * excess**2, rel=1e-12)
    penalty.backward()
    assert multipliers.grad.tolist() == pytest.approx([-excess, -(excess**2)], rel=1e-12)
    scores, step = masks[1].gates.scores, 1e-6
    with torch.no_grad():
        scores[-1] += step
        above = sparsifier.settings.penalise(layers, left=left).item()
        scores[-1] -= 2 * step
        below = sparsifier.settings.penalise(layers, left=left).item()
    assert scores.grad[-1].item() == pytest.approx((above - below) / (2 * step), abs=1e-7)


def test_nothing_is_asked_for_before_and_after():
    model, sparsifier, _ = make_gated()
    for left in (0, 1):
        assert sparsifier.settings.penalise(masked_layers(model), left=left) is None


def test_too_many_weights_raise_the_first_multiplier_and_close_gates():
    model, sparsifier, masks = make_gated(density=0.3, warmup_ratio=0, rise_ratio=0.01)
    multipliers = masks[0].lagrangian.multipliers
    settings, layers = sparsifier.settings, masked_layers(model)
    optimizer = torch.optim.AdamW(sparsifier.rates(), lr=0.05, weight_decay=0)
    firsts, densities = [], []
    for _ in range(400):
        optimizer.zero_grad()
        settings.penalise(layers, left=0.5).backward()
        optimizer.step()
        firsts.append(multipliers[0].item())
        densities.append(expect_density(masks).item())
    assert 0 < firsts[0] < firsts[5]
    assert multipliers[1].item() > 0
    assert densities[-1] == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_what_is_left_is_the_gated_model(dtype, atol):
    """The factor of a gate that stays is in the weights; what is closed is really gone."""
    model, sparsifier, masks = make_gated(density=0.8)
    with torch.no_grad():
        for mask in masks:
            mask.gates.scores[:2] = torch.tensor([-1.0, -4.0])
            mask.gates.scores[-1] = 2.0
    sparsifier.advance(STEPS)
    small = drop_empty_units(sparsifier.fold()).to(dtype).eval()
    (shape,) = small.config.layer_shapes
    kept = len(shape.heads) * HEAD + shape.neurons * NEURON
    assert (shape.heads, 0 < kept <= 0.8 * TOTAL) == ((0,), True)
    factors = torch.cat([mask.gates()[:1] for mask in masks])
    assert ((factors > 0) & (factors < 1)).all()
    with torch.no_grad():
        given_, expected = (one.eval()(**make_batch()).logits for one in (small, model))
    torch.testing.assert_close(given_, expected.to(dtype), rtol=0, atol=atol)


def test_a_block_whose_gate_closes_goes_as_a_whole():
    model, sparsifier, masks = make_gated(density=0.9)
    with torch.no_grad():
        masks[0].gates.scores[-1] = -6.0
        masks[1].gates.scores[:] = 4.0
    sparsifier.advance(STEPS)
    small = drop_empty_units(sparsifier.fold()).eval()
    assert [(s.heads, s.neurons) for s in small.config.layer_shapes] == [((), 12)]
    with torch.no_grad():
        given_, expected = (one.eval()(**make_batch()).logits for one in (small, model))
    torch.testing.assert_close(given_, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["cofi", "block_movement"])
def test_a_family_whose_layers_cannot_be_cut(method):
    config = AlbertConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, embedding_size=4)
    with torch.device("meta"):
        model = AlbertForMaskedLM(config)
    settings = build_sparsity({"method": method, "density": 0.5})
    with pytest.raises(
        SettingsError,
        match=rf"method = {method} takes heads .* an albert, since a layer .*; accept",
    ):
        require_prunable(model, settings)
