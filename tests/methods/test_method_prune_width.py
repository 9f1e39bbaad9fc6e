"""Fewer dimensions of hidden states: the model with norms over the kept ones, and its folder."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from limbeck import AutoConfig, AutoModelForSequenceClassification, listing
from limbeck.errors import SettingsError
from limbeck.methods import apply_methods
from limbeck.methods.prune_units import keep_units
from limbeck.methods.prune_width import count_width, keep_width, measure_widths
from limbeck.models import find_architecture, find_class
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION

WIDTH, KEPT = 16, [0, 1, 3, 4, 6, 7, 10, 11, 12, 15]
FAMILIES = [
    name
    for name in listing.list_names("limbeck.models")
    if SEQUENCE_CLASSIFICATION in find_architecture(name).kinds
    and find_architecture(name).config_type.why_wide is None
]


def make_model(family):
    values = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4}
    values |= {"intermediate_size": 20, "vocab_size": 30, "max_position_embeddings": 32}
    config_type = find_architecture(family).config_type
    config = config_type().replace(**{**values, **config_type.tiny_values, "num_labels": 3})
    torch.manual_seed(0)
    model = find_class(family, SEQUENCE_CLASSIFICATION)(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def logits_of(model):
    ids = torch.randint(3, 30, (3, 7), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(ids, torch.ones_like(ids)).logits


def mask(model):
    """Zeros in the other dimensions of all that writes hidden states, and norms without them."""
    kept = torch.zeros(WIDTH, dtype=torch.bool)
    kept[KEPT] = True

    def normalise(norm, inputs, _):
        weight, bias = (None if one is None else one[kept] for one in (norm.weight, norm.bias))
        normed = F.layer_norm(inputs[0][..., kept], (len(KEPT),), weight, bias, norm.eps)
        return torch.zeros_like(inputs[0]).masked_scatter(kept.expand_as(inputs[0]), normed)

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.LayerNorm) and module.normalized_shape == (WIDTH,):
            module.register_forward_hook(normalise)
        # Of linear layers all but those that give heads; of tables that of distances.
        elif name.startswith("encoder.embeddings") or name.endswith(("query", "key", "value")):
            continue
        elif isinstance(module, torch.nn.Linear | torch.nn.Embedding) and "relative." not in name:
            numbers = getattr(module, "out_features", None) or module.weight.shape[1]
            if numbers == WIDTH:
                module.register_forward_hook(lambda _, __, out: out * kept)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_model_with_zeros_and_norms_over_what_is_kept(family, tmp_path):
    model = make_model(family)
    narrow = keep_width(model, KEPT).eval()
    config = narrow.config
    assert (config.hidden_size, config.head_dim, config.head_size) == (len(KEPT), 4, 4)
    assert config.intermediate_size == model.config.intermediate_size
    narrow.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path) == config
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float64)
    assert torch.equal(logits_of(again), logits_of(narrow))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "It has hidden states of another width than its heads side by side, which" in card
    whole = logits_of(model)
    mask(model)
    torch.testing.assert_close(logits_of(narrow), logits_of(model), rtol=0, atol=1e-10)
    assert (whole - logits_of(narrow)).abs().max() > 1e-3


def test_the_largest_stay():
    model = make_model("bert")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("query.weight", "up.weight", "pooler.dense.weight")):
                parameter[:, [2, 5]] *= 1e-3
    scores = measure_widths(model)
    assert set(scores.argsort()[:2].tolist()) == {2, 5}
    small = apply_methods(model, [{"method": "prune_width", "width": 0.875}])
    word = model.encoder.embeddings.word.weight
    others = [place for place in range(WIDTH) if place not in (2, 5)]
    assert torch.equal(small.encoder.embeddings.word.weight, word[:, others])
    assert small.num_parameters < model.num_parameters


def test_heads_and_neurons_go_too():
    model = keep_units(make_model("bert"), heads=[[0], [1, 3]], neurons=[[1, 2], [4]])
    narrow = keep_width(model, KEPT)
    assert narrow.config.layer_shapes == model.config.layer_shapes
    assert narrow.encoder.layer_at(1).attention.output.weight.shape == (len(KEPT), 8)
    again = keep_width(narrow, range(8))
    assert (again.config.hidden_size, again.config.head_dim) == (8, 4)


def test_heads_as_wide_as_hidden_states_need_no_field():
    config = make_model("bert").config
    assert config.replace(head_dim=4) == config
    assert config.replace(hidden_size=32, head_dim=8).head_dim is None


@pytest.mark.parametrize(
    ("width", "message"),
    [
        (None, r"prune_width takes dimensions .*; give width, such as width = 0\.75"),
        (1.0, r"width = 1\.0 keeps 16 of the 16 dimensions .*; accepted: 1 to 15"),
        (0.01, r"width = 0\.01 keeps 0 of the 16 dimensions"),
        (17, r"width = 17 keeps 17 of the 16 dimensions"),
    ],
)
def test_what_is_refused(width, message):
    with pytest.raises(SettingsError, match=message):
        apply_methods(make_model("bert"), [{"method": "prune_width", "width": width}])


@pytest.mark.parametrize("places", [[0, 0], [16], [-1]])
def test_dimensions_that_are_not_there(places):
    with pytest.raises(SettingsError, match=r"places are .*; accepted: some of 0 to 15, each once"):
        keep_width(make_model("bert"), places)


def test_a_family_with_bottlenecks():
    config_type = find_architecture("mobilebert").config_type
    with pytest.raises(SettingsError, match=r"out of a mobilebert, since its layers have .*bert"):
        count_width(config_type(), 0.5)
    with pytest.raises(SettingsError, match=r"head_dim is 8; accepted for mobilebert: null, since"):
        config_type(head_dim=8)
