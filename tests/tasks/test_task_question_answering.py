"""Question answering: files, windows, and the search for spans."""

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck import BertConfig, BertModel
from limbeck.errors import DataError, SettingsError
from limbeck.nn.spans import best_spans
from limbeck.recipes import finetune
from limbeck.tasks import collate, read_task
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress

# ---- spans


@settings(max_examples=100)
@given(
    size=st.integers(1, 14),
    cut=st.tuples(st.integers(0, 13), st.integers(0, 13)),
    max_tokens=st.integers(1, 16),
    count=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_spans_are_those_of_a_search_through_all(size, cut, max_tokens, count, seed):
    first, last = sorted(min(place, size - 1) for place in cut)
    random_numbers = np.random.default_rng(seed)
    start, end = random_numbers.standard_normal((2, size)).astype(np.float32)
    everything = sorted(
        (
            (float(start[i] + end[j]), i, j)
            for i in range(first, last + 1)
            for j in range(i, min(i + max_tokens, last + 1))
        ),
        reverse=True,
    )
    found = best_spans(start, end, first=first, last=last, max_tokens=max_tokens, count=count)
    assert [(span.score, span.start, span.end) for span in found] == everything[:count]


# ---- files


def article(*questions, context="Anna saw the rain in Rome."):
    return {"data": [{"title": "Rome", "paragraphs": [{"context": context, "qas": [*questions]}]}]}


def question(number="q1", answer="Rome", start=21, **more):
    answers = [] if answer is None else [{"text": answer, "answer_start": start}]
    return {"id": number, "question": "Where was Anna?", "answers": answers, **more}


def write(folder, document, name="train.json"):
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return str(folder)


def test_squads_files_and_flat_rows_are_the_same(tmp_path):
    data = write(tmp_path, article(question(), question("q2", answer="Anna", start=0)))
    rows = [
        {
            "id": f"q{i + 1}",
            "title": "Rome",
            "question": "Where was Anna?",
            "context": "Anna saw the rain in Rome.",
            "answers": {"text": [text], "answer_start": [start]},
        }
        for i, (text, start) in enumerate([("Rome", 21), ("Anna", 0)])
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "validation.jsonl").write_text(lines, encoding="utf-8")
    splits = read_task("squad", data).splits
    assert splits["train"].examples == splits["validation"].examples
    assert splits["train"].examples[0].label == (("Rome", 21),)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            article(question(start=20)),
            r"train.json, Rome, paragraph 0, question q1: the answer 'Rome' .* stands ' Rom'",
        ),
        (article(question(), question()), r"question q1: the id stands twice"),
        (article(question(answer=None)), r"question q1: it has no answer, .* use task=squad_v2"),
        (article(question(start=-5)), r"question q1: the answer 'Rome' .* at character -5, .* ''"),
        (article(question(answer="")), r"question q1: 'answers' is .*'text': ''.*; accepted: a "),
        (article(question(start="21")), r"question q1: 'answers' is .*'21'.* accepted: a list"),
        (article(question(start=None)), r"question q1: 'answers' is .*None.* accepted: a list"),
        (article(question() | {"answers": "Rome"}), r"q1: 'answers' is 'Rome'; accepted: a list"),
        (
            article(question() | {"answers": {"text": ["Rome"], "answer_start": []}}),
            r"question q1: 'answers' is .*\[\].*; accepted: a list",
        ),
        (
            article(question(), question("q2") | {"answers": None}),
            r"question q2: 'answers' is missing, and so in 1 of the 2 questions of train",
        ),
        (article(question(question="")), r"question q1: 'question' is missing, empty or no text"),
        (article(question(), context=None), r"question q1: 'context' is missing, empty or no"),
        (article(question(), context=7), r"question q1: 'context' is missing, empty or no text"),
        (article("q1"), r"Rome, paragraph 0: 'qas' must be a list of JSON objects, got .*q1"),
        (
            {"data": [{"title": "Rome", "paragraphs": None}]},
            r"train.json, Rome: 'paragraphs' must be a list of JSON objects, got None",
        ),
        (article(), r"train.json has no questions"),
        ({"data": 3}, r"train.json: expected a list of JSON objects, or one under 'data', got"),
    ],
)
def test_bad_files_are_refused_with_their_place(tmp_path, document, message):
    with pytest.raises(DataError, match=message):
        read_task("squad", write(tmp_path, document))


