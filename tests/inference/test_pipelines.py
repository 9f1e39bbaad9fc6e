"""Pipelines give what `transformers.pipeline` gives on the same folder."""

import json
from pathlib import Path

import pytest
import torch
from pipeline_models import TEXTS, write_model

import limbeck
from limbeck.errors import CheckpointError, DataError, MissingHeadError, SettingsError
from limbeck.inference import find_task, pipeline
from limbeck.models import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from limbeck.tokenizers import AutoTokenizer

PAIRS = [
    {"text": "a movie", "text_pair": "a film that is good"},
    {"text": "bad"},
    {"text": "it is a long movie", "text_pair": "it is"},
]


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


def test_models_of_any_length_get_what_they_were_trained_with(tmp_path):
    """Without the text's end, unless more is asked for: attention takes the square in memory."""
    write_model(tmp_path, model_type="deberta_v2")
    text = " ".join(TEXTS[:2] * 40)
    short = pipeline("text-classification", tmp_path, device="cpu")
    long = pipeline("text-classification", tmp_path, device="cpu", max_length=1000)
    cut = pipeline("text-classification", tmp_path, device="cpu", max_length=64)
    assert short(text) == cut(text) != long(text)


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
        match=r"no pipeline for 'sentiment-analisis'; accepted: embeddings, feature-"
        r"extraction, .*sentiment-analysis, text-classification, ner, .*Did you mean "
        r"'sentiment-analysis'",
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
    with pytest.raises(DataError, match=r"input 1 is 5; accepted: a text, or a pair"):
        classify(["good", 5])
    for gap in (None, float("nan"), 5):
        with pytest.raises(DataError, match=rf"input 0 is {gap}; accepted: a text.*leave out"):
            classify(gap)
    with pytest.raises(DataError, match=r"input 0 is \{'txt': 'good'\}"):
        classify({"txt": "good"})
    with pytest.raises(SettingsError, match=r"top_k = -1: must be at least 1"):
        classify("good", top_k=-1)
    with pytest.raises(SettingsError, match=r"top_k = 0: must be at least 1"):
        classify("good", top_k=0)


@pytest.mark.parametrize("model_type", ["distilbert", "mpnet"])
def test_a_tokenizer_that_gives_more_than_the_model_takes(tmp_path, model_type):
    """Folders of DistilBERT come with the tokenizer of the BERT that they were made of."""
    write_model(tmp_path / "a", model_type=model_type)
    expected = pipeline("sentiment-analysis", tmp_path / "a")(TEXTS)
    path = tmp_path / "a" / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"tokenizer_class": "BertTokenizer"}
    config["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps(config))
    assert pipeline("sentiment-analysis", tmp_path / "a")(TEXTS) == expected
    assert "token_type_ids" not in AutoTokenizer.from_pretrained(tmp_path / "a")("a")
    (tmp_path / "b").mkdir()  # the tokenizer alone, which does not say what it is for
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "b" / name).write_text((tmp_path / "a" / name).read_text())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "b")
    assert "token_type_ids" in tokenizer("a")
    assert pipeline("sentiment-analysis", tmp_path / "a", tokenizer=tokenizer)(TEXTS) == expected


HEADS = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
    "question-answering": AutoModelForQuestionAnswering,
}


