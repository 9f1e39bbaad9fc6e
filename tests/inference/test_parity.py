"""Every pipeline that `transformers` has gives what it gives, for each family that has the head."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from pipeline_models import TEXTS, assert_same, write_model

from limbeck import listing
from limbeck.inference import find_pipeline, pipeline
from limbeck.models import AutoModel, find_architecture
from limbeck.recipes.quickstart._teacher import write_shipped_teacher
from limbeck.tokenizers import AutoTokenizer

transformers = pytest.importorskip("transformers")

FAMILIES = listing.list_names(listing.ROOMS["models"])
NLI = ("contradiction", "neutral", "entailment")
TAGS = ("O", "B-PER", "I-PER", "B-LOC")


def families_with(task: str) -> list[str]:
    kind = find_pipeline(task).kind
    return [name for name in FAMILIES if kind in find_architecture(name).kinds]


def make_both(task, folder, *, model_type="bert", kind=None, **changes):
    """Writes a tiny model and returns both libraries' pipelines over it."""

    class Auto(AutoModel):
        pass

    Auto.kind = kind or find_pipeline(task).kind
    # All words are known: MPNet of `transformers` takes piece 1, here the unknown one, for padding.
    texts = [*TEXTS, "This example is."]
    if model_type == "mobilebert":  # whose norm does not bring numbers back to one size
        changes["initializer_range"] = 0.1
    write_model(folder, auto_model=Auto, model_type=model_type, texts=texts, **changes)
    # Real folders of RoBERTa have no token types, and BERT's tokenizer would give them.
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    ours = pipeline(task, folder, device="cpu")
    theirs = transformers.pipeline(task, model=str(folder), device="cpu", dtype=torch.float32)
    return ours, theirs


@pytest.mark.parametrize("model_type", families_with("text-classification"))
def test_text_classification(model_type, tmp_path):
    ours, theirs = make_both("sentiment-analysis", tmp_path, model_type=model_type)
    for inputs in (TEXTS, TEXTS[:1], TEXTS[0], {"text": TEXTS[0], "text_pair": "good"}):
        for options in ({}, {"top_k": None}, {"top_k": 2}, {"function_to_apply": "sigmoid"}):
            assert_same(ours(inputs, **options), theirs(inputs, **options))
    assert_same(ours("", function_to_apply="none"), theirs("", function_to_apply="none"))


def test_text_classification_with_options_of_the_pipeline(tmp_path):
    write_model(tmp_path)
    for options in ({"top_k": None}, {"top_k": 2}, {"function_to_apply": "none"}):
        ours = pipeline("text-classification", tmp_path, device="cpu", **options)
        theirs = transformers.pipeline("text-classification", str(tmp_path), device=-1, **options)
        for inputs in (TEXTS, TEXTS[0], {"text": TEXTS[0], "text_pair": "good"}):
            assert_same(ours(inputs), theirs(inputs))
            assert_same(ours(inputs, top_k=1), theirs(inputs, top_k=1))


def test_long_texts_are_cut_where_transformers_is_told_to(tmp_path):
    ours, theirs = make_both("text-classification", tmp_path)
    long = " ".join(TEXTS * 40)
    for options in ({}, {"max_length": 20}):
        cut = {"truncation": True, "padding": True, "max_length": 64, **options}
        assert_same(ours([long, "bad"], **options), theirs([long, "bad"], **cut))
        assert_same(ours([long, "bad"], **cut), theirs([long, "bad"], **cut))


@pytest.mark.parametrize("model_type", families_with("token-classification"))
def test_token_classification(model_type, tmp_path):
    ours, theirs = make_both("ner", tmp_path, model_type=model_type, labels=TAGS)
    for strategy in ("none", "simple", "first", "average", "max"):
        options = {"aggregation_strategy": strategy}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a vocabulary that marks no words
            assert_same(ours(TEXTS, **options), theirs(TEXTS, **options))
            assert_same(ours(TEXTS[2], **options), theirs(TEXTS[2], **options))
    assert_same(ours("good", ignore_labels=[]), theirs("good", ignore_labels=[]))
    words = TEXTS[2].split()
    split = {"is_split_into_words": True}
    assert_same(ours(words, **split), theirs(words, **split))


@pytest.mark.parametrize("model_type", families_with("fill-mask"))
def test_fill_mask(model_type, tmp_path):
    ours, theirs = make_both("fill-mask", tmp_path, model_type=model_type)
    mask = ours.tokenizer.mask_token
    one, two = f"it is a {mask} movie, good", f"{mask} good {mask} bad"
    for inputs in (one, two, [one], [two], [one, two, one]):
        for options in ({}, {"top_k": 2}, {"targets": ["good", "bad"]}, {"targets": "good"}):
            assert_same(ours(inputs, **options), theirs(inputs, **options))
    options = {"targets": ["good", "goodgood"], "top_k": 10}  # of the second the first piece counts
    assert_same(ours(one, **options), theirs(one, **options))


