"""Answers are those of a search through all spans, and those that `evaluate` scores."""

import json

import numpy as np
import pytest
import torch
from pipeline_models import write_model

import limbeck
from limbeck.errors import DataError, SettingsError
from limbeck.inference import QuestionAnsweringPipeline, pipeline
from limbeck.models import AutoModelForQuestionAnswering
from limbeck.recipes import evaluate
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress

CONTEXT = "Ada Lovelace, born in London, wrote notes; Zoë and Łukasz read them in São Paulo!"
LONG = (CONTEXT + " Nobody knew (at first) why the still was co-owned. ") * 5
QUESTIONS = ["Who wrote notes?", "Where was she born?", "Why?"]


def write(folder, **changes):
    given = {"labels": ("a", "b"), "texts": [LONG, *QUESTIONS], **changes}
    return write_model(folder, auto_model=AutoModelForQuestionAnswering, **given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("model"))


def search(folder, question, context, *, max_answer_len, null=False):
    """What transformers 4 did where one window is enough: softmax over context and [CLS]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    encoded = tokenizer([question], [context], return_tensors="pt")
    (row,) = encoded.encodings
    with torch.no_grad():
        output = model(**encoded)
    inside = np.array([number == 1 for number in row.sequence_ids])
    counted = inside.copy()
    counted[0] = True
    start, end = (
        torch.where(torch.tensor(counted), logits[0].double(), -torch.inf).softmax(-1).numpy()
        for logits in (output.start_logits, output.end_logits)
    )
    spans = [
        (start[i] * end[j], row.offsets[i][0], row.offsets[j][1])
        for i in range(len(row))
        for j in range(i, min(i + max_answer_len, len(row)))
        if inside[i] and inside[j]
    ]
    return sorted([*spans, (start[0] * end[0], 0, 0)] if null else spans, reverse=True)


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("null", [False, True])
def test_answers_are_those_of_a_search_through_all_spans(model_type, seed, null, tmp_path):
    write(tmp_path, model_type=model_type, seed=seed)
    answer = limbeck.pipeline("question-answering", model=tmp_path, align_to_words=False)
    for question in QUESTIONS:
        expected = search(tmp_path, question, CONTEXT, max_answer_len=6, null=null)[:4]
        given = answer(
            question=question,
            context=CONTEXT,
            top_k=4,
            max_answer_len=6,
            handle_impossible_answer=null,
        )
        places = [(a["start"], a["end"]) for a in given]
        assert places == [(start, end) for _, start, end in expected]
        assert [a["score"] for a in given] == pytest.approx([s for s, *_ in expected], abs=1e-6)
        assert all(a["answer"] == CONTEXT[a["start"] : a["end"]] for a in given)


def test_answers_to_long_contexts_are_those_that_evaluate_scores(folder, tmp_path):
    rows = [
        {"id": str(i), "question": question, "context": context, "answers": []}
        for i, (question, context) in enumerate(
            (q, c) for q in QUESTIONS for c in (LONG, CONTEXT, LONG[40:], "one")
        )
    ]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"stride": 7, "max_question_tokens": 12, "max_answer_tokens": 9}
    evaluate.run(
        evaluate.SettingsType(
            model=str(folder),
            task="squad_v2",
            task_options={**options, "null_threshold": 0.0},
            data={"validation": str(file)},
            max_length=48,
            out=str(tmp_path / "run"),
            device="cpu",
        ),
        progress=SilentProgress(),
    )
    lines = (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    answer = pipeline(
        "question-answering",
        folder,
        max_length=48,
        doc_stride=7,
        max_question_len=12,
        max_answer_len=9,
        align_to_words=False,
        batch_size=5,
    )
    asked = [{"question": row["question"], "context": row["context"]} for row in rows]
    assert [a["answer"] for a in answer(asked)] == [record["answer"] for record in records]
    with_null = answer(asked, handle_impossible_answer=True)
    assert [(a["answer"], a["start"], a["end"]) for a in with_null] == [
        (record["prediction"], record["start"], record["end"]) for record in records
    ]
    assert all(0 < a["score"] <= 1 for a in with_null)
    ranked = answer(asked, top_k=3)
    assert [[a["answer"] for a in best] for best in ranked] == [
        [item["text"] for item in record["n_best"]] for record in records
    ]


def test_answers_are_whole_words_unless_asked_otherwise(folder):
    answer = pipeline("question-answering", folder, top_k=30, max_answer_len=2)
    words = {
        place for a in answer(question="Why?", context=LONG) for place in (a["start"], a["end"])
    }
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (row,) = tokenizer([LONG], add_special_tokens=False).encodings
    edges = {}
    for (start, end), word in zip(row.offsets, row.word_ids, strict=True):
        edges.setdefault(word, [start, end])[1] = end
    assert words <= {place for edge in edges.values() for place in edge}
    pieces = answer(question="Why?", context=LONG, align_to_words=False)
    assert not {place for a in pieces for place in (a["start"], a["end"])} <= {
        place for edge in edges.values() for place in edge
    }
    places = [(a["start"], a["end"]) for a in answer(question="Why?", context=LONG)]
    assert len(places) == len(set(places)) == 30


@pytest.mark.parametrize("stride", [0, 3, 24])
def test_tokens_that_windows_share_count_once(folder, stride):
    answer = pipeline(
        "question-answering",
        folder,
        max_length=40,
        max_question_len=8,
        doc_stride=stride,
        handle_impossible_answer=True,
        align_to_words=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    encoded = tokenizer(
        ["Why?"],
        [LONG],
        truncation="only_second",
        max_length=40,
        stride=stride,
        return_overflowing_tokens=True,
    )
    tokens, nulls = {}, []
    for row in encoded.encodings:
        with torch.no_grad():
            output = model(
                input_ids=torch.tensor([row.ids]), token_type_ids=torch.tensor([row.type_ids])
            )
        logits = torch.stack([output.start_logits[0], output.end_logits[0]]).double().numpy()
        nulls.append(logits[:, 0])
        for place, number in enumerate(row.sequence_ids):
            if number == 1:
                known = tokens.get(row.offsets[place], -np.inf)
                tokens[row.offsets[place]] = np.maximum(known, logits[:, place])
    null = min(nulls, key=sum)
    total = np.exp([*tokens.values(), null]).sum(axis=0).prod()
    found = answer(question="Why?", context=LONG, top_k=5000, max_answer_len=99)
    (without,) = (a for a in found if not a["answer"])
    assert without["score"] == pytest.approx(float(np.exp(null.sum()) / total), rel=1e-4)
    for a in found:
        if (a["start"], a["end"]) in tokens:
            most = np.exp(tokens[a["start"], a["end"]].sum()) / total
            assert 0 < a["score"] <= most * (1 + 1e-4)
    assert sum(a["score"] for a in found) <= 1 + 1e-5


def test_all_ways_of_asking(folder):
    answer = pipeline("question-answering", folder)
    assert isinstance(answer, QuestionAnsweringPipeline)
    one = answer(question="Why?", context=CONTEXT)
    assert set(one) == {"score", "start", "end", "answer"}
    assert answer({"question": "Why?", "context": CONTEXT}) == one
    assert answer([{"question": "Why?", "context": CONTEXT}]) == [one]
    assert answer(question=["Why?"], context=CONTEXT) == [one]
    assert answer(question="Why?", context=[CONTEXT]) == [one]
    (several,) = answer([{"question": "Why?", "context": CONTEXT}], top_k=2)
    assert len(several) == 2
    assert answer(question=QUESTIONS, context=CONTEXT)[2]["answer"] == one["answer"]
    assert len(answer(question="Why?", context=[CONTEXT, LONG, "one"])) == 3
    assert len(answer(question=QUESTIONS, context=[CONTEXT, LONG, "one"])) == 3
    assert answer([]) == []
    assert answer(question="Why?", context="\x00")["answer"] == ""
    long_question = " ".join(QUESTIONS * 30)
    cut = answer(question=long_question, context=CONTEXT, max_question_len=5)
    assert cut == answer(question="Who wrote notes? Where", context=CONTEXT, max_question_len=5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"question": "a"}, r"context= is missing; accepted: \{\"question\": "),
        ({"context": "a"}, r"question= is missing; .* or both question= and context="),
        ({}, r"question= is missing"),
        ({"inputs": {"question": "a"}}, r"input 0 is \{'question': 'a'\}; accepted: \{\"question"),
        ({"inputs": [{"question": "a", "context": "b"}, "c"]}, r"input 1 is 'c'; accepted: "),
        ({"inputs": "a"}, r"the input is 'a'; accepted: .* or question= and context="),
        ({"inputs": 5}, r"the input is 5; accepted"),
        (
            {"inputs": {"question": "a", "context": "b"}, "question": "a"},
            r"question= and context= are given besides the inputs; accepted: either",
        ),
        ({"question": " ", "context": "a"}, r"input 0: the question is ' '; accepted: a text that"),
        ({"question": "a", "context": ["b", ""]}, r"input 1: the context is ''; accepted: a text"),
        ({"question": "a", "context": [5]}, r"input 0: the context is 5; accepted"),
        ({"question": 5, "context": "a"}, r"question = 5; accepted: a text, or a list of texts"),
        (
            {"question": ["a", "b"], "context": ["a", "b", "c"]},
            r"there are 2 questions and 3 contexts; accepted: as many of each, or one of either",
        ),
    ],
)
def test_questions_that_are_none_are_refused(folder, given, message):
    answer = pipeline("question-answering", folder)
    given = dict(given)
    inputs = [given.pop("inputs")] if "inputs" in given else []
    is_of_an_input = message.startswith("input ")
    with pytest.raises(DataError if is_of_an_input else SettingsError, match=message):
        answer(*inputs, **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, r"top_k = 0: must be at least 1"),
        ({"top_k": "two"}, r"top_k = 'two': must be a whole number of at least 1"),
        ({"max_answer_len": 0}, r"max_answer_len = 0: must be at least 1"),
        ({"max_question_len": 0}, r"max_question_len = 0: must be at least 1"),
        ({"doc_stride": -1}, r"doc_stride = -1: must be at least 0"),
        (
            {"doc_stride": 50},
            (
                r"max_length = 64 has no room for questions of 30 tokens .* 84 \(384 is usual\), "
                r"or lower max_question_"
            ),
        ),
    ],
)
def test_wrong_options_are_refused_when_made_and_when_called(folder, options, message):
    with pytest.raises(SettingsError, match=message):
        pipeline("question-answering", folder, **options)(question="a", context="b")
    with pytest.raises(SettingsError, match=message):
        pipeline("question-answering", folder)(question="a", context="b", **options)


def test_the_longest_window_is_that_of_fine_tuning(tmp_path):
    write(tmp_path, max_position_embeddings=512)
    assert pipeline("question-answering", tmp_path)._max_length == 384
    assert pipeline("question-answering", tmp_path, max_length=512)._max_length == 512
