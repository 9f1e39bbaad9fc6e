"""What ELECTRA's tiny model does not show: no projection, folders of both halves, its two heads."""

from __future__ import annotations

import pytest
import torch
import transformers
from model_oracle import EXACT, assert_parity, make_inputs, our_config, ours_from, their_model

import limbeck
from limbeck.errors import CheckpointError, MissingHeadError, SettingsError
from limbeck.models._kinds import ENCODER, MASKED_LM, REPLACED_TOKENS


@pytest.mark.parametrize("kind", [ENCODER, MASKED_LM, REPLACED_TOKENS], ids=lambda k: k.name)
def test_embeddings_as_wide_as_the_layers_are_not_projected(kind, tmp_path):
    """As in ELECTRA-base."""
    assert_parity("electra", kind, tmp_path, embedding_size=24)
    ours = limbeck.ElectraModel(our_config("electra", embedding_size=24))
    assert ours.encoder.projection is None


def test_a_discriminator_gives_every_model(tmp_path):
    """Its head is passed over by those that have another one."""
    theirs = their_model("electra", REPLACED_TOKENS)
    ours = ours_from(theirs, tmp_path, REPLACED_TOKENS)
    assert type(limbeck.AutoModelForPreTraining.from_pretrained(tmp_path)) is type(ours)
    bare = limbeck.AutoModel.from_pretrained(tmp_path, dtype=torch.float64)
    inputs = make_inputs("electra", ENCODER)
    with torch.no_grad():
        hidden = bare(**inputs).last_hidden_state
        torch.testing.assert_close(hidden, ours(**inputs).last_hidden_state, **EXACT)
    tuned = limbeck.AutoModelForSequenceClassification.from_pretrained(tmp_path, new_head=True)
    assert tuned.head.output.weight.shape == (5, 24)
    with pytest.raises(MissingHeadError, match=r"missing 'generator_lm_head\.bias', 'gener"):
        limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path)
    with pytest.raises(MissingHeadError, match=r"has no head for this task yet; .*finetune"):
        limbeck.pipeline("text-classification", str(tmp_path))


def test_a_generator_is_no_discriminator(tmp_path):
    theirs = their_model("electra", MASKED_LM)
    ours_from(theirs, tmp_path, MASKED_LM)
    with pytest.raises(MissingHeadError, match=r"missing 'discriminator_predictions\.dense\."):
        limbeck.AutoModelForPreTraining.from_pretrained(tmp_path)


def test_labels_of_replaced_tokens():
    model = limbeck.ElectraForPreTraining(our_config("electra")).eval()
    ids = torch.randint(2, 50, (2, 6))
    labels = torch.tensor([[0, 1, 0, -100, 1, 0], [1, 0, 0, 0, -100, -100]])
    loss = model(ids, labels=labels).loss
    logits = model(ids).logits
    kept = labels >= 0
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[kept], labels[kept].float()
    )
    torch.testing.assert_close(loss, expected)
    with pytest.raises(SettingsError, match=r"labels have the shape \(2,\); expected \(2, 6\)"):
        model(ids, labels=labels[:, 0])


def test_other_families_find_no_replaced_tokens(tmp_path):
    limbeck.BertModel(our_config("bert")).save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match=r"bert has no BertForPreTraining; accepted: BertModel"):
        limbeck.AutoModelForPreTraining.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"summary_type": "mean"}, r"summary_type is 'mean'; accepted: 'first'"),
        ({"summary_use_proj": False}, r"summary_use_proj is False; accepted: True"),
    ],
)
def test_summaries_that_are_not_built(changes, message, tmp_path):
    config = transformers.ElectraConfig(**changes)
    config.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        limbeck.AutoConfig.from_pretrained(tmp_path)
