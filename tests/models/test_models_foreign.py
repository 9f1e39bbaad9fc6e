"""Models that only `transformers` has: what they give, whatever is padded, and what is refused."""

from __future__ import annotations

import json
import re
import sys

import pytest
import torch
from foreign_models import FAMILIES, save, their_config, their_model
from model_oracle import make_inputs, ours_from, tensors_of
from model_oracle import their_model as their_bert

import limbeck
from limbeck.errors import CheckpointError, MissingExtraError, MissingHeadError, SettingsError
from limbeck.models import (
    KINDS,
    ForeignModel,
    find_architecture,
    find_foreign_family,
    find_kind,
    load_foreign,
    read_any_config,
)
from limbeck.models._foreign.config import read_foreign_config

CLASSIFIER = find_kind("BertForSequenceClassification")
MASKED_LM = find_kind("BertForMaskedLM")
TAGGER = find_kind("BertForTokenClassification")
READER = find_kind("BertForQuestionAnswering")
CHOOSER = find_kind("BertForMultipleChoice")
STATES = frozenset({"hidden_states"})
assert None not in (CLASSIFIER, MASKED_LM, TAGGER, READER, CHOOSER)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", find_architecture("bert").kinds, ids=lambda kind: kind.name)
def test_it_gives_what_our_own_model_gives(tmp_path, kind):
    """A family that both have, read both ways."""
    ours = ours_from(their_bert("bert", kind), tmp_path, kind)
    config = read_foreign_config(tmp_path, family="bert", known="bert")
    foreign = ForeignModel.from_folder(tmp_path, config, kind, dtype=torch.float64)
    assert (foreign.reads_padding, foreign.gives_states) == (False, True)
    assert foreign.num_parameters == ours.num_parameters
    inputs = make_inputs("bert", kind)
    del inputs["position_ids"]
    collect = frozenset({"hidden_states", "attentions"})
    found, expected = (tensors_of(model(**inputs, collect=collect)) for model in (foreign, ours))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-9, rtol=0)
    assert config.num_hidden_layers == ours.config.num_hidden_layers
    assert config.id2label == ours.config.id2label
    if not kind.has_choices:
        states = foreign.encode(**inputs, collect=STATES)
        hidden = ours.encode(**inputs).last_hidden_state
        torch.testing.assert_close(states.last_hidden_state, hidden, atol=1e-9, rtol=0)
    if kind == MASKED_LM:
        rows = hidden[:, 2:4]
        torch.testing.assert_close(foreign.score(rows), ours.score(rows), atol=1e-9, rtol=0)


def make_batch(family, *, longest=9, choices=False):
    padding = FAMILIES[family].get("pad_token_id", 0)
    lengths = torch.tensor([longest, 4, 6, 4])
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(5, 50, (4, longest), generator=generator)
    mask = (torch.arange(longest) < lengths[:, None]).long()
    ids = ids.masked_fill(mask == 0, padding)
    return ids, mask, lengths.tolist()


@pytest.mark.parametrize("kind", [CLASSIFIER, TAGGER, READER, MASKED_LM], ids=lambda k: k.name)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_padded_batch_gives_what_transformers_gives_for_each_row(tmp_path, family, kind):
    if (family, kind) == ("xlnet", MASKED_LM):
        pytest.skip("XLNet is no masked language model")
    theirs = their_model(family, kind)
    save(theirs, tmp_path)
    assert find_foreign_family(tmp_path) == family
    model = load_foreign(tmp_path, kind)
    ids, mask, lengths = make_batch(family)
    with torch.no_grad():
        output = model(ids, mask, collect=STATES)
        for number, length in enumerate(lengths):
            row = theirs(input_ids=ids[number : number + 1, :length], output_hidden_states=True)
            for name in ("logits", "start_logits", "end_logits"):
                expected, found = getattr(row, name, None), getattr(output, name)
                if expected is None or found is None:
                    assert expected is None or name == "logits"
                    continue
                found = (
                    found[number, :length] if found.dim() > 2 or name != "logits" else found[number]
                )
                torch.testing.assert_close(found, expected[0], atol=1e-4, rtol=1e-4)
            if model.gives_states:
                for layer, expected in enumerate(row.hidden_states):
                    found = output.hidden_states[layer][number, :length]
                    torch.testing.assert_close(found, expected[0], atol=1e-4, rtol=1e-4)
    reads_padding = {"fnet", "funnel", "nystromformer", "xlnet"}
    assert model.reads_padding == (family in reads_padding)
    assert model.gives_states == (family != "funnel")


