"""Scores, masks and penalties after some steps, against the formulas of the papers in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_bert import linear_layers, make_batch, make_model, masked_layers

from limbeck.sparsity import Sparsifier, build_sparsity

STEPS = 6
RATE = 0.05
NOW = {"warmup_ratio": 0.0, "cooldown_ratio": 0.0}


def sgd(model, rate=RATE):
    """Plain gradient descent, for which the papers write their sums."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
                parameter.grad = None


def gradients(sparsifier, batch):
    """dL/dW' of each matrix, of a plain model that knows no masks."""
    plain = sparsifier.fold()
    plain(**batch).loss.backward()
    return [layer.weight.grad.numpy() for layer in linear_layers(plain)]


def top(numbers, count):
    kept = np.zeros(numbers.size, dtype=bool)
    kept[np.argsort(-numbers.ravel(), kind="stable")[:count]] = True
    return kept.reshape(numbers.shape)


def density_at(step, goal):
    return goal + (1 - goal) * (1 - step / STEPS) ** 3


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("method", ["movement", "magnitude"])
def test_counted_methods(method, scope):
    model = make_model()
    settings = build_sparsity({"method": method, "density": 0.2, "scope": scope, **NOW})
    sparsifier = Sparsifier(model, settings, num_steps=STEPS, seed=0)
    layers = masked_layers(model)
    weights = [layer.weight.detach().numpy().copy() for layer in layers]
    scores = [np.zeros_like(weight) for weight in weights]
    kept = [np.ones_like(weight, dtype=bool) for weight in weights]
    for step in range(1, STEPS + 1):
        batch = make_batch(step)
        known = gradients(sparsifier, batch)
        model(**batch).loss.backward()
        sgd(model)
        sparsifier.advance(step)
        # dL/dS = dL/dW' * W, and dL/dW = dL/dW' * M.
        scores = [s - RATE * g * w for s, g, w in zip(scores, known, weights, strict=True)]
        weights = [w - RATE * g * m for w, g, m in zip(weights, known, kept, strict=True)]
        rated = scores if method == "movement" else [np.abs(weight) for weight in weights]
        density = density_at(step, 0.2)
        if scope == "local":
            kept = [top(each, round(density * each.size)) for each in rated]
        else:  # of matrices so small each keeps half a percent, which is none
            together = np.concatenate([each.ravel() for each in rated])
            ends = np.cumsum([each.size for each in rated])[:-1]
            parts = np.split(top(together, round(density * together.size)), ends)
            kept = [p.reshape(each.shape) for p, each in zip(parts, rated, strict=True)]
    for layer, weight, score, mask in zip(layers, weights, scores, kept, strict=True):
        assert (layer.mask.kept.numpy() == mask).all()
        assert np.abs(layer.weight.detach().numpy() - weight).max() < 1e-12
        if method == "movement":
            assert np.abs(layer.mask.scores.detach().numpy() - score).max() < 1e-12
    total = sum(mask.size for mask in kept)
    assert sum(int(mask.sum()) for mask in kept) == pytest.approx(0.2 * total, abs=len(kept))


def test_soft_movement():
    model = make_model()
    values = {"method": "soft_movement", "penalty": 30.0, "threshold": 0.45, **NOW}
    sparsifier = Sparsifier(model, build_sparsity(values), num_steps=STEPS, seed=0)
    layers = masked_layers(model)
    count = sum(layer.weight.numel() for layer in layers)
    scores = [np.zeros(tuple(layer.weight.shape)) for layer in layers]
    for step in range(1, STEPS + 1):
        batch, left = make_batch(step), (1 - (step - 1) / STEPS) ** 3
        known = gradients(sparsifier, batch)
        weights = [layer.weight.detach().numpy().copy() for layer in layers]
        penalty = sparsifier.penalty()
        sigmoids = [1 / (1 + np.exp(-score)) for score in scores]
        total = sum(each.sum() for each in sigmoids)
        assert penalty.item() == pytest.approx(30 * (1 - left) * total / count, rel=1e-12)
        (model(**batch).loss + penalty).backward()
        sgd(model, rate=1.0)
        sparsifier.advance(step)
        scores = [
            score - (g * w + 30 * (1 - left) * s * (1 - s) / count)
            for score, g, w, s in zip(scores, known, weights, sigmoids, strict=True)
        ]
    bound = 0.45
    kept = [1 / (1 + np.exp(-score)) > bound for score in scores]
    assert 0 < sum(int(each.sum()) for each in kept) < count
    for layer, score, mask in zip(layers, scores, kept, strict=True):
        assert np.abs(layer.mask.scores.detach().numpy() - score).max() < 1e-12
        assert (layer.mask.kept.numpy() == mask).all()


def hard_concrete(scores, uniforms=None):
    """Louizos et al. 2018, equations 10, 11 and 13."""
    drawn = scores
    if uniforms is not None:
        drawn = (np.log(uniforms) - np.log(1 - uniforms) + scores) / (2 / 3)
    return np.clip(1 / (1 + np.exp(-drawn)) * 1.2 - 0.1, 0, 1)


