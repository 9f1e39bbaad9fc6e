"""Each way in which a model folder, an argument or an input can be wrong: one clear error."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from model_oracle import our_config
from safetensors.torch import load_file, save_file

import limbeck
from limbeck import CheckpointError, MissingHeadError, SettingsError


@pytest.fixture
def folder(tmp_path):
    """A sequence classifier with three labels."""
    config = our_config("bert", num_labels=3)
    limbeck.BertForSequenceClassification(config).save_pretrained(tmp_path)
    return tmp_path


def change_weights(folder, changes):
    weights = load_file(folder / "model.safetensors")
    weights |= changes
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))


def load(folder, **arguments):
    return limbeck.AutoModelForSequenceClassification.from_pretrained(folder, **arguments)


def test_missing_tensor(folder):
    change_weights(folder, {"bert.encoder.layer.1.output.dense.bias": None})
    with pytest.raises(
        CheckpointError, match=r"missing 'bert.encoder.layer.1.output.dense.bias'\.$"
    ):
        load(folder)
    with pytest.raises(CheckpointError, match=r"missing 'encoder.layer.1.output.dense.bias'"):
        limbeck.AutoModel.from_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"layer.1.output.dense.bias"):
        load(folder, new_head=True)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_named(folder, number):
    name = "bert.embeddings.word_embeddings.weight"
    weight = load_file(folder / "model.safetensors")[name]
    weight[3, 1] = number
    change_weights(folder, {name: weight})
    with pytest.raises(CheckpointError, match=rf"numbers that are NaN or infinite in '{name}': "):
        load(folder)


def test_missing_head_names_the_fix(folder):
    limbeck.BertModel(our_config("bert")).save_pretrained(folder)
    with pytest.raises(
        MissingHeadError, match=r"missing 'classifier.weight', 'classifier.bias'.*new_head=True"
    ):
        load(folder)
    change_weights(folder, {"encoder.layer.1.output.dense.bias": None})
    with pytest.raises(CheckpointError, match=r"dense.bias'.*'classifier.weight'") as caught:
        load(folder)
    assert not isinstance(caught.value, MissingHeadError)


def test_a_head_of_another_size_counts_as_missing(folder):
    config = our_config("bert").replace(num_labels=5)
    limbeck.BertForSequenceClassification(config).save_pretrained(folder)
    with pytest.raises(MissingHeadError, match=r"shape \(5, .* asks for \(1, .*new_head=True"):
        limbeck.BertForMultipleChoice.from_pretrained(folder)


def test_a_head_that_its_own_config_does_not_fit_is_not_missing(folder):
    change_config(folder, id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})
    with pytest.raises(CheckpointError, match=r"shape \(3, .* asks for \(2, ") as caught:
        load(folder)
    assert not isinstance(caught.value, MissingHeadError)


def test_missing_pooler_names_the_fix(folder):
    limbeck.BertForMaskedLM(our_config("bert")).save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"'pooler.dense.weight'.*add_pooling_layer=False"):
        limbeck.AutoModel.from_pretrained(folder)


def test_many_missing_tensors_are_counted(folder):
    change_config(folder, num_hidden_layers=5)
    with pytest.raises(CheckpointError, match=r"bert.encoder.layer.3.* and 24 more"):
        load(folder)


def test_extra_tensor(folder):
    change_weights(folder, {"bert.encoder.gate.weight": torch.ones(2)})
    with pytest.raises(
        CheckpointError,
        match=r"not part of BertForSequenceClassification: 'encoder.gate.weight'",
    ):
        load(folder)


def test_extra_layer(folder):
    change_config(folder, num_hidden_layers=2)
    with pytest.raises(CheckpointError, match=r"not part of .*'bert.encoder.layer.2.attention"):
        load(folder)


def test_pooler_of_a_family_without_one_is_extra(tmp_path):
    limbeck.DistilBertModel(our_config("distilbert")).save_pretrained(tmp_path)
    change_weights(tmp_path, {"pooler.dense.weight": torch.ones(24, 24)})
    with pytest.raises(CheckpointError, match=r"part of DistilBertModel: 'pooler.dense.weight'"):
        limbeck.AutoModel.from_pretrained(tmp_path)


def test_wrong_shape_names_both(folder):
    change_weights(folder, {"bert.embeddings.word_embeddings.weight": torch.ones(49, 24)})
    with pytest.raises(
        CheckpointError,
        match=r"'bert.embeddings.word_embeddings.weight' has shape \(49, 24\), .* \(50, 24\)\.$",
    ):
        load(folder)


def test_other_number_of_labels_names_the_fix(folder):
    with pytest.raises(
        CheckpointError, match=r"'classifier.weight' has shape \(3, 24\).*\(5, 24\).*new_head=True"
    ):
        load(folder, num_labels=5)
    assert load(folder, num_labels=5, new_head=True).config.num_labels == 5


def test_weights_that_are_not_floating_point(folder):
    change_weights(folder, {"classifier.bias": torch.ones(3, dtype=torch.int8)})
    with pytest.raises(CheckpointError, match=r"'classifier.bias' is torch.int8"):
        load(folder)


def test_everything_wrong_is_one_error(folder):
    change_weights(
        folder,
        {
            "bert.pooler.dense.bias": None,
            "more.weight": torch.ones(1),
            "classifier.bias": torch.ones(9),
        },
    )
    with pytest.raises(CheckpointError, match=r"(?s)pooler.dense.bias.*more.weight.*\(9,\)"):
        load(folder)


def test_one_tensor_twice(folder):
    change_weights(folder, {"pooler.dense.bias": torch.ones(24)})
    with pytest.raises(CheckpointError, match=r"two tensors for 'pooler.dense.bias'"):
        load(folder)


def test_decoder_of_its_own(tmp_path):
    limbeck.BertForMaskedLM(our_config("bert")).save_pretrained(tmp_path)
    change_weights(tmp_path, {"cls.predictions.decoder.weight": torch.ones(50, 24)})
    with pytest.raises(
        CheckpointError, match=r"'cls.predictions.decoder.weight' differs from 'embeddings.word_emb"
    ):
        limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path)
    limbeck.AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)  # which has no decoder
    change_config(tmp_path, tie_word_embeddings=False)
    with pytest.raises(SettingsError, match=r"tie_word_embeddings is False; accepted"):
        limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path)
    fresh = limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path, new_head=True)
    assert fresh.config.tie_word_embeddings


@pytest.mark.parametrize("size", [0, 5, 400, -1])
def test_truncated_weights(folder, size):
    weights = folder / "model.safetensors"
    content = weights.read_bytes()[:size]
    weights.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=rf"model.safetensors \({len(content)} bytes\) is damaged"
    ):
        load(folder)


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"accepted: model.safetensors.*holds: config.json"):
        load(folder)


def test_no_config(folder):
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config.json; it holds: model.safetensors"):
        load(folder)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"model_type": "bart"}, r"model_type 'bart'; accepted: .*bert, .*distilbert.* Did you me"),
        ({"model_type": "distillbert"}, "Did you mean 'distilbert'"),
        ({"model_type": ...}, "model_type None; accepted: .*bert, .*distilbert"),
        ({"hidden_size": 25}, "config.json: BertConfig: hidden_size 25 is not divisible by 4"),
        ({"hidden_size": "24"}, "hidden_size is '24'; accepted: a whole number from 1"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; accepted: a whole number from 1"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"hidden_act": "geluu"}, "hidden_act is 'geluu'; accepted: one of gelu, "),
        (
            {"hidden_dropout_prob": 1.5},
            "hidden_dropout_prob is 1.5; accepted: a number from 0 to 1",
        ),
        ({"classifier_dropout": "no"}, "classifier_dropout is 'no'; .*or null"),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0; accepted: a finite number above 0"),
        ({"layer_norm_eps": math.inf}, "layer_norm_eps is inf; accepted: a finite number above 0"),
        ({"initializer_range": math.nan}, "initializer_range is nan; accepted: a finite number"),
        ({"pad_token_id": 50}, "pad_token_id is 50; accepted: below vocab_size 50"),
        ({"problem_type": "ranking"}, "problem_type is 'ranking'; accepted: one of single_label"),
        ({"position_embedding_type": "relative_key"}, "'relative_key'; accepted: 'absolute'"),
        ({"is_decoder": True}, "is_decoder is True; accepted: False"),
        ({"add_cross_attention": True}, "add_cross_attention is True; accepted: False"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads is {'0': "),
        ({"hiden_size": 24, "hidden_size": ...}, "no field 'hiden_size' .* mean 'hidden_size'"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label is {0: 'a', 2: 'b'}; accepted"),
        ({"id2label": ["a"]}, r"id2label is \['a'\]"),
    ],
)
def test_wrong_config(folder, given, match):
    change_config(folder, **given)
    with pytest.raises(CheckpointError, match=match):
        load(folder)


@pytest.mark.parametrize(
    ("id2label", "label2id"),
    [
        ("abc", {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}),  # left behind, by transformers too
        ("abc", {"a": 0, "first": 0, "b": 1, "c": 2}),
        ("abc", {"c": 0, "a": 1, "b": 2}),
        ("aba", {"a": 2, "b": 1}),
        ("", {"a": 0, "first": 0, "b": 1, "c": 2}),
    ],
)
def test_names_of_labels_stop_no_folder_from_loading(folder, id2label, label2id):
    expected = load(folder).state_dict()
    change_config(folder, id2label=dict(enumerate(id2label)), label2id=label2id)
    model = load(folder)
    names = dict(enumerate(id2label or "abc"))
    assert model.config.id2label == names
    assert {i: names[i] for i in model.config.label2id.values()}.items() <= names.items()
    assert model.config.label2id["a"] == 0
    model.save_pretrained(folder / "again")
    assert load(folder / "again").config == model.config
    for name, tensor in load(folder / "again").state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_labels_given_in_python_do_not_contradict_each_other():
    with pytest.raises(
        SettingsError, match=r"label2id is not .*: it gives 'a' the number 1; leave it out\."
    ):
        our_config("bert", id2label={0: "a", 1: "b"}, label2id={"a": 1, "b": 0})


def test_config_of_another_family(folder):
    with pytest.raises(
        CheckpointError,
        match=r"type 'bert'; DistilBertForMaskedLM reads 'distilbert'. AutoModelForMaskedLM finds",
    ):
        limbeck.DistilBertForMaskedLM.from_pretrained(folder)
    with pytest.raises(SettingsError, match=r"given a BertConfig; accepted: DistilBertConfig"):
        limbeck.DistilBertModel(our_config("bert"))


def test_arguments_that_contradict(folder):
    with pytest.raises(SettingsError, match=r"new_head is True, but BertModel has no head"):
        limbeck.AutoModel.from_pretrained(folder, new_head=True)
    with pytest.raises(SettingsError, match=r"add_pooling_layer is for bare encoders"):
        load(folder, add_pooling_layer=False)
    with pytest.raises(SettingsError, match=r"DistilBertModel has no pooler"):
        limbeck.DistilBertModel(our_config("distilbert"), add_pooling_layer=True)
    with pytest.raises(SettingsError, match=r"num_labels is 3, but id2label has 2 labels"):
        load(folder, num_labels=3, id2label={0: "a", 1: "b"})
    with pytest.raises(SettingsError, match=r"num_labels is 3; accepted for question answering: 2"):
        limbeck.BertForQuestionAnswering(our_config("bert", num_labels=3))
    assert limbeck.DistilBertModel(our_config("distilbert"), add_pooling_layer=False).pooler is None


# --- inputs -----------------------------------------------------------------------------------

IDS = torch.ones(2, 5, dtype=torch.long)


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({"input_ids": IDS[0]}, r"shape \(5,\); accepted: int64 or int32 of shape \(batch"),
        ({"input_ids": IDS[0, 0]}, r"shape \(\); accepted: int64 or int32 of shape \(batch, seq"),
        ({"input_ids": IDS.float()}, "input_ids are torch.float32"),
        ({"input_ids": IDS.bool()}, "input_ids are torch.bool"),
        (
            {"input_ids": torch.ones(1, 17, dtype=torch.long)},
            "a row has 17 tokens; BertModel has 16 positions.*max_length=16",
        ),
        (
            {"input_ids": IDS, "attention_mask": IDS[:, :4]},
            r"attention_mask has shape \(2, 4\); accepted: \(2, 5\) or \(2, 5, 5\)",
        ),
        ({"input_ids": IDS, "token_type_ids": IDS[:1]}, r"token_type_ids has shape \(1, 5\)"),
        ({"input_ids": IDS, "position_ids": IDS[0]}, r"position_ids .* \(2, 5\) or \(1, 5\)"),
        ({"input_ids": IDS * 50}, "out of range.*input_ids must be below 50"),
        (
            {"input_ids": IDS, "position_ids": IDS * 16},
            "position_ids below 16, token_type_ids below the number of token types. Is the tok",
        ),
        (
            {"input_ids": IDS, "collect": {"hidden_state"}},
            "collect has 'hidden_state'.*'hidden_states'",
        ),
    ],
)
def test_wrong_inputs(inputs, match):
    with pytest.raises(SettingsError, match=match):
        limbeck.BertModel(our_config("bert"))(**inputs)


def test_token_types_where_there_are_none():
    model = limbeck.DistilBertModel(our_config("distilbert"))
    with pytest.raises(SettingsError, match=r"DistilBertModel has no token types; leave token"):
        model(IDS, token_type_ids=IDS)
    with pytest.raises(SettingsError, match=r"must be below 50, position_ids below 16\. "):
        model(IDS * 50)


def test_choices_without_their_dimension():
    model = limbeck.BertForMultipleChoice(our_config("bert"))
    with pytest.raises(
        SettingsError, match=r"shape \(2, 5\); accepted for multiple choice: \(batch, ch"
    ):
        model(IDS)
    with pytest.raises(SettingsError, match=r"attention_mask has shape \(5,\); accepted: \(2, 5\)"):
        model(IDS[None], attention_mask=IDS[0])


@pytest.mark.parametrize("collect", [frozenset(), {"attentions"}])
def test_an_empty_batch_has_no_scores(collect):
    model = limbeck.BertForSequenceClassification(our_config("bert", num_labels=3))
    assert model(IDS[:0], collect=collect).logits.shape == (0, 3)


def test_unknown_export():
    with pytest.raises(AttributeError, match=re.escape("module 'limbeck' has no attribute 'Bart'")):
        limbeck.Bart  # noqa: B018