@pytest.mark.parametrize("task", HEADS)
def test_the_model_says_which_pipeline_it_is_for(task, tmp_path):
    write_model(tmp_path, auto_model=HEADS[task], labels=("a", "b"))
    assert find_task(tmp_path) == find_task(str(tmp_path)) == task
    chosen = pipeline(model=tmp_path)
    assert chosen.task == task
    assert find_task(chosen.engine) == find_task(chosen.engine.model) == task
    assert pipeline(model=chosen.engine.model, tokenizer=tmp_path).task == task
    assert pipeline(model=chosen.engine, tokenizer=tmp_path).engine is chosen.engine
    for other in HEADS:
        if other == task:
            continue
        # The weights of a text classifier would fit a token classifier.
        with pytest.raises(
            SettingsError,
            match=rf"holds a BertFor\w+, and the {other} pipeline was asked for; its pipeline is "
            rf"'{task}'\. For this one, fine-tune it first: limbeck finetune model=",
        ):
            pipeline(other, tmp_path)
        with pytest.raises(
            SettingsError,
            match=rf"the {other} pipeline was given a BertFor\w+; accepted: a BertFor\w+",
        ):
            pipeline(other, chosen.engine, tokenizer=tmp_path)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("sentiment-analysis", ""),
        ("ner", "task=ner "),
        ("question-answering", "task=squad max_length=384 "),
    ],
)
@pytest.mark.parametrize("auto_model", [AutoModel, AutoModelForMaskedLM])
def test_a_model_that_is_not_fine_tuned_is_refused_with_the_command_that_does_it(
    auto_model: type[AutoModel], task: str, told: str, tmp_path: Path
) -> None:
    write_model(tmp_path, auto_model=auto_model)
    with pytest.raises(
        MissingHeadError,
        match=rf"no head for this task yet; fine-tune it first: limbeck finetune model=\S+ {told}"
        r"data=\.\.\. out=RUN, then give RUN/model",
    ):
        pipeline(task, model=tmp_path)
    if auto_model is AutoModelForMaskedLM:
        assert find_task(tmp_path) == "fill-mask"
        return
    with pytest.raises(
        MissingHeadError,
        match=r"holds a BertModel, which has no head for a task yet; accepted: models for fill-"
        r"mask, .*, token-classification; fine-tune it first: .*\. Asked for by name, embeddings "
        r"and feature-extraction and sentence-similarity take it as it is",
    ):
        pipeline(model=tmp_path)


def test_models_for_something_else_are_refused(tmp_path):
    write_model(tmp_path, auto_model=AutoModelForMultipleChoice)
    with pytest.raises(
        SettingsError,
        match=r"holds a BertForMultipleChoice, and the text-classification pipeline was asked for; "
        r"its pipeline is 'multiple-choice'\. For this one, fine-tune it first",
    ):
        pipeline("text-classification", model=tmp_path)
    with pytest.raises(
        SettingsError,
        match=r"fill-mask pipeline was asked for; .*For this one, give the pretrained model that "
        r"\S+ was made of, or make one: limbeck pretrain, limbeck distill",
    ):
        pipeline("fill-mask", model=tmp_path)
    for task in ("ner", None):
        with pytest.raises(
            SettingsError,
            match=r"model= is missing; accepted: a model folder, a Hub id, or a model\. Only these "
            r"have one by default: text-classification",
        ):
            pipeline(task)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"architectures"', '"architects"'))
    with pytest.raises(
        SettingsError,
        match=r"config\.json does not name the model's architecture, so that its task has to be "
        r"given; accepted: fill-mask, multiple-choice, question-answering, text-classification",
    ):
        pipeline(model=tmp_path)


def test_a_folder_that_does_not_say_what_it_holds_is_read_as_asked(tmp_path):
    write_model(tmp_path, labels=("a", "b"))
    expected = pipeline("text-classification", tmp_path)(TEXTS)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"architectures"', '"architects"'))
    assert pipeline("text-classification", tmp_path)(TEXTS) == expected
    with pytest.raises(MissingHeadError, match=r"no head for this task yet; fine-tune it first"):
        pipeline("question-answering", tmp_path)


def test_an_option_of_the_call_alone_is_named(tmp_path):
    write_model(tmp_path, auto_model=AutoModelForTokenClassification)
    with pytest.raises(
        SettingsError,
        match=r"is_split_into_words = True: the token-classification pipeline takes it with each "
        r"call: run\(inputs, is_split_into_words=True\)",
    ):
        pipeline("ner", tmp_path, is_split_into_words=True)


