"""Folders as the Hub has them: heads of pretraining, poolers nobody reads, old names, buffers."""

from __future__ import annotations

import pytest
import torch
import transformers
from model_oracle import EXACT, draw_wide, make_inputs, run_theirs, their_config
from safetensors.torch import load_file, save_file

import limbeck
from limbeck.models._kinds import ENCODER


def save_with(folder, theirs, **tensors):
    """Saves a model with further tensors, as older versions of `transformers` wrote them."""
    theirs.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file({**load_file(path), **tensors}, path, metadata={"format": "pt"})


def assert_all_models_load(folder, inputs, *, logits, hidden, pooled):
    arguments = {"dtype": torch.float64}
    with torch.no_grad():
        masked = limbeck.AutoModelForMaskedLM.from_pretrained(folder, **arguments)
        torch.testing.assert_close(masked(**inputs).logits, logits, **EXACT)
        bare = limbeck.AutoModel.from_pretrained(folder, **arguments)
        torch.testing.assert_close(bare(**inputs).last_hidden_state, hidden, **EXACT)
        torch.testing.assert_close(bare(**inputs).pooler_output, pooled, **EXACT)
    for auto in (
        limbeck.AutoModelForSequenceClassification,
        limbeck.AutoModelForTokenClassification,
        limbeck.AutoModelForQuestionAnswering,
        limbeck.AutoModelForMultipleChoice,
    ):
        tuned = auto.from_pretrained(folder, new_head=True)
        assert tuned.encoder.state_dict().keys() == bare.encoder.state_dict().keys()


@pytest.mark.parametrize("model_type", ["roberta", "xlm_roberta", "camembert"])
def test_a_masked_lm_with_a_pooler_and_a_copied_decoder(model_type, tmp_path):
    """As roberta-base and xlm-roberta-base are."""
    prefix = limbeck.models.find_architecture(model_type).class_prefix
    config = their_config(model_type)
    masked = getattr(transformers, f"{prefix}ForMaskedLM")(config).double().eval()
    bare = getattr(transformers, f"{prefix}Model")(config).double().eval()
    draw_wide(masked)
    masked.roberta.pooler = bare.pooler
    save_with(
        tmp_path,
        masked,
        **{
            "lm_head.decoder.weight": masked.lm_head.decoder.weight.detach().clone(),
            "lm_head.decoder.bias": masked.lm_head.bias.detach().clone(),
            "roberta.embeddings.position_ids": torch.arange(18)[None],
        },
    )
    inputs = make_inputs(model_type, ENCODER, padded=False)
    with torch.no_grad():
        body = run_theirs(masked.roberta, inputs)
        logits = run_theirs(masked, inputs).logits
    assert_all_models_load(
        tmp_path, inputs, logits=logits, hidden=body.last_hidden_state, pooled=body.pooler_output
    )


def test_an_albert_of_pretraining(tmp_path):
    """As albert-base-v2 is: with the head that tells the order of two segments."""
    theirs = transformers.AlbertForPreTraining(their_config("albert")).double().eval()
    draw_wide(theirs)
    save_with(
        tmp_path,
        theirs,
        **{
            "predictions.decoder.weight": theirs.predictions.decoder.weight.detach().clone(),
            "predictions.decoder.bias": theirs.predictions.bias.detach().clone(),
            "albert.embeddings.position_ids": torch.arange(16)[None],
        },
    )
    inputs = make_inputs("albert", ENCODER, padded=False)
    with torch.no_grad():
        body = run_theirs(theirs.albert, inputs)
        logits = run_theirs(theirs, inputs).prediction_logits
    assert_all_models_load(
        tmp_path, inputs, logits=logits, hidden=body.last_hidden_state, pooled=body.pooler_output
    )
