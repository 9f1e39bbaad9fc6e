"""ModernBERT's own: rotations, windows, old and new spellings of its settings."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from model_oracle import (
    EXACT,
    assert_parity,
    make_inputs,
    our_config,
    ours_from,
    run_theirs,
    their_model,
)
from transformers.models.modernbert.modeling_modernbert import (
    ModernBertRotaryEmbedding,
    apply_rotary_pos_emb,
)

import limbeck
from limbeck.errors import CheckpointError, SettingsError
from limbeck.methods.keep_layers import KeepLayersSettings, apply
from limbeck.models._kinds import (
    ENCODER,
    MASKED_LM,
    MULTIPLE_CHOICE,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
)
from limbeck.nn import MeanPooler, RotaryPositions, Rotation

FAMILY = "modernbert"
GLOBAL, LOCAL = "full_attention", "sliding_attention"
BIASES = dict.fromkeys(("attention_bias", "mlp_bias", "norm_bias", "classifier_bias"), True)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (TOKEN_CLASSIFICATION, BIASES),
        (MASKED_LM, {"decoder_bias": False}),
        (SEQUENCE_CLASSIFICATION, {"classifier_pooling": "mean"}),
        (MULTIPLE_CHOICE, {"classifier_pooling": "mean", "classifier_activation": "relu"}),
        (ENCODER, {"layer_types": [LOCAL, GLOBAL, LOCAL], "local_attention": 7}),
        (ENCODER, {"hidden_activation": "silu", "layer_types": [GLOBAL] * 3}),
    ],
    ids=lambda value: getattr(value, "name", None) or ",".join(value),
)
def test_settings(kind, changes, tmp_path):
    assert_parity(FAMILY, kind, tmp_path, **changes)


def test_positions_that_are_given_count(tmp_path):
    theirs = their_model(FAMILY, ENCODER)
    ours = ours_from(theirs, tmp_path, ENCODER)
    inputs = make_inputs(FAMILY, ENCODER, padded=False)
    inputs["position_ids"] = torch.tensor([[0, 7, 1, 900, 3, 3, 2, 40, 41, 5, 6]])
    with torch.no_grad():
        given = ours(**inputs).last_hidden_state
        expected = run_theirs(theirs, inputs).last_hidden_state
        del inputs["position_ids"]
        usual = ours(**inputs).last_hidden_state
    torch.testing.assert_close(given, expected, **EXACT)
    assert (given - usual).abs().max() > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotations_are_theirs_far_away(dtype):
    """In float32, in which the released models learned them, whatever the states are in."""
    config = transformers.ModernBertConfig()
    theirs = ModernBertRotaryEmbedding(config)
    positions = torch.tensor([[0, 1, 127, 4095, 8191]])
    drawn = torch.randn(2, 3, 5, 64, dtype=dtype)
    angles = RotaryPositions(64, bases=(160_000.0, 10_000.0))
    turns = angles(torch.zeros(2, 5, 1, dtype=dtype), positions)
    for base, name in enumerate((GLOBAL, LOCAL)):
        cos, sin = theirs(torch.zeros(1), positions, name)
        expected, _ = apply_rotary_pos_emb(drawn, drawn, cos, sin)
        given = Rotation(base=base)(drawn, turns)
        assert given.dtype == dtype
        torch.testing.assert_close(given, expected)


def test_the_mean_is_of_what_the_mask_shows():
    hidden = torch.randn(2, 3, 4)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    pooled = MeanPooler()(hidden, None, mask)
    torch.testing.assert_close(pooled, torch.stack([hidden[0, :2].mean(0), hidden[1].mean(0)]))
    per_document = mask[:, None, :] * mask[:, :, None]
    torch.testing.assert_close(MeanPooler()(hidden, None, per_document), pooled)
    torch.testing.assert_close(MeanPooler()(hidden), hidden.mean(1))


OLD = {
    "global_attn_every_n_layers": 2,
    "global_rope_theta": 5000.0,
    "local_rope_theta": 300.0,
    "num_hidden_layers": 5,
    "position_embedding_type": "absolute",
    "layer_norm_eps": 1e-5,
    "reference_compile": None,
    "sparse_prediction": False,
    "sep_token_id": 50282,
}


@pytest.mark.parametrize(
    "left_out", [[], ["global_rope_theta"], ["local_rope_theta", "global_attn_every_n_layers"]]
)
def test_old_settings_are_read_as_theirs(left_out):
    values = {key: value for key, value in OLD.items() if key not in left_out}
    ours = limbeck.ModernBertConfig.from_dict(values)
    theirs = transformers.ModernBertConfig(**values)
    assert ours.layer_types == theirs.layer_types
    assert ours.rope_parameters == theirs.rope_parameters
    written = ours.to_dict()
    assert limbeck.ModernBertConfig.from_dict(written) == ours
    assert limbeck.ModernBertConfig.from_dict(written | {"global_attn_every_n_layers": 4}) == ours


def test_other_depths_go_on_alternating():
    config = our_config(FAMILY)
    assert config.replace(num_hidden_layers=5).layer_types == [GLOBAL, LOCAL, LOCAL, GLOBAL, LOCAL]
    assert config.replace(num_hidden_layers=1).layer_types == [GLOBAL]
    even = our_config(FAMILY, num_hidden_layers=4, layer_types=[GLOBAL, LOCAL] * 2)
    assert even.replace(num_hidden_layers=5).layer_types == [GLOBAL, LOCAL, GLOBAL, LOCAL, GLOBAL]
    odd = our_config(FAMILY, layer_types=[LOCAL, GLOBAL, GLOBAL])
    with pytest.raises(SettingsError, match=r"layer_types has 3 layers; accepted: .* 5"):
        odd.replace(num_hidden_layers=5)
    assert odd.keep_layers([0, 2]).layer_types == [LOCAL, GLOBAL]


def test_students_begin_with_the_first_layer():
    teacher = limbeck.ModernBertModel(our_config(FAMILY))
    match = r"layers = \[1, 2\]: layer 1 normalises its i.*; accepted: lists that begin with 0"
    with pytest.raises(SettingsError, match=match):
        apply(teacher, KeepLayersSettings(layers=(1, 2)))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (
            {"layer_types": [GLOBAL, "x", LOCAL]},
            r"layer_types is \['full_attention', 'x', .*acc",
        ),
        ({"layer_types": [GLOBAL]}, "layer_types has 1 layers; accepted: as many as num_hidden_la"),
        (
            {"rope_parameters": {GLOBAL: {}}},
            "rope_parameters is .*; accepted: a mapping from full",
        ),
        (
            {
                "rope_parameters": {
                    GLOBAL: {"rope_type": "yarn", "rope_theta": 10.0},
                    LOCAL: {"rope_type": "default", "rope_theta": 10.0},
                }
            },
            "rope_parameters has .*yarn.* for full_attention; accepted: a rope_type, default, and",
        ),
        ({"rope_scaling": {"factor": 2}}, r"rope_scaling is \{'factor': 2\}; accepted: None"),
        ({"classifier_pooling": "max"}, "classifier_pooling is 'max'; accepted: one of cls, mean"),
        ({"hidden_size": 20}, "hidden_size 20 gives heads of 5; accepted: an even number"),
        (
            {"layer_types": ..., "global_attn_every_n_layers": 0},
            "global_attn_every_n_layers is 0; accepted: a whole number from 1",
        ),
        (
            {"rope_parameters": ..., "local_rope_theta": -1.0},
            r"rope_parameters has .*-1\.0.* for sliding_att",
        ),
    ],
)
def test_what_is_not_built_is_refused(given, match, tmp_path):
    limbeck.ModernBertModel(our_config(FAMILY)).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text()) | given
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))
    with pytest.raises(CheckpointError, match=match):
        limbeck.AutoModel.from_pretrained(tmp_path)