def test_scores_that_are_not_finite_are_refused(folder):
    run = pipeline("text-classification", model=folder, device="cpu")
    with torch.no_grad():
        run.engine.model.head.output.bias[1] = float("nan")
    with pytest.raises(
        CheckpointError, match=r"the model gives logits that are not finite \(NaN or"
    ):
        run(TEXTS)


def test_messages_never_hold_whole_inputs(tmp_path):
    long = {"text": "x" * 5000, "other": ["y"] * 5000}
    classify = limbeck.pipeline("text-classification", write_model(tmp_path))
    with pytest.raises(DataError, match=r"input 0 is \{.*\.\.\..*\}; accepted") as caught:
        classify([long])
    assert len(str(caught.value)) < 300


def test_habits_of_transformers(folder):
    classify = pipeline("text-classification", folder, device=-1)
    assert classify.engine.device == "cpu"
    expected = classify(TEXTS)
    for batch_size in (1, 2):
        assert_equal_answers(classify(TEXTS, batch_size=batch_size), expected)
    with pytest.raises(SettingsError, match="batch_size = 0: must be at least 1"):
        classify(TEXTS, batch_size=0)
    assert pipeline("text-classification", folder, device=torch.device("cpu"))(TEXTS) == expected
    with pytest.raises(SettingsError, match="no option 'torch_dtype': give precision='fp16'"):
        pipeline("text-classification", folder, torch_dtype=torch.float16)
    usual = {"truncation": True, "padding": True, "max_length": 64}
    assert classify(TEXTS, **usual) == expected
    assert pipeline("text-classification", folder, **usual)(TEXTS) == expected
    assert classify(TEXTS, max_length=5) != expected
    with pytest.raises(SettingsError, match="no option 'truncation': what is longer than max_len"):
        classify(TEXTS, truncation=False)
    with pytest.raises(SettingsError, match="no option 'return_all_scores': give top_k=None"):
        pipeline("text-classification", folder, return_all_scores=True)
    with pytest.raises(SettingsError, match="max_length = 65, but the model takes 64 tokens"):
        classify(TEXTS, max_length=65)
    with pytest.raises(
        SettingsError,
        match=r"function_to_apply = 'sigmod'; accepted: sigmoid, softmax, none\. Did you mean",
    ):
        classify(TEXTS, function_to_apply="sigmod")
    with pytest.raises(SettingsError, match=r"no option 'topk'; accepted: .*Did you mean 'top_k'"):
        classify(TEXTS, topk=2)
    with pytest.raises(SettingsError, match="device = 'cuda:99' can't be used"):
        pipeline("text-classification", folder, device=99)


def test_every_pipeline_takes_a_column_of_a_frame(folder, tmp_path):
    pandas = pytest.importorskip("pandas")
    column = pandas.DataFrame({"text": TEXTS})["text"]
    classify = pipeline("text-classification", folder)
    assert classify(column) == classify(TEXTS)
    tagged = write_model(tmp_path / "tags", auto_model=AutoModelForTokenClassification)
    find = pipeline("ner", tagged)
    assert find(column) == list(find(iter(TEXTS))) == find(TEXTS)
    read = write_model(
        tmp_path / "answers", auto_model=AutoModelForQuestionAnswering, labels=("start", "end")
    )
    answer = pipeline("question-answering", read)
    assert answer(question="good?", context=column) == answer(question="good?", context=TEXTS)
    with pytest.raises(DataError, match=r"input 0 is .*; accepted") as caught:
        classify([column])
    assert "\n" not in str(caught.value)


def test_has_the_parts_that_those_of_transformers_have(folder):
    run = pipeline("text-classification", model=folder, device="cpu")
    assert run.model.config.id2label[0] == "NEGATIVE"
    assert run.device == "cpu"
    assert run.tokenizer("good")["input_ids"]
    assert repr(run).startswith("TextClassificationPipeline(BertForSequenceClassification, engine=")
