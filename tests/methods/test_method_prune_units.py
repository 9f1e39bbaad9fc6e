"""Which heads and neurons are taken for the least important, and what is no choice of them."""

from __future__ import annotations

import pytest
import torch

from limbeck import BertConfig, BertForMaskedLM, ModernBertConfig, ModernBertModel
from limbeck.errors import SettingsError
from limbeck.methods import apply_methods, build_method
from limbeck.methods.prune_units import keep_units, measure_norms

DEPTH, HEADS, NEURONS = 4, 4, 24


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        intermediate_size=NEURONS,
        max_position_embeddings=20,
        initializer_range=0.3,
    )
    made = BertForMaskedLM(config).double().eval()
    with torch.no_grad():  # biases are 0 in new models
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)
    return made


def prune(model, **settings):
    return apply_methods(model, [{"method": "prune_units", **settings}])


def test_norms_are_those_of_the_products(model):
    """What a head writes: W_O W_V x, of an x with a last number that is 1."""
    norms = measure_norms(model)
    for place in range(DEPTH):
        layer = model.encoder.layer_at(place)
        attention, block = layer.attention, layer.feed_forward
        for head in range(HEADS):
            rows = slice(4 * head, 4 * head + 4)
            reads = torch.cat(
                [attention.value.weight[rows], attention.value.bias[rows, None]], dim=1
            )
            written = attention.output.weight[:, rows] @ reads
            torch.testing.assert_close(norms.heads[place][head], torch.linalg.norm(written))
        for neuron in range(NEURONS):
            reads = torch.cat([block.up.weight[neuron], block.up.bias[neuron, None]])
            written = torch.outer(block.down.weight[:, neuron], reads)
            torch.testing.assert_close(norms.neurons[place][neuron], torch.linalg.norm(written))


def test_the_gate_counts_too():
    torch.manual_seed(0)
    model = ModernBertModel(
        ModernBertConfig(
            vocab_size=20,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=6,
            pad_token_id=0,
        )
    )
    block = model.encoder.layer_at(0).feed_forward
    parts = (
        block.up.weight.norm(dim=1),
        block.gate.weight.norm(dim=1),
        block.down.weight.norm(dim=0),
    )
    expected = (parts[0] * parts[1] * parts[2]).double()
    torch.testing.assert_close(measure_norms(model).neurons[0], expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("heads", "neurons"), [(0.5, 0.25), (2, 6), (2, 0.25)])
def test_each_layer_keeps_those_that_write_most(model, heads, neurons):
    norms = measure_norms(model)
    pruned = prune(model, heads=heads, neurons=neurons)
    for place, shape in enumerate(pruned.config.layer_shapes):
        best = sorted(norms.heads[place].argsort(descending=True)[:2].tolist())
        assert list(shape.heads) == best
        assert shape.neurons == 6
        kept = sorted(norms.neurons[place].argsort(descending=True)[:6].tolist())
        rows = model.encoder.layer_at(place).feed_forward.up.weight[kept]
        assert torch.equal(pruned.encoder.layer_at(place).feed_forward.up.weight, rows)


def test_those_of_all_layers_together(model):
    """Half of all, wherever they stand; a layer of small weights keeps its best one."""
    with torch.no_grad():
        quiet = model.encoder.layer_at(1)
        quiet.attention.output.weight.mul_(1e-3)
        quiet.feed_forward.down.weight.mul_(1e-3)
    norms = measure_norms(model)
    pruned = prune(model, heads=0.5, neurons=0.5, scope="global")
    shapes = pruned.config.layer_shapes
    assert sum(len(shape.heads) for shape in shapes) == DEPTH * HEADS // 2
    assert sum(shape.neurons for shape in shapes) == DEPTH * NEURONS // 2
    assert shapes[1].heads == (int(norms.heads[1].argmax()),)
    assert shapes[1].neurons == 1
    kept = [norms.heads[place][list(shape.heads)] for place, shape in enumerate(shapes)]
    lowest = min(float(of_layer.min()) for place, of_layer in enumerate(kept) if place != 1)
    gone = [
        float(norm)
        for place, shape in enumerate(shapes)
        for head, norm in enumerate(norms.heads[place])
        if head not in shape.heads
    ]
    assert max(gone) <= lowest


