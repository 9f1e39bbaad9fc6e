"""What is GPT-2's own: old files, the last token of a text, and what it refuses."""

from __future__ import annotations

import re

import pytest
import torch
from model_oracle import EXACT, make_inputs, our_config, ours_from, their_model
from safetensors.torch import load_file, save_file

import limbeck
from limbeck import CheckpointError, SettingsError
from limbeck.models._kinds import CAUSAL_LM, SEQUENCE_CLASSIFICATION
from limbeck.nn import LastTokenPooler


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_old_files(prefix, tmp_path):
    """As those of the Hub: the body alone or with its prefix, masks as buffers, the decoder."""
    theirs = their_model("gpt2", CAUSAL_LM)
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = {
        name.replace("transformer.", prefix): tensor for name, tensor in load_file(path).items()
    }
    for layer in range(3):
        weights[f"{prefix}h.{layer}.attn.bias"] = torch.ones(1, 1, 16, 16).tril()
        weights[f"{prefix}h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    if prefix:
        weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    save_file(weights, path, metadata={"format": "pt"})
    ours = limbeck.GPT2LMHeadModel.from_pretrained(tmp_path, dtype=torch.float64)
    inputs = make_inputs("gpt2", CAUSAL_LM, padded=False)
    with torch.no_grad():
        torch.testing.assert_close(ours(**inputs).logits, theirs(**inputs).logits, **EXACT)
    limbeck.GPT2ForSequenceClassification.from_pretrained(tmp_path, new_head=True)
    weights["lm_head.weight"] = weights[f"{prefix}wte.weight"] + 1
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"'lm_head.weight' differs from 'wte.weight'"):
        limbeck.GPT2LMHeadModel.from_pretrained(tmp_path)
    limbeck.GPT2Model.from_pretrained(tmp_path)  # which has no use for it


def test_a_token_sees_nothing_after_it():
    model = limbeck.GPT2LMHeadModel(our_config("gpt2")).eval()
    ids = torch.randint(1, 50, (2, 9))
    other = ids.clone()
    other[:, 5:] = (other[:, 5:] + 1) % 50
    with torch.no_grad():
        first, second = model(ids).logits, model(other).logits
    torch.testing.assert_close(first[:, :5], second[:, :5])
    assert ((first - second)[:, 5:].abs().amax(dim=-1) > 1e-6).all()


def test_a_text_is_read_at_its_last_token(tmp_path):
    """With padding on either side, known by its mask or its id; theirs knows the id alone."""
    theirs = their_model("gpt2", SEQUENCE_CLASSIFICATION)
    ours = ours_from(theirs, tmp_path, SEQUENCE_CLASSIFICATION)
    right = torch.tensor([[7, 8, 9, 0, 0], [4, 3, 2, 5, 6]])
    left = torch.tensor([[0, 0, 7, 8, 9], [4, 3, 2, 5, 6]])
    with torch.no_grad():
        for ids in (right, left):
            mask = (ids != 0).long()
            expected = theirs(input_ids=ids, attention_mask=mask).logits
            torch.testing.assert_close(ours(ids, mask).logits, expected, **EXACT)
        expected = theirs(input_ids=right).logits
        torch.testing.assert_close(ours(right).logits, expected, **EXACT)
        no_padding = limbeck.GPT2ForSequenceClassification(ours.config.replace(pad_token_id=None))
        no_padding.double().eval().load_state_dict(ours.state_dict())
        torch.testing.assert_close(no_padding(right, (right != 0).long()).logits, expected, **EXACT)


@pytest.mark.parametrize(
    ("pad_token_id", "mask", "expected"),
    [
        (None, None, [2, 2]),
        (0, None, [0, 1]),
        (None, [[1, 1, 0], [1, 0, 0]], [1, 0]),
        (0, [[1, 1, 1], [1, 0, 0]], [0, 0]),
        (None, [[[1, 0, 0], [1, 1, 0], [1, 1, 0]], [[1, 0, 0]] * 3], [1, 0]),
    ],
)
def test_the_last_token(pad_token_id, mask, expected):
    hidden = torch.arange(6.0).view(2, 3, 1)
    ids = torch.tensor([[5, 0, 0], [4, 5, 0]])
    pooled = LastTokenPooler(pad_token_id)(
        hidden, ids, None if mask is None else torch.tensor(mask)
    )
    assert (pooled[:, 0] - torch.tensor([0.0, 3.0])).tolist() == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("reorder_and_upcast_attn", True),
        ("add_cross_attention", True),
        ("hidden_dropout", 0.3),
    ],
)
def test_what_would_change_its_numbers_is_refused(name, value):
    with pytest.raises(SettingsError, match=rf"{name} is {re.escape(repr(value))}; accepted: "):
        limbeck.GPT2Config.from_dict({name: value})


def test_a_decoder_of_its_own_is_refused():
    config = our_config("gpt2", tie_word_embeddings=False)
    with pytest.raises(
        SettingsError, match="tie_word_embeddings is False; accepted for a language"
    ):
        limbeck.GPT2LMHeadModel(config)


def test_positions_have_one_name():
    config = limbeck.GPT2Config.from_dict({"n_positions": 40, "vocab_size": 9})
    assert (config.max_position_embeddings, config.max_tokens) == (40, 40)
    assert config.replace(max_tokens=12).n_positions == 12
    assert limbeck.GPT2Config.from_dict({"max_position_embeddings": 7}).n_positions == 7
    assert "max_position_embeddings" not in config.to_dict()
    assert limbeck.GPT2Config(n_embd=24, n_head=4).intermediate_size == 96
    with pytest.raises(SettingsError, match="n_inner is 0; accepted: a whole number from 1, or nu"):
        limbeck.GPT2Config(n_inner=0)


def test_what_it_has_no_head_for():
    with pytest.raises(
        SettingsError,
        match="gpt2 has no GPT2ForMaskedLM; accepted: GPT2Model, GPT2LMHeadModel, GPT2ForSeq",
    ):
        limbeck.AutoModelForMaskedLM.from_config(our_config("gpt2"))
    with pytest.raises(SettingsError, match="bert has no BertLMHeadModel; accepted: BertModel"):
        limbeck.AutoModelForCausalLM.from_config(our_config("bert"))
