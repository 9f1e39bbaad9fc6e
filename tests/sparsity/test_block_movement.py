"""Scores of blocks and neurons, against the formula in NumPy, and what is left of a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_bert import linear_layers, make_batch, make_model, masked_layers

from limbeck.errors import SettingsError
from limbeck.methods._empty import drop_empty_units
from limbeck.sparsity import Sparsifier, build_sparsity, measure_density, require_prunable

STEPS, RATE, BLOCK = 6, 0.05, 4


def make_settings(**changes):
    values = {"density": 0.3, "block": BLOCK, "warmup_ratio": 0, "cooldown_ratio": 0, **changes}
    return build_sparsity({"method": "block_movement", **values})


def tiles(matrix):
    rows, columns = (size // BLOCK for size in matrix.shape)
    return matrix.reshape(rows, BLOCK, columns, BLOCK).sum(axis=(1, 3))


def test_scores_are_sums_over_blocks_and_neurons():
    """S = -rate * sum over steps and the unit of dL/dW' * W, by plain gradient descent."""
    model = make_model()
    sparsifier = Sparsifier(model, make_settings(), num_steps=STEPS, seed=0)
    layers = masked_layers(model)
    attention = [np.zeros((2, 2)) for _ in range(4)]
    neurons = np.zeros(12)
    for step in range(1, STEPS):
        plain = sparsifier.fold()
        plain(**make_batch(step)).loss.backward()
        known = [layer.weight.grad.numpy() for layer in linear_layers(plain)]
        moved = [g * m.weight.detach().numpy() for g, m in zip(known, layers, strict=True)]
        attention = [s - RATE * tiles(m) for s, m in zip(attention, moved[:4], strict=True)]
        neurons -= RATE * (moved[4].sum(axis=1) + moved[5].sum(axis=0))
        model(**make_batch(step)).loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= RATE * parameter.grad
                    parameter.grad = None
        sparsifier.advance(step)
    for layer, scores in zip(layers[:4], attention, strict=True):
        assert np.abs(layer.mask.source.scores.detach().numpy() - scores).max() < 1e-12
    for layer in layers[4:]:
        assert np.abs(layer.mask.source.scores.detach().numpy() - neurons).max() < 1e-12
    sparsifier.advance(STEPS)
    bound = 0.3 * (4 * 64 + 2 * 96)
    kept = [layer.mask().expand_as(layer.weight) for layer in layers]
    assert bound - BLOCK**2 < sum(int(mask.count_nonzero()) for mask in kept) <= bound
    worst = min(
        one.mask.source.scores[one.mask.source.kept].min().item()
        for one in layers
        if one.mask.source.kept.any()
    )
    gone = [one.mask.source.scores[~one.mask.source.kept] for one in layers]
    assert all((scores <= worst).all() for scores in gone)


def test_what_is_empty_is_taken_out():
    model = make_model()
    sparsifier = Sparsifier(model, make_settings(density=0.6), num_steps=1, seed=0)
    query, key, value, output, up, _ = (layer.mask.source for layer in masked_layers(model))
    with torch.no_grad():
        for one in (query, key, output):
            one.scores.fill_(1)
        value.scores.copy_(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))  # head 0 reads nothing
        up.scores.copy_(torch.tensor([1.0, -1.0] * 6))
    sparsifier.advance(1)
    folded = sparsifier.fold().eval()
    assert measure_density(folded) <= 0.6
    small = drop_empty_units(folded).eval()
    (shape,) = small.config.layer_shapes
    assert (shape.heads, 0 < shape.neurons <= 6) == ((1,), True)
    with torch.no_grad():
        given, expected = (one.eval()(**make_batch()).logits for one in (small, model))
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-10)


def test_a_block_that_does_not_divide():
    with pytest.raises(
        SettingsError, match=r"block = 3 does not divide the 8 x 8 weights .*: a divisor of 8"
    ):
        require_prunable(make_model(), make_settings(block=3))