def test_gates_of_l0_are_drawn_in_training_and_fixed_in_evaluation():
    model, batch = make_model(), make_batch()
    sparsifier = Sparsifier(model, build_sparsity({"method": "l0"}), num_steps=STEPS, seed=3)
    layers = masked_layers(model)
    with torch.no_grad():
        for layer in layers:
            layer.mask.scores.normal_(generator=torch.Generator().manual_seed(1))
    sparsifier.advance(2)
    oracle = make_model()
    for is_drawn in (True, False):
        model.train(is_drawn)
        for layer, plain in zip(layers, linear_layers(oracle), strict=True):
            uniforms = layer.mask.noise.sigmoid().numpy() if is_drawn else None
            gates = hard_concrete(layer.mask.scores.detach().numpy(), uniforms)
            assert (gates == 0).any()
            plain.weight.data = layer.weight.detach() * torch.from_numpy(gates)
        expected = oracle(**batch).loss
        assert model(**batch).loss.item() == pytest.approx(expected.item(), abs=1e-12)
        oracle = make_model()
    drawn = layers[0].mask.noise.clone()
    sparsifier.advance(3)
    assert not torch.equal(layers[0].mask.noise, drawn)
    sparsifier.advance(2)
    assert torch.equal(layers[0].mask.noise, drawn)


def test_the_gradient_of_gates_is_that_of_the_formula():
    model, batch = make_model(), make_batch()
    sparsifier = Sparsifier(model, build_sparsity({"method": "l0"}), num_steps=STEPS, seed=3)
    layer = masked_layers(model)[0]
    with torch.no_grad():
        layer.mask.scores.normal_(generator=torch.Generator().manual_seed(1))
    sparsifier.advance(3)
    loss = lambda: model(**batch).loss + sparsifier.penalty()  # noqa: E731
    loss().backward()
    scores, step = layer.mask.scores, 1e-6
    for place in [(0, 0), (3, 5), (7, 2)]:
        with torch.no_grad():
            scores[place] += step
            above = loss().item()
            scores[place] -= 2 * step
            below = loss().item()
            scores[place] += step
        slope = (above - below) / (2 * step)
        assert scores.grad[place].item() == pytest.approx(slope, abs=1e-7)


def test_the_expected_number_of_open_gates_is_that_of_many_draws():
    """Equation 12, and the penalty's growth."""
    model = make_model()
    settings = build_sparsity({"method": "l0", "penalty": 7.0, **NOW})
    sparsifier = Sparsifier(model, settings, num_steps=STEPS, seed=0)
    layers = masked_layers(model)
    for layer in layers:
        spread = torch.linspace(-4, 3, layer.weight.numel(), dtype=torch.float64)
        layer.mask.scores.data = spread.view_as(layer.weight)
    scores = np.linspace(-4, 3, 50)
    chance = 1 / (1 + np.exp(-(scores - 2 / 3 * math.log(0.1 / 1.1))))
    draws = 20_000
    uniforms = np.random.default_rng(0).uniform(size=(draws, len(scores)))
    found = (hard_concrete(scores, uniforms) > 0).mean(axis=0)
    deviation = np.sqrt(chance * (1 - chance) / draws)
    assert (np.abs(found - chance) < 4.5 * deviation).all()
    sparsifier.advance(3)
    every = np.concatenate([layer.mask.scores.detach().numpy().ravel() for layer in layers])
    mean = (1 / (1 + np.exp(-(every - 2 / 3 * math.log(0.1 / 1.1))))).mean()
    assert sparsifier.penalty().item() == pytest.approx(7 * (1 - 0.5**3) * mean, rel=1e-12)


@pytest.mark.parametrize("method", ["soft_movement", "l0"])
def test_a_bound_of_density_and_scores_that_rest(method):
    model = make_model()
    values = {"method": method, "density": 0.3, "cooldown_ratio": 0.5, "warmup_ratio": 0}
    sparsifier = Sparsifier(model, build_sparsity(values), num_steps=8, seed=0)
    layers = masked_layers(model)
    with torch.no_grad():
        for layer in layers:
            layer.mask.scores.normal_(generator=torch.Generator().manual_seed(1))
    for step in range(9):
        sparsifier.advance(step)
        assert sparsifier.is_final(step) == (step >= 4)
        assert all(layer.mask.scores.requires_grad == (step < 4) for layer in layers)
    kept = [layer.mask.kept for layer in layers]
    total = sum(each.numel() for each in kept)
    assert sum(int(each.sum()) for each in kept) == round(0.3 * total)
    lowest = min(layer.mask.scores[layer.mask.kept].min() for layer in layers)
    assert all((layer.mask.scores[~layer.mask.kept] <= lowest).all() for layer in layers)
