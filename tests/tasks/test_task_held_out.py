"""Validation that is held out of the training split: whole texts, by the seed, and told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_examples import EXAMPLES

from limbeck import listing
from limbeck.errors import DataError, SettingsError
from limbeck.tasks import read_task

HALF = {"validation_ratio": 0.5}
ALONE = [name for name in listing.list_names("limbeck.tasks") if not EXAMPLES[name].beside]
"""Tasks whose splits are all of their data."""


def split(rows, name="text_classification", **options):
    task = read_task(name, {"train": rows}, options=options)
    return task, {which: part.examples for which, part in task.splits.items()}


@given(
    texts=st.lists(st.sampled_from(["a", "A ", "b", " b", "c", "d e", "d  E", "f"]), min_size=2),
    ratio=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_equal_texts_stay_together_and_nothing_is_lost(texts, ratio, seed):
    rows = [{"text": text, "label": i % 2, "n": i} for i, text in enumerate(texts)]
    keys = {" ".join(text.casefold().split()) for text in texts}
    options = {"validation_ratio": ratio, "validation_seed": seed, "labels": ["no", "yes"]}
    if len(keys) < 2:
        with pytest.raises(DataError, match=rf"all {len(rows)} rows have the same text"):
            split(rows, **options)
        return
    task, parts = split(rows, **options)
    found = {
        name: {" ".join(example.text.casefold().split()) for example in examples}
        for name, examples in parts.items()
    }
    assert found["train"] | found["validation"] == keys
    assert not found["train"] & found["validation"]
    assert all(found.values())
    assert sorted(e.text for examples in parts.values() for e in examples) == sorted(texts)
    assert task.num_held_out == len(parts["validation"])


def test_a_tenth_is_held_out_by_the_seed_whatever_the_order():
    rows = [{"text": f"text {i}", "label": i % 2} for i in range(200)]
    _, parts = split(rows, validation_ratio=0.1)
    assert {name: len(examples) for name, examples in parts.items()} == {
        "train": 180,
        "validation": 20,
    }
    chosen = {example.text for example in parts["validation"]}
    _, again = split(rows[::-1], validation_ratio=0.1)
    assert {example.text for example in again["validation"]} == chosen
    _, others = split(rows, validation_ratio=0.1, validation_seed=1)
    assert {example.text for example in others["validation"]} != chosen


def test_validation_that_is_there_is_taken():
    rows = [{"text": f"text {i}", "label": i % 2} for i in range(8)]
    task = read_task("text_classification", {"train": rows, "validation": rows[:2]}, options=HALF)
    sizes = {name: len(part.examples) for name, part in task.splits.items()}
    assert (sizes, task.num_held_out) == ({"train": 8, "validation": 2}, 0)
    only = read_task("sst2", {"test": [{"sentence": "a", "label": 1}]}, options=HALF)
    assert set(only.splits) == {"test"}


@pytest.mark.parametrize("name", ALONE)
def test_every_task_holds_out_from_one_file(name, tmp_path):
    data = EXAMPLES[name]
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in data.rows), encoding="utf-8")
    task = read_task(name, str(path), options={**data.options, **HALF})
    assert set(task.splits) == {"train", "validation"}
    assert task.num_held_out == len(task.splits["validation"].examples) > 0
    with pytest.raises(DataError, match=r"is a single file; .*task_options\.validation_ratio=0\.1"):
        read_task(name, str(path), options=data.options)


def test_questions_about_an_article_stay_together():
    def ask(number, title):
        answer = {"text": ["Rome"], "answer_start": [0]}
        row = {"id": str(number), "title": title, "context": f"Rome {number}", "question": "Where?"}
        return {**row, "answers": answer}

    rows = [ask(number, title) for number, title in enumerate("aabbccdd")]
    _, parts = split(rows, "squad", **HALF)
    titles = [{int(e.id) // 2 for e in examples} for examples in parts.values()]
    assert not titles[0] & titles[1]
    assert [len(found) for found in titles] == [2, 2]


def test_a_ratio_is_a_share():
    for ratio in (0, 1, -0.1, "ten"):
        with pytest.raises(SettingsError, match=r"task_options: validation_ratio = .* > 0 and < 1"):
            split([{"text": "a", "label": 1}], validation_ratio=ratio)