def test_what_is_not_named_stays(model):
    narrow = prune(model, neurons=0.5)
    assert (narrow.config.layer_shapes, narrow.config.intermediate_size) == (None, 12)
    few = prune(model, heads=1)
    assert [len(shape.heads) for shape in few.config.layer_shapes] == [1] * DEPTH
    assert [shape.neurons for shape in few.config.layer_shapes] == [NEURONS] * DEPTH
    assert prune(model, heads=1.0).config == model.config


def test_a_share_is_of_what_is_left(model):
    twice = apply_methods(
        model,
        [
            {"method": "prune_units", "heads": 0.5},
            {"method": "prune_units", "heads": 0.5, "neurons": 0.5},
        ],
    )
    shapes = twice.config.layer_shapes
    assert [(len(shape.heads), shape.neurons) for shape in shapes] == [(1, 12)] * DEPTH


def test_layers_that_differ_are_not_made_one(model):
    pruned = prune(model, heads=0.5, neurons=0.5)
    with pytest.raises(
        SettingsError, match=r"one layer of several, and this model's differ in heads .*; accepted"
    ):
        apply_methods(pruned, [{"method": "share_layers"}])
    alike = apply_methods(
        model, [{"method": "prune_units", "neurons": 0.5}, {"method": "share_layers"}]
    )
    assert (alike.config.intermediate_size, len(alike.encoder.layers)) == (12, 1)


def test_frozen_weights_stay_frozen(model):
    model.encoder.requires_grad_(requires_grad=False)
    pruned = prune(model, heads=0.5, neurons=0.5)
    assert not any(parameter.requires_grad for parameter in pruned.encoder.parameters())
    assert all(parameter.requires_grad for parameter in pruned.head.parameters())
    assert not pruned.training


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"prune_units takes heads or neurons out of layers; give heads or neurons, such as n"),
        ({"heads": 0.1}, r"heads = 0.1 keeps 0 of the 4 heads of layer 0; accepted: 1 to 4, or a "),
        ({"heads": 0.1}, r"or a share from 0.125$"),
        ({"heads": 5}, r"heads = 5 keeps 5 of the 4 heads of layer 0; accepted: 1 to 4, or a shar"),
        ({"neurons": 25}, r"neurons = 25 keeps 25 of the 24 neurons of layer 0; accepted: 1 to 24"),
        (
            {"heads": 3, "scope": "global"},
            r"heads = 3 keeps 3 of the 16 .* together; accepted: 4 to 16, .* 0.2188, so that each",
        ),
        ({"heads": 0}, r"heads = 0 is not accepted"),
        ({"heads": 1.5}, r"heads = 1.5 is not accepted"),
        ({"neurons": -1}, r"neurons = -1 is not accepted"),
        ({"neurons": "half"}, r"neurons = 'half' is not accepted"),
        ({"heads": True}, r"heads = 'true' is not accepted. Accepted: a whole n"),
        ({"heads": 0.5, "scope": "all"}, r"scope = 'all' is not accepted. Accepted: 'layer' or 'g"),
        ({"head": 0.5}, r"no setting 'head' .* Did you mean 'heads'"),
    ],
)
def test_wrong_settings(model, values, message):
    with pytest.raises(SettingsError, match=message):
        prune(model, **values)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"heads": [[0]] * 3}, r"heads has 3 layers; accepted: as many as the model, 4"),
        (
            {"heads": [[0], [], [0], [0]]},
            r"heads leaves layer 1 none; accepted: at least one of it",
        ),
        ({"neurons": [[0], [0], [], [0]]}, r"neurons leaves layer 2 none; .* one of its 24"),
        ({"heads": [[0, 4]] * 4}, r"heads of layer 0 are \[0, 4\]; accepted: some of 0 to 3, each"),
        ({"heads": [[0], [-1], [0], [0]]}, r"heads of layer 1 are \[-1\]; accepted: some of 0 to"),
        ({"neurons": [[3, 3]] * 4}, r"neurons of layer 0 are \[3, 3\]; accepted: some of 0 to 23"),
    ],
)
def test_wrong_units(model, kept, message):
    with pytest.raises(SettingsError, match=message):
        keep_units(model, **kept)


def test_counts_and_shares_survive_a_dump():
    for value in (1, 1.0, 0.5, 6):
        settings = build_method({"method": "prune_units", "heads": value})
        again = build_method(settings.model_dump(mode="json"))
        assert (again.heads, type(again.heads)) == (value, type(value))
