"""Pipelines give what `transformers.pipeline` gives on the same folder."""

from pathlib import Path

import pytest
import torch

import limbeck
from limbeck import BertConfig, BertForMaskedLM
from limbeck.errors import CheckpointError, MissingHeadError, SettingsError
from limbeck.inference.pipelines import pipeline
from limbeck.models import AutoModelForSequenceClassification, find_architecture
from limbeck.tokenizers import AutoTokenizer, train_wordpiece

TEXTS = [
    "a gorgeous, witty, seductive movie",
    "bad",
    "It is NOT good; it is awful and far too long to be watched twice.",
    "good",
]
PAIRS = [
    {"text": "a movie", "text_pair": "a film that is good"},
    {"text": "bad"},
    {"text": "it is a long movie", "text_pair": "it is"},
]


def write_model(folder, *, model_type="bert", **changes):
    torch.manual_seed(1)
    tokenizer = train_wordpiece(TEXTS, vocab_size=120, min_frequency=1)
    labels = changes.pop("labels", ("NEGATIVE", "NEUTRAL", "POSITIVE"))
    config = find_architecture(model_type).config_type()
    config = config.replace(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        **changes,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    if model_type == "distilbert":
        tokenizer = tokenizer.without_token_types()
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


def assert_equal_answers(given, expected):
    if isinstance(expected, list):
        assert isinstance(given, list)
        assert len(given) == len(expected)
        for one, other in zip(given, expected, strict=True):
            assert_equal_answers(one, other)
    else:
        assert given.keys() == expected.keys() == {"label", "score"}
        assert given["label"] == expected["label"]
        assert given["score"] == pytest.approx(expected["score"], abs=1e-6)


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
@pytest.mark.parametrize("task", ["sentiment-analysis", "text-classification"])
def test_answers_equal_those_of_transformers(model_type, task, tmp_path):
    transformers = pytest.importorskip("transformers")
    write_model(tmp_path, model_type=model_type)
    ours = limbeck.pipeline(task, model=tmp_path, device="cpu", batch_size=2)
    theirs = transformers.pipeline(task, model=str(tmp_path), device="cpu")
    for inputs in (TEXTS, TEXTS[0], TEXTS[:1]):
        assert_equal_answers(ours(inputs), theirs(inputs))
        for top_k in (1, 2, None):
            assert_equal_answers(ours(inputs, top_k=top_k), theirs(inputs, top_k=top_k))
    if model_type == "bert":
        assert_equal_answers(ours(PAIRS), theirs(PAIRS))
        assert_equal_answers(ours(PAIRS[0]), theirs(PAIRS[0]))
        assert_equal_answers(ours(PAIRS[0], top_k=2), theirs(PAIRS[0], top_k=2))


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        ("regression", ("score",)),
        ("multi_label_classification", ("a", "b", "c")),
        (None, ("a",)),
        (None, ("a", "b")),
    ],
)
def test_scores_follow_the_kind_of_problem(problem_type, labels, tmp_path):
    transformers = pytest.importorskip("transformers")
    write_model(tmp_path, problem_type=problem_type, labels=labels)
    ours = pipeline("text-classification", tmp_path, device="cpu")
    theirs = transformers.pipeline("text-classification", model=str(tmp_path), device="cpu")
    assert_equal_answers(ours(TEXTS, top_k=None), theirs(TEXTS, top_k=None))


def test_a_model_and_a_tokenizer_in_memory(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = pipeline("sentiment-analysis", folder)(TEXTS)
    assert pipeline("sentiment-analysis", model, tokenizer=tokenizer)(TEXTS) == expected
    assert pipeline("sentiment-analysis", model, tokenizer=folder)(TEXTS) == expected
    assert pipeline("sentiment-analysis", str(folder))([]) == []


def test_long_texts_are_cut_at_the_limit(folder):
    long = "good " * 100
    classify = pipeline("sentiment-analysis", folder)
    assert classify(long) == classify("good " * 62)
    short = pipeline("sentiment-analysis", folder, max_length=8)
    assert_equal_answers(short(long), short("good " * 6))


def test_wrong_arguments_are_refused(folder, tmp_path):
    with pytest.raises(
        SettingsError,
        match=r"no pipeline for 'sentiment-analisis'; accepted: sentiment-analysis, text-"
        r"classification\. Did you mean 'sentiment-analysis'",
    ):
        pipeline("sentiment-analisis", folder)
    with pytest.raises(SettingsError, match=r"a model object .* give tokenizer="):
        pipeline("sentiment-analysis", AutoModelForSequenceClassification.from_pretrained(folder))
    with pytest.raises(SettingsError, match=r"max_length = 65, but the model takes 64 tokens"):
        pipeline("sentiment-analysis", folder, max_length=65)
    with pytest.raises(SettingsError, match=r"batch_size = 0: must be at least 1"):
        pipeline("sentiment-analysis", folder, batch_size=0)
    with pytest.raises(CheckpointError, match=r"nothing-here"):
        pipeline("sentiment-analysis", tmp_path / "nothing-here")
    classify = pipeline("sentiment-analysis", folder)
    with pytest.raises(SettingsError, match=r"input 1 is 5; accepted: a text, or a pair"):
        classify(["good", 5])
    with pytest.raises(SettingsError, match=r"input 0 is \{'txt': 'good'\}"):
        classify({"txt": "good"})
    with pytest.raises(SettingsError, match=r"top_k = -1: must be at least 1"):
        classify("good", top_k=-1)
    with pytest.raises(SettingsError, match=r"top_k = 0: must be at least 1"):
        classify("good", top_k=0)


def test_a_model_that_is_not_fine_tuned_is_refused_with_the_command_that_does_it(
    tmp_path: Path,
) -> None:
    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(MissingHeadError, match=r"no head for this task yet.*limbeck finetune"):
        pipeline("sentiment-analysis", model=tmp_path)