def test_choices_are_rows_of_their_own(tmp_path):
    theirs = their_model("ernie", CHOOSER)
    model = load_foreign(save(theirs, tmp_path), CHOOSER)
    ids, mask, _ = make_batch("ernie")
    ids, mask = ids.reshape(2, 2, 9), mask.reshape(2, 2, 9)
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(model(ids, mask).logits, expected, atol=1e-5, rtol=1e-5)


def test_a_vector_of_a_text_is_what_its_classifiers_read(tmp_path):
    """XLNet's stands at the end, after padding on the left; here rows are padded on the right."""
    theirs = their_model("xlnet", TAGGER)
    model = load_foreign(save(theirs, tmp_path), TAGGER)
    ids, mask, lengths = make_batch("xlnet")
    with torch.no_grad():
        output = model(ids, mask)
        for number, length in enumerate(lengths):
            states = theirs.transformer(ids[number : number + 1, :length]).last_hidden_state
            pooled = output.pooler_output[number]
            torch.testing.assert_close(pooled, states[0, -1], atol=1e-5, rtol=1e-5)


def test_what_is_collected_is_what_the_library_gives(tmp_path):
    model = load_foreign(save(their_model("ernie", CLASSIFIER), tmp_path), CLASSIFIER)
    ids, mask, _ = make_batch("ernie")
    with pytest.raises(
        SettingsError,
        match=r"ErnieForSequenceClassification is run by transformers, which does not give keys, "
        r"queries; accepted: attentions, hidden_states",
    ):
        model(ids, mask, collect=frozenset({"queries", "keys"}))
    with pytest.raises(SettingsError, match=r"a row has 41 tokens; ErnieForSeq.* has 40 positions"):
        model(torch.ones(1, 41, dtype=torch.int64))
    with pytest.raises(SettingsError, match=r"input_ids must be below 50\. Is the tokenizer this"):
        model(torch.full((1, 4), 50))
    with pytest.raises(SettingsError, match=r"leave position_ids out"):
        model.encode(ids, mask, position_ids=ids)


@pytest.mark.parametrize(
    ("family", "stated", "longest"),
    [
        ("ernie", None, 40),
        ("roberta-prelayernorm", None, 38),  # the first two rows stand for no token
        ("ernie", 24, 24),
        ("xlnet", None, None),
    ],
)
def test_the_longest_input_is_what_positions_and_tokenizer_allow(tmp_path, family, stated, longest):
    their_config(family).save_pretrained(tmp_path)
    if stated is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": stated}))
    config = read_any_config(tmp_path)
    assert (config.family, config.max_tokens) == (family, longest)
    assert config.takes(longest or 10**6)


@pytest.fixture
def folder(tmp_path):
    return save(their_model("ernie", CLASSIFIER), tmp_path)


def test_without_transformers_the_pip_line_is_given(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        MissingExtraError,
        match=r"model_type 'ernie', which is none of Limbeck's own \(.*bert.*\).*needs the package "
        r"'transformers'.*pip install \"limbeck\[transformers\]\"",
    ):
        read_any_config(folder)


def test_a_family_that_nobody_has_is_refused_with_those_there_are(folder):
    change_config(folder, model_type="bertt")
    with pytest.raises(
        CheckpointError,
        match=r"'bertt', which neither Limbeck has \(accepted: .*bert.*\) nor trans",
    ):
        read_any_config(folder)
    with pytest.raises(
        CheckpointError,
        match=r"'bertt'; accepted: .*Did you mean 'bert'\? Other encoders of transformers can be "
        r"teachers, and be scored, with: pip install \"limbeck\[transformers\]\"",
    ):
        limbeck.AutoConfig.from_pretrained(folder)


