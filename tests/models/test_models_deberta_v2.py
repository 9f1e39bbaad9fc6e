"""DeBERTa's own: buckets of distances, its settings one by one, folders as they are published."""

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
from safetensors.torch import load_file, save_file
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

import limbeck
from limbeck.errors import CheckpointError, SettingsError
from limbeck.models._kinds import ENCODER, MASKED_LM, SEQUENCE_CLASSIFICATION
from limbeck.models.deberta_v2 import DistanceEmbeddings

FAMILY = "deberta_v2"


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (ENCODER, {"relative_attention": False, "norm_rel_ebd": "none"}),
        (ENCODER, {"share_att_key": False}),
        (ENCODER, {"share_att_key": False, "pos_att_type": "c2p", "position_buckets": -1}),
        (ENCODER, {"pos_att_type": "P2C | c2p", "max_relative_positions": -1}),
        (ENCODER, {"pos_att_type": ["p2c"], "norm_rel_ebd": "none"}),
        (ENCODER, {"pos_att_type": []}),
        (ENCODER, {"position_biased_input": True, "type_vocab_size": 3}),
        (SEQUENCE_CLASSIFICATION, {"pooler_hidden_act": "tanh"}),
    ],
    ids=lambda value: getattr(value, "name", None) or ",".join(value),
)
def test_settings(kind, changes, tmp_path):
    assert_parity(FAMILY, kind, tmp_path, **changes)


@pytest.mark.parametrize(
    ("buckets", "max_distance"), [(256, 512), (6, 8), (2, 9), (32, 128), (33, 100)]
)
@pytest.mark.parametrize("length", [5, 700])
def test_buckets_are_theirs(buckets, max_distance, length):
    """Bit for bit: at an edge, float64 would choose another bucket than the models learned."""
    ours = DistanceEmbeddings(
        table=torch.nn.Embedding(2 * buckets, 4),
        norm=torch.nn.Identity(),
        max_distance=max_distance,
        is_logarithmic=True,
    )
    hidden = torch.zeros(1, length, 4)
    theirs = build_relative_position(hidden, hidden, buckets, max_distance)[0]
    assert torch.equal(ours(hidden).rows, (theirs + buckets).clamp(0, 2 * buckets - 1))


def publish(folder, theirs):
    """Writes a folder as those of v3 are: another head beside, positions that nobody needs."""
    theirs.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    size = theirs.config.hidden_size
    weights |= {
        "mask_predictions.dense.weight": torch.ones(size, size),
        "mask_predictions.LayerNorm.weight": torch.ones(size),
        "mask_predictions.classifier.bias": torch.ones(1),
        "deberta.embeddings.position_embeddings.weight": torch.ones(16, size),
        "deberta.embeddings.position_embeddings._weight": torch.ones(16, size),
        "deberta.embeddings.word_embeddings._weight": torch.ones(50, size),
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    del config["legacy"]  # as they have it
    (folder / "config.json").write_text(json.dumps(config))


def test_published_folders(tmp_path):
    theirs = their_model(FAMILY, MASKED_LM)
    legacy = theirs.config.to_dict() | {"legacy": False}
    del legacy["model_type"]
    theirs = transformers.DebertaV2ForMaskedLM(transformers.DebertaV2Config(**legacy)).double()
    publish(tmp_path / "published", theirs.eval())
    ours = limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path / "published", dtype=torch.float64)
    inputs = make_inputs(FAMILY, MASKED_LM)
    kept = inputs["attention_mask"].bool()
    with torch.no_grad():
        expected = run_theirs(theirs, inputs).logits[kept]
        torch.testing.assert_close(ours(**inputs).logits[kept], expected, rtol=0, atol=1e-7)
        ours.save_pretrained(tmp_path / "saved")
        again, info = transformers.DebertaV2ForMaskedLM.from_pretrained(
            tmp_path / "saved", output_loading_info=True, dtype=torch.float64
        )
        assert not any(info.values()), info
        torch.testing.assert_close(
            run_theirs(again, inputs).logits[kept], ours(**inputs).logits[kept], **EXACT
        )
    for auto in (limbeck.AutoModel, limbeck.AutoModelForTokenClassification):
        new_head = {"new_head": True} if auto.kind.has_head else {}
        auto.from_pretrained(tmp_path / "published", **new_head)


def test_inputs_may_be_of_any_length_where_only_distances_count():
    config = our_config(FAMILY)
    assert config.max_tokens is None
    ids = torch.randint(1, 50, (1, 3 * config.max_position_embeddings))
    assert limbeck.DebertaV2Model(config)(ids).last_hidden_state.isfinite().all()
    assert our_config(FAMILY, position_biased_input=True).max_tokens == 16


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"conv_kernel_size": 3}, r"conv_kernel_size is 3; accepted: 0 or None\."),
        ({"embedding_size": 12}, r"embedding_size is 12; accepted: 24\."),
        ({"attention_head_size": 8}, r"attention_head_size is 8; accepted: 6\."),
        ({"pooler_hidden_size": 8}, r"pooler_hidden_size is 8; accepted: 24\."),
        ({"pos_att_type": "p2p"}, r"pos_att_type is 'p2p'; accepted: some of c2p and p2c"),
        ({"pos_att_type": [1]}, r"pos_att_type is \[1\]; accepted: some of c2p and p2c"),
        ({"norm_rel_ebd": "rms"}, "norm_rel_ebd is 'rms'; accepted: one of none, layer_norm"),
        ({"position_buckets": 1}, "position_buckets is 1; accepted: -1, or 2 to 12"),
        ({"position_buckets": 14}, "position_buckets is 14; accepted: -1, or 2 to 12"),
        ({"max_relative_positions": -2}, "max_relative_positions is -2; accepted: a whole num"),
    ],
)
def test_what_is_not_built_is_refused(given, match, tmp_path):
    limbeck.DebertaV2Model(our_config(FAMILY)).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | given))
    with pytest.raises(CheckpointError, match=match):
        limbeck.AutoModel.from_pretrained(tmp_path)


def test_settings_given_in_python_are_checked():
    with pytest.raises(SettingsError, match="pos_att_type is 3; accepted: some of c2p and p2c"):
        our_config(FAMILY, pos_att_type=3)


def test_one_folder_of_both_kinds_of_names(tmp_path):
    """Old and new names of one head in one file are one tensor too many."""
    ours = ours_from(their_model(FAMILY, MASKED_LM), tmp_path / "theirs", MASKED_LM)
    ours.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["lm_predictions.lm_head.bias"] = torch.zeros(50)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"two tensors for 'cls\.predictions\.bias'"):
        limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path)