@pytest.mark.parametrize("model_type", families_with("feature-extraction"))
def test_feature_extraction(model_type, tmp_path):
    ours, theirs = make_both("feature-extraction", tmp_path, model_type=model_type)
    for inputs in (TEXTS, TEXTS[:1], TEXTS[0]):
        assert_same(ours(inputs), theirs(inputs))
    for inputs in (TEXTS, TEXTS[0]):
        options = {"return_tensors": True}
        assert_same(ours(inputs, **options), theirs(inputs, **options))


@pytest.mark.parametrize("kind", ["fill-mask", "text-classification"])
def test_features_of_a_model_with_a_head(kind, tmp_path):
    head = find_pipeline(kind).kind
    ours, theirs = make_both("feature-extraction", tmp_path, kind=head)
    assert_same(ours(TEXTS), theirs(TEXTS))


@pytest.mark.parametrize("model_type", families_with("zero-shot-classification"))
def test_zero_shot_classification(model_type, tmp_path):
    ours, theirs = make_both(
        "zero-shot-classification", tmp_path, model_type=model_type, labels=NLI
    )
    for labels in (["good", "bad", "long"], "good, bad", "good"):
        for inputs in (TEXTS, TEXTS[:1], TEXTS[0]):
            for options in (
                {},
                {"multi_label": True},
                {"hypothesis_template": "it is a {} movie."},
            ):
                given = {"candidate_labels": labels, **options}
                assert_same(ours(inputs, **given), theirs(inputs, **given))
    assert_same(ours(TEXTS[0], ["good", "bad"]), theirs(TEXTS[0], ["good", "bad"]))


@pytest.mark.parametrize("labels", [("ENTAILMENT", "not"), ("a", "Entails", "c")])
def test_the_entailment_label_is_found_as_there(labels, tmp_path):
    ours, theirs = make_both("zero-shot-classification", tmp_path, labels=labels)
    for multi_label in (False, True):
        options = {"candidate_labels": ["good", "bad"], "multi_label": multi_label}
        assert_same(ours(TEXTS, **options), theirs(TEXTS, **options))
    long = " ".join(TEXTS * 40)  # cut, its label never
    theirs.tokenizer.model_max_length = 64
    assert_same(ours(long, ["good", "bad"]), theirs(long, ["good", "bad"]))


@pytest.mark.parametrize("task", ["text-classification", "fill-mask", "ner", "feature-extraction"])
def test_families_that_only_transformers_has(task, tmp_path):
    write_model(tmp_path / "bert", texts=TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bert")
    config = transformers.ConvBertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        embedding_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=3,
    )
    heads = {
        "text-classification": transformers.ConvBertForSequenceClassification,
        "fill-mask": transformers.ConvBertForMaskedLM,
        "ner": transformers.ConvBertForTokenClassification,
        "feature-extraction": transformers.ConvBertModel,
    }
    torch.manual_seed(0)
    heads[task](config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["[MASK] is good", "[MASK]"] if task == "fill-mask" else TEXTS
    ours = pipeline(task, tmp_path, device="cpu")
    theirs = transformers.pipeline(task, model=str(tmp_path), device="cpu")
    assert_same(ours(texts), theirs(texts))


@pytest.mark.real
@pytest.mark.slow
def test_the_shipped_teacher_fills_masks_as_there(tmp_path):
    folder = write_shipped_teacher(tmp_path)
    ours = pipeline("fill-mask", folder, device="cpu", top_k=8)
    theirs = transformers.pipeline("fill-mask", model=str(folder), device="cpu", top_k=8)
    texts = [
        "Paris is the [MASK] of France.",
        "The [MASK] was long, and nobody [MASK] it to the end.",
        "A film that one would rather [MASK].",
    ]
    assert_same(ours(texts), theirs(texts))
    chosen = {"targets": ["capital", "city", "river"]}
    assert_same(ours(texts[0], **chosen), theirs(texts[0], **chosen))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all-mpnet-base-v2", "all-MiniLM-L6-v2"])
def test_real_models(name):
    folder = Path(__file__).parents[2] / "models" / name
    if not (folder / "config.json").is_file():
        pytest.skip(f"{name} is not in models/, which is where real models are looked for")
    ours = pipeline("feature-extraction", folder, device="cpu")
    theirs = transformers.pipeline("feature-extraction", model=str(folder), device="cpu")
    texts = [
        "Paris is the capital of France.",
        "Another, far longer sentence stands here, too.",
        "",
    ]
    assert_same(ours(texts), theirs(texts))
    assert_same(ours(texts[0]), theirs(texts[0]))
