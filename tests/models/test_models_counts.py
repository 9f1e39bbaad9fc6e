"""Parameter counts of the published models, without allocating them, and how new weights look."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers
from model_oracle import (
    CASE_IDS,
    CASES,
    FAMILIES,
    LANGUAGE_MODEL_IDS,
    LANGUAGE_MODELS,
    our_class,
    our_config,
    their_class,
    their_config,
)

import limbeck

DEBERTA_V3_BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 256,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}
MOBILEBERT_TINY = {
    "num_feedforward_networks": 2,
    "use_bottleneck_attention": True,
    "key_query_shared_bottleneck": False,
    "classifier_activation": False,
}
ROBERTA_BASE = {"max_position_embeddings": 514, "type_vocab_size": 1}
ALBERT_BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}


# The figures: those of the articles' released checkpoints.
@pytest.mark.parametrize(
    ("name", "config", "arguments", "expected"),
    [
        ("BertModel", {}, {}, 109_482_240),
        ("BertModel", {}, {"add_pooling_layer": False}, 108_891_648),
        ("BertForMaskedLM", {}, {}, 109_514_298),
        ("DistilBertModel", {}, {}, 66_362_880),
        ("DistilBertForMaskedLM", {}, {}, 66_985_530),
        ("DistilBertForSequenceClassification", {}, {}, 66_955_010),
        ("DistilBertModel", {"vocab_size": 28996}, {}, 65_190_912),
        ("DistilBertModel", {"vocab_size": 119547}, {}, 134_734_080),
        ("RobertaModel", ROBERTA_BASE, {}, 124_645_632),
        ("RobertaForMaskedLM", ROBERTA_BASE | {"num_hidden_layers": 6}, {}, 82_170_201),
        ("XLMRobertaModel", ROBERTA_BASE | {"vocab_size": 250002}, {}, 278_043_648),
        ("ElectraModel", {}, {}, 13_483_008),
        ("ElectraForPreTraining", {}, {}, 13_549_057),
        ("ElectraForMaskedLM", {}, {}, 13_546_682),
        ("AlbertModel", ALBERT_BASE, {}, 11_683_584),
        ("AlbertForMaskedLM", ALBERT_BASE, {}, 11_221_680),
        ("DebertaV2Model", DEBERTA_V3_BASE, {}, 183_831_552),
        ("MobileBertModel", {}, {}, 24_844_544),
        ("MobileBertForMaskedLM", {}, {}, 36_596_538),
        ("MobileBertModel", MOBILEBERT_TINY, {}, 15_485_696),
        ("ModernBertModel", {}, {}, 149_014_272),
        ("GPT2LMHeadModel", {}, {}, 124_439_808),
        ("GPT2LMHeadModel", {"n_layer": 6}, {}, 81_912_576),
    ],
)
def test_published_counts(name, config, arguments, expected):
    model_class = getattr(limbeck, name)
    with torch.device("meta"):
        model = model_class(model_class.architecture.config_type(**config), **arguments)
    assert model.num_parameters == expected
    assert model.device.type == "meta"


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_tiny_counts_equal_theirs(family, kind):
    ours = our_class(family, kind)(our_config(family))
    with torch.device("meta"):
        theirs = their_class(family, kind)(their_config(family))
    assert ours.num_parameters == theirs.num_parameters()


@pytest.mark.parametrize(("family", "kind"), LANGUAGE_MODELS, ids=LANGUAGE_MODEL_IDS)
def test_decoder_is_the_word_embedding(family, kind):
    model = our_class(family, kind)(our_config(family))
    for one in (model, copy.deepcopy(model), copy.deepcopy(model).double()):
        hidden = torch.randn(2, one.config.hidden_size, dtype=one.dtype)
        before = one.score(hidden)
        with torch.no_grad():
            one.encoder.embeddings.word.weight[5] += 1
        is_changed = (one.score(hidden) != before).any(dim=0)
        assert is_changed.nonzero().tolist() == [[5]]
    assert not [name for name in model.state_dict() if "decoder" in name]


@pytest.mark.parametrize(("family", "kind"), LANGUAGE_MODELS, ids=LANGUAGE_MODEL_IDS)
def test_new_weights(family, kind):
    """As wide as `transformers` draws them."""
    changes = {"vocab_size": 3000, "initializer_range": 0.05, "pad_token_id": 7}
    torch.manual_seed(3)
    model = our_class(family, kind)(our_config(family, **changes))
    assert model.training
    theirs = their_class(family, kind)(their_config(family, **changes)).state_dict()
    names = model.architecture.names
    tidied = {names.tidy(name) or "": tensor for name, tensor in theirs.items()}
    expected, _ = names.read(tidied, head=kind.name)
    word = model.encoder.embeddings.word.weight
    assert word.mean().item() == pytest.approx(0, abs=1e-3)
    assert word[7].any() == (model.encoder.embeddings.word.padding_idx is None)
    for name, parameter in model.named_parameters():
        if "norm.weight" in name:
            assert (parameter == 1).all(), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            wanted, chance = expected[name].std().item(), 4 / parameter.numel() ** 0.5
            assert parameter.std().item() == pytest.approx(wanted, rel=0.1 + chance), name


@pytest.mark.parametrize("family", FAMILIES)
def test_seed_decides_new_weights(family):
    drawn = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        model = limbeck.AutoModelForSequenceClassification.from_config(our_config(family))
        drawn.append(model.state_dict())
    same = [torch.equal(drawn[0][n], drawn[1][n]) for n in drawn[0]]
    assert all(same)
    assert not torch.equal(drawn[0]["head.output.weight"], drawn[2]["head.output.weight"])


def test_sinusoidal_positions_are_theirs():
    config = our_config("distilbert", sinusoidal_pos_embds=True)
    theirs = transformers.DistilBertModel(their_config("distilbert", sinusoidal_pos_embds=True))
    ours = limbeck.DistilBertModel(config)
    torch.testing.assert_close(
        ours.encoder.embeddings.position.weight, theirs.embeddings.position_embeddings.weight
    )