def test_neither_code_nor_what_lies_elsewhere_is_opened(folder):
    change_config(folder, auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(CheckpointError, match=r"asks for code of its own.*auto_map: .*evil.Model"):
        read_any_config(folder)
    change_config(folder, auto_map=None, quantization_config={"bits": 4})
    with pytest.raises(CheckpointError, match=r"has quantised weights.*'bits': 4"):
        read_any_config(folder)
    change_config(folder, quantization_config=None)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    with pytest.raises(CheckpointError, match=r"has an adapter_config.json: .*Merge the two"):
        load_foreign(folder, CLASSIFIER)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("value", ["somebody/kernel", {"": "somebody/kernel"}, "flash_attention_2"])
def test_no_kernel_is_fetched(folder, key, value):
    change_config(folder, **{key: value})
    with pytest.raises(CheckpointError, match=rf"asks for the {key} .*; accepted: eager or sdpa"):
        read_any_config(folder)
    change_config(folder, **{key: None}, inner={key: value})
    with pytest.raises(CheckpointError, match=rf"asks for the {key} .*; accepted: eager or sdpa"):
        read_any_config(folder)
    change_config(folder, **{key: "sdpa"}, inner={})
    load_foreign(folder, CLASSIFIER)


def test_a_pickle_is_refused_with_the_line_that_converts_it(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"only as 'pytorch_model.bin'.*python -c .*save_file"
    ):
        load_foreign(folder, CLASSIFIER)


def test_a_shard_outside_of_the_folder_is_not_opened(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"classifier.weight": "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        CheckpointError, match=r"puts 'classifier.weight' into '../other.safetensors'"
    ):
        load_foreign(folder, CLASSIFIER)


def test_weights_that_are_missing_are_not_drawn(folder):
    with pytest.raises(
        MissingHeadError,
        match=r"ErnieForQuestionAnswering of transformers: missing, .* qa_outputs.bias, qa_",
    ):
        load_foreign(folder, READER)
    change_config(folder, num_hidden_layers=3)
    with pytest.raises(CheckpointError, match=r"missing.*ernie.encoder.layer.2") as caught:
        load_foreign(folder, CLASSIFIER)
    assert not isinstance(caught.value, MissingHeadError)


def test_an_encoder_without_its_pooler_does_without(tmp_path):
    model = load_foreign(save(their_model("ernie", MASKED_LM), tmp_path), KINDS[0])
    assert model(make_batch("ernie")[0]).pooler_output is None


def test_what_the_library_can_not_read_is_said_in_one_line(folder):
    change_config(folder, hidden_act="evil")
    with pytest.raises(
        CheckpointError, match=rf"{re.escape(str(folder))}: transformers [\d.]+ can't"
    ):
        load_foreign(folder, CLASSIFIER)
    (folder / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match=r"can't read it"):
        load_foreign(folder, CLASSIFIER)


@pytest.mark.parametrize(
    ("family", "changes", "match"),
    [
        ("bart", {"d_model": 16}, r"is of a 'bart', which is no plain encoder of text"),
        ("vit", {"hidden_size": 16}, r"is of a 'vit', which is no plain encoder of text"),
        ("ernie", {"num_labels": 10**9}, r"json: num_labels is 1000000000; accepted: at most"),
        ("ernie", {"hidden_size": 10**9}, r"json: .* make some [\d,^]+ parameters; accepted"),
        ("ernie", {"num_hidden_layers": 10**9}, r"json: num_hidden_layers is 1000000000; accepted"),
    ],
)
def test_models_that_are_no_encoders_or_of_no_size_are_refused(tmp_path, family, changes, match):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family, **changes}))
    with pytest.raises(CheckpointError, match=match):
        read_any_config(tmp_path)


def test_a_kind_that_the_family_does_not_have_is_refused(folder):
    change_config(folder, model_type="nezha-bert")
    with pytest.raises(CheckpointError, match=r"nezha-bert"):
        load_foreign(folder, CLASSIFIER)
    change_config(folder, model_type="fnet")
    their_config("xlnet").save_pretrained(folder)
    with pytest.raises(
        CheckpointError, match=r"has no class for 'xlnet' such as BertForMaskedLM; accepted"
    ):
        load_foreign(folder, MASKED_LM)
