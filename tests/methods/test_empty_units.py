"""What is taken out of a model because it writes nothing, or the same to every token."""

from __future__ import annotations

import pytest
import torch

from limbeck import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    SettingsError,
)
from limbeck.methods._empty import drop_empty_units

SIZES = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 10,
    "pad_token_id": 0,
}


def make_model(model_type, config_type):
    torch.manual_seed(0)
    model = model_type(config_type(**SIZES)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


def logits_of(model):
    ids = torch.randint(1, 30, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    with torch.no_grad():
        return model(ids, mask).logits


@pytest.fixture
def bert():
    return make_model(BertForSequenceClassification, BertConfig)


def test_what_writes_nothing_goes(bert):
    first, second = (bert.encoder.plain_layer_at(place) for place in (0, 1))
    with torch.no_grad():
        first.attention.output.weight[:, 4:12] = 0  # heads 1 and 2
        first.feed_forward.down.weight[:, [0, 9]] = 0
        second.attention.output.weight[:] = 0
    small = drop_empty_units(bert)
    shapes = [(shape.heads, shape.neurons) for shape in small.config.layer_shapes]
    assert shapes == [((0, 3), 8), ((), 10)]
    assert torch.equal(first.attention.output.weight[:, 4:12], torch.zeros(16, 8).double())
    torch.testing.assert_close(logits_of(small), logits_of(bert), rtol=0, atol=1e-10)


def test_what_reads_nothing_goes_into_the_bias(bert):
    first, second = (bert.encoder.plain_layer_at(place) for place in (0, 1))
    with torch.no_grad():
        first.attention.value.weight[4:8] = 0
        second.feed_forward.up.weight[:] = 0
    small = drop_empty_units(bert)
    shapes = [(shape.heads, shape.neurons) for shape in small.config.layer_shapes]
    assert shapes == [((0, 2, 3), 10), ((0, 1, 2, 3), 0)]
    torch.testing.assert_close(logits_of(small), logits_of(bert), rtol=0, atol=1e-10)


def test_a_family_with_gates_and_without_biases():
    model = make_model(ModernBertForSequenceClassification, ModernBertConfig)
    layer = model.encoder.plain_layer_at(1)
    with torch.no_grad():
        layer.feed_forward.down.weight[:, 3] = 0
        layer.feed_forward.up.weight[5] = 0
        layer.attention.value.weight[:4] = 0
    small = drop_empty_units(model)
    assert (small.config.layer_shapes[1].heads, small.config.layer_shapes[1].neurons) == (
        (1, 2, 3),
        9,
    )
    torch.testing.assert_close(logits_of(small), logits_of(model), rtol=0, atol=1e-10)


def test_a_model_in_which_all_writes_stays_as_it_is(bert):
    assert drop_empty_units(bert).config == bert.config


def test_a_family_whose_layers_cannot_be_cut():
    config = AlbertConfig(**SIZES, embedding_size=8)
    with pytest.raises(SettingsError, match=r"out of an albert, since a layer.*; accepted: "):
        drop_empty_units(AlbertForMaskedLM(config))
