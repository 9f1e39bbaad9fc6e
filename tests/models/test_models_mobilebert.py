"""MobileBERT's own: its bottlenecks, norms and inputs, setting by setting."""

from __future__ import annotations

import json

import pytest
import torch
from model_oracle import assert_parity, our_config

import limbeck
from limbeck.errors import CheckpointError
from limbeck.models._kinds import ENCODER, MASKED_LM, SEQUENCE_CLASSIFICATION, TOKEN_CLASSIFICATION

FAMILY = "mobilebert"


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (TOKEN_CLASSIFICATION, {"normalization_type": "layer_norm", "hidden_act": "gelu"}),
        (ENCODER, {"use_bottleneck_attention": True}),
        (ENCODER, {"use_bottleneck_attention": True, "key_query_shared_bottleneck": False}),
        (ENCODER, {"use_bottleneck": False, "num_feedforward_networks": 1}),
        (MASKED_LM, {"use_bottleneck": False, "normalization_type": "layer_norm"}),
        (MASKED_LM, {"embedding_size": 24}),
        (ENCODER, {"trigram_input": False}),
        (ENCODER, {"classifier_activation": False}),
        (SEQUENCE_CLASSIFICATION, {"classifier_activation": False, "classifier_dropout": 0.3}),
    ],
    ids=lambda value: getattr(value, "name", None) or ",".join(value),
)
def test_settings(kind, changes, tmp_path):
    assert_parity(FAMILY, kind, tmp_path, **changes)


def test_a_token_starts_as_its_neighbours_too():
    model = limbeck.MobileBertModel(our_config(FAMILY)).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    other = torch.tensor([[5, 6, 7, 8, 4]])
    with torch.no_grad():
        is_changed = (model.encoder.embeddings(ids) != model.encoder.embeddings(other)).any(-1)
    assert is_changed.tolist() == [[False, False, False, True, True]]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"intra_bottleneck_size": 10}, "intra_bottleneck_size 10 is not divisible by 4, the num"),
        ({"embedding_size": 25}, "embedding_size is 25; accepted: up to hidden_size 24"),
        (
            {"key_query_shared_bottleneck": False},
            "use_bottleneck_attention and key_query_shared_bottleneck are False; accepted with a",
        ),
        (
            {"trigram_input": False, "embedding_size": 24},
            "trigram_input is False with embeddings as wide as the layers, 24; accepted: True",
        ),
        ({"normalization_type": "rms"}, "normalization_type is 'rms'; accepted: one of no_norm, l"),
    ],
)
def test_what_is_not_built_is_refused(given, match, tmp_path):
    limbeck.MobileBertModel(our_config(FAMILY)).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | given))
    with pytest.raises(CheckpointError, match=match):
        limbeck.AutoModel.from_pretrained(tmp_path)