def test_blanks_at_the_ends_of_an_answer_are_no_part_of_it(tmp_path, tokenizer):
    context = " the men and the rain \n"
    for answer, start in ((context, 0), (" the men", 0), ("rain \n", 17), (" and ", 8)):
        asked = question(answer=answer, start=start)
        task = read_task("squad", write(tmp_path, article(asked, context=context)))
        (example,) = task.splits["train"].examples
        begin = start + len(answer) - len(answer.lstrip())
        assert example.label == ((answer.strip(), begin),)
        (window,) = task.encode(task.splits["train"], tokenizer, max_length=256)
        first, last = window.label
        assert context[window.offsets[first][0] : window.offsets[last][1]] == answer.strip()
    blank = question(answer="  ", start=0)
    with pytest.raises(DataError, match=r"question q1: 'answers' is .*; accepted: a list such as"):
        read_task("squad", write(tmp_path, article(blank, context="  a")))


def test_an_unanswerable_question_has_no_answer_whatever_is_plausible(tmp_path):
    hidden = question(is_impossible=True)
    (example,) = read_task("squad-v2", write(tmp_path, article(hidden))).splits["train"].examples
    assert example.label == ()


def test_a_test_set_lacks_all_answers_or_none(tmp_path):
    shown, hidden = question("q2"), question() | {"answers": None}
    data = write(tmp_path, article(hidden), name="test.json")
    assert not read_task("squad", data).splits["test"].is_labelled
    write(tmp_path, article(hidden, shown), name="test.json")
    message = r"question q1: 'answers' is missing, and so in 1 of the 2 questions of test; give"
    with pytest.raises(DataError, match=message):
        read_task("squad", data)


@pytest.mark.parametrize("answer", [{"answer": None}, {"start": 20}])
def test_answers_of_transfer_questions_are_not_looked_at(tmp_path, answer):
    write(tmp_path, article(question()))
    data = write(tmp_path, article(question(**answer)), name="transfer.json")
    (example,) = read_task("squad", data).splits["transfer"].examples
    assert example.label is None


# ---- windows

