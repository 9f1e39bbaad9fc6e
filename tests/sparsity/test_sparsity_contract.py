"""What every method of the room keeps to."""

from __future__ import annotations

import pytest
import torch
from tiny_bert import linear_layers, make_batch, make_model, masked_layers

from limbeck import AutoModelForSequenceClassification, listing
from limbeck.errors import SettingsError
from limbeck.models import find_architecture, find_class
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION
from limbeck.sparsity import (
    Sparsifier,
    SparsitySettings,
    build_sparsity,
    measure_density,
    require_prunable,
)

METHODS = listing.list_names("limbeck.sparsity")
STEPS = 10


def make_settings(method, **changes):
    needed = {"block": 2} if method == "block_movement" else {}
    return build_sparsity({"method": method, "density": 0.25, **needed, **changes})


def train(model, sparsifier, steps):
    rates = sparsifier.rates()
    groups = [
        {"params": [p for p in model.parameters() if p not in rates], "lr": 1e-3},
        *({"params": [scores], "lr": rate} for scores, rate in rates.items()),
    ]
    optimizer = torch.optim.AdamW(groups)
    for step in steps:
        optimizer.zero_grad()
        loss, penalty = model(**make_batch(step)).loss, sparsifier.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        sparsifier.advance(step + 1)


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, tmp_path):
    settings = make_settings(method)
    assert isinstance(settings, SparsitySettings)
    assert settings.method == method
    assert all(f.description for name, f in type(settings).model_fields.items() if name != "method")
    assert build_sparsity(settings.model_dump()) == settings
    model, plain = make_model(), make_model()
    sparsifier = Sparsifier(model, settings, num_steps=STEPS, seed=0)
    with torch.no_grad():  # before the first step nothing is masked; L0's gates are at 0.98
        found, expected = (each.eval()(**make_batch()).loss.item() for each in (model, plain))
    assert found == pytest.approx(expected, rel=1e-2)
    model.train()
    train(model, sparsifier, range(STEPS))
    folded = sparsifier.fold()
    assert type(folded) is type(plain)
    assert folded.state_dict().keys() == plain.state_dict().keys()
    assert len(masked_layers(folded)) == 0
    found = measure_density(folded)
    assert 0 < found <= 0.25 + 1 / sum(layer.weight.numel() for layer in linear_layers(folded))
    assert all(not torch.signbit(w.weight[w.weight == 0]).any() for w in linear_layers(folded))
    with torch.no_grad():
        expected = model.eval()(**make_batch()).logits
        torch.testing.assert_close(folded.eval()(**make_batch()).logits, expected, atol=0, rtol=0)
    folded.float().save_pretrained(tmp_path / "model")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert measure_density(again) == found


def test_what_is_pruned_and_what_is_not():
    """Not embeddings, norms, biases, pooler and head."""
    model, dense = make_model(), make_model()
    sparsifier = Sparsifier(model, make_settings("magnitude"), num_steps=1, seed=0)
    sparsifier.advance(1)
    folded, given = sparsifier.fold().state_dict(), dense.state_dict()
    changed = {name for name in folded if not torch.equal(folded[name], given[name])}
    inside = [n for n, m in dense.encoder.layers.named_modules() if isinstance(m, torch.nn.Linear)]
    assert changed == {f"encoder.layers.{name}.weight" for name in inside}


@pytest.mark.parametrize("method", METHODS)
def test_what_a_model_keeps_is_enough_to_go_on(method):
    """A state dict, the step and the seed give the same masks."""
    settings = make_settings(method)
    for stop in (4, 9):  # in the middle, and in the cool-down
        model, again = make_model(), make_model()
        sparsifier = Sparsifier(model, settings, num_steps=STEPS, seed=5)
        train(model, sparsifier, range(stop))
        resumed = Sparsifier(again, settings, num_steps=STEPS, seed=5)
        again.load_state_dict(model.state_dict())
        resumed.advance(stop)
        for one, other in zip(masked_layers(model), masked_layers(again), strict=True):
            assert torch.equal(one.mask(), other.mask())


@pytest.mark.parametrize("family", listing.list_names("limbeck.models"))
def test_every_family_has_layers_to_prune(family):
    architecture = find_architecture(family)
    if SEQUENCE_CLASSIFICATION not in architecture.kinds:
        pytest.skip("no such head")
    values = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    values |= {"intermediate_size": 32, "vocab_size": 40, "max_position_embeddings": 32}
    config = architecture.config_type().replace(
        **{**values, **architecture.config_type.tiny_values}
    )
    torch.manual_seed(0)
    model = find_class(family, SEQUENCE_CLASSIFICATION)(config).eval()
    num_matrices = len(linear_layers(model))
    sparsifier = Sparsifier(model, make_settings("magnitude", density=0.1), num_steps=1, seed=0)
    assert len(masked_layers(model)) == num_matrices >= 6
    sparsifier.advance(1)
    assert measure_density(sparsifier.fold()) == pytest.approx(0.1, abs=0.01)
    ids = torch.randint(5, 40, (2, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(sparsifier.fold()(ids).logits, model(ids).logits)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"density": 0.5},
            r"sparsify names no method; accepted: sparsify\.method = block_movement, cofi, l0, ",
        ),
        (
            {"method": "movment"},
            r"sparsify\.method = 'movment' is none; accepted: .*Did you mean 'movement'\?",
        ),
        ({"method": "movement"}, r"sparsify: 'density' is required: a number > 0 and < 1"),
        (
            {"method": "movement", "density": 0},
            r"sparsify: density = 0 is not accepted\. Accepted: a number > 0 and < 1",
        ),
        ({"method": "magnitude", "density": 1}, r"density = 1 is not accepted.*> 0 and < 1"),
        ({"method": "magnitude", "density": 15}, r"density = 15 is not accepted.*> 0 and < 1"),
        (
            {"method": "magnitude", "density": 0.1, "learning_rate": 1},
            r"sparsify: there is no setting 'learning_rate' \(given: 1\)",
        ),
        (
            {"method": "l0", "warmup_ratio": 0.7, "cooldown_ratio": 0.5},
            r"sparsify: warmup_ratio = 0\.7 and cooldown_ratio = 0\.5 are more than the whole run",
        ),
        (
            {"method": "movement", "density": 0.1, "warmup_ratio": 0, "cooldown_ratio": 1},
            r"sparsify: cooldown_ratio = 1 .* scores of movement .* accepted: below 1",
        ),
        ({"method": "soft-movement", "penalty": 0}, r"penalty = 0 is not accepted.*> 0"),
        ({"method": "soft_movement", "threshold": 1}, r"threshold = 1 is not accepted.*< 1"),
    ],
)
def test_what_is_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        build_sparsity(values)


def test_a_model_without_layers():
    model = make_model()
    model.encoder.layers = torch.nn.ModuleList()
    with pytest.raises(SettingsError, match=r"sparsify prunes the linear .* this BertForSequence"):
        require_prunable(model, make_settings("magnitude"))
    require_prunable(make_model(), make_settings("magnitude"))