WORDS = [f"w{i}" for i in range(80)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece([" ".join(WORDS), "where is what"], vocab_size=400, min_frequency=1)


@settings(max_examples=40)
@given(place=st.integers(0, 79), length=st.integers(1, 3), stride=st.integers(0, 8))
def test_an_answer_anywhere_is_found_by_the_window_that_holds_it(
    tmp_path_factory, tokenizer, place, length, stride
):
    context = " ".join(WORDS)
    answer = " ".join(WORDS[place : place + length])
    start = len(" ".join(WORDS[:place])) + (place > 0)
    rows = article(question(answer=answer, start=start), context=context)
    options = {"stride": stride, "max_question_tokens": 4}
    task = read_task("squad", write(tmp_path_factory.mktemp("qa"), rows), options=options)
    split = task.splits["train"]
    encoded = task.encode(split, tokenizer, max_length=24)
    assert len(encoded) > 1
    assert all(len(window.input_ids) <= 24 for window in encoded)
    random.seed(place)
    logits = []
    for window in encoded:
        scores = torch.rand(2, len(window.input_ids))
        if window.label != (0, 0):
            begin, end = window.label
            text = context[window.offsets[begin][0] : window.offsets[end][1]]
            assert text == answer
            scores[0, begin] += 9
            scores[1, end] += 9
        logits.append(scores)
    (record,) = task.predict(split, encoded, logits)
    held = any(window.label != (0, 0) for window in encoded)
    assert held or length > 1
    if held:
        assert record["prediction"] == context[record["start"] : record["end"]] == answer
        assert (record["exact_match"], record["f1"]) == (1.0, 1.0)


def test_no_answer_where_the_first_token_is_ahead_by_the_threshold(tmp_path, tokenizer):
    data = write(tmp_path, article(question(answer=None), context="w1 w2"))
    for threshold, prediction in ((1.9, ""), (2.1, "w2")):
        options = {"null_threshold": threshold, "stride": 0, "max_question_tokens": 4}
        task = read_task("squad-v2", data, options=options)
        split = task.splits["train"]
        encoded = task.encode(split, tokenizer, max_length=32)
        scores = torch.zeros(2, len(encoded[0].input_ids))
        scores[:, 0], scores[0, -2] = 2.0, 2.0  # "no answer" scores 4, the best span 2
        (record,) = task.predict(split, encoded, [scores])
        assert record["prediction"] == prediction
        assert task.submission(split, [record]) == ("answers.json", f'{{\n"q1": "{prediction}"\n}}')
        assert record["null_score_difference"] == pytest.approx(2.0)
        found = task.score(split, [record])
        assert found["no_answer_f1"] == float(prediction == "")
        assert found["best_f1"] == found["best_exact_match"] == 1.0


def test_windows_that_overlap_are_joined_by_their_best_and_by_the_least_sure_of_no_answer(
    tmp_path, tokenizer
):
    data = write(tmp_path, article(question(answer=None), context=" ".join(WORDS[:24])))
    options = {"stride": 8, "max_question_tokens": 4}
    task = read_task("squad-v2", data, options=options)
    split = task.splits["train"]
    encoded = task.encode(split, tokenizer, max_length=24)
    shared = encoded[1].offsets[encoded[1].first]
    logits = []
    for window, sure, nothing in zip(encoded, (6.0, 2.0, 0.0), (3.0, 1.0, 2.0), strict=False):
        scores = torch.zeros(2, len(window.input_ids))
        if shared in window.offsets[window.first :]:
            scores[:, window.offsets.index(shared, window.first)] = sure
        scores[:, 0] = nothing
        logits.append(scores)
    assert len(logits) == len(encoded) >= 2
    (record,) = task.predict(split, encoded, logits)
    assert (record["start"], record["end"]) == tuple(shared)
    assert record["score"] == 12.0
    assert record["null_score_difference"] == 2.0 - 12.0


def test_the_loss_is_the_mean_of_start_and_end(tmp_path, tokenizer):
    context = "w1 w2 w3"
    rows = article(question(answer="w2", start=3), context=context)
    task = read_task(
        "squad", write(tmp_path, rows), options={"stride": 2, "max_question_tokens": 4}
    )
    encoded = task.encode(task.splits["train"], tokenizer, max_length=32)
    batch = collate(task, encoded, [0], pad_token_id=tokenizer.pad_token_id)
    logits = torch.randn(1, 2, len(encoded[0].input_ids), dtype=torch.float64)
    begin, end = encoded[0].label
    start_loss, end_loss = -logits[0].log_softmax(-1)[[0, 1], [begin, end]]
    torch.testing.assert_close(task.loss_sum(logits, batch), (start_loss + end_loss) / 2)


def test_windows_without_room_are_refused(tmp_path, tokenizer):
    task = read_task("squad", write(tmp_path, article(question())))
    with pytest.raises(SettingsError, match=r"max_length = 128 has no room .* give at least 196"):
        task.encode(task.splits["train"], tokenizer, max_length=128)


def test_a_long_question_is_cut(tmp_path, tokenizer):
    long = question(question=" ".join(WORDS))
    task = read_task(
        "squad",
        write(tmp_path, article(long)),
        options={"stride": 2, "max_question_tokens": 5},
    )
    (window, *_) = task.encode(task.splits["train"], tokenizer, max_length=64)
    assert window.first == 5 + 2


def test_a_tiny_model_learns_where_the_number_stands(tmp_path):
    random.seed(0)
    words = ["rain", "men", "film", "story", "seen"]

    def make(count, offset):
        rows = []
        for i in range(count):
            content = random.choices(words, k=6)
            content[random.randrange(6)] = "seven"
            context = " ".join(content)
            rows.append(
                question(f"{offset + i}", "seven", context.index("seven")) | {"context": context}
            )
        return rows

    for name, count, offset in (("train", 96, 0), ("validation", 24, 1000)):
        lines = "".join(json.dumps(row) + "\n" for row in make(count, offset))
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    tokenizer = train_wordpiece([*words, "seven Where was Anna?"], vocab_size=100, min_frequency=1)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    values = {
        "model": str(tmp_path / "model"),
        "data": str(tmp_path),
        "out": str(tmp_path / "run"),
        "task": "squad",
        "task_options": {"stride": 2, "max_question_tokens": 8},
        "max_length": 32,
        "epochs": 6,
        "batch_size": 8,
        "learning_rate": 3e-3,
    }
    result = finetune.run(finetune.FinetuneSettings.from_values(values), progress=SilentProgress())
    assert result.metric == "f1"
    assert result.seeds[0].scores["validation"]["exact_match"] > 0.9
