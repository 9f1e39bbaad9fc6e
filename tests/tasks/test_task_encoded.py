"""Encoded examples in flat arrays: what was put in comes out, in few bytes a token."""

import gc
import tracemalloc
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.tasks import EncodedExamples, collate, read_task
from limbeck.tasks._columns import Nested, Numbers, Objects, Ragged, join, pack, share_starts
from limbeck.tasks._encoded import naming_examples, texts_at_a_time
from limbeck.tasks._texts import TextEncoding, TextExample
from limbeck.tokenizers import TextError, train_wordpiece

WORDS = [f"w{i}" for i in range(400)]

ids = st.lists(st.integers(-100, 70_000), max_size=6)
KINDS = {
    Numbers: st.one_of(
        st.lists(st.integers(-(2**40), 2**40), min_size=1),
        st.lists(st.floats(allow_nan=False), min_size=1),
    ),
    Ragged: st.one_of(st.lists(ids, min_size=1), st.lists(ids.map(tuple), min_size=1)),
    Nested: st.lists(st.lists(ids.filter(bool), min_size=1, max_size=4), min_size=1),
    Objects: st.lists(st.sampled_from([None, "a", "b"]), min_size=1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_gives_back_what_it_was_made_of(kind):
    @settings(max_examples=60)
    @given(data=st.data())
    def check(data):
        values = data.draw(KINDS[kind])
        column = pack(values)
        assert list(column) == values
        assert [type(value) for value in column] == [type(value) for value in values]
        assert column[-1] == values[-1]
        first, last = sorted(data.draw(st.tuples(*2 * [st.integers(0, len(values))])))
        part = column[first:last]
        assert list(part) == values[first:last]
        others = pack(data.draw(st.one_of(*KINDS.values())))
        for parts in ([column, part, column], [others, part, others], [part, others]):
            joined = join(parts)
            assert list(joined) == list(chain(*parts))
            assert list(joined[first:last]) == list(chain(*parts))[first:last]

    check()


@pytest.mark.parametrize("kind", [Ragged, Nested])
def test_rows_are_filled_up_to_the_longest(kind):
    rows = [[7, 8, 9], [1], [2, 3]] if kind is Ragged else [[[1], [2, 3]], [[4, 5, 6]], [[7], [8]]]
    column = pack(rows)
    assert isinstance(column, kind)
    part = column[1:]
    padded, lengths = part.pad([1, 0], fill=-1)
    if kind is Ragged:
        assert part.lengths.tolist() == [1, 2]
        assert padded.tolist() == [[2, 3], [1, -1]]
        assert lengths.tolist() == [2, 1]
    else:
        assert part.lengths.tolist() == [3, 1]
        assert padded.tolist() == [[[7, -1, -1], [8, -1, -1]], [[4, 5, 6], [-1, -1, -1]]]
        assert lengths.tolist() == [[1, 1], [3, 0]]
    assert padded.dtype == np.int64


def test_numbers_that_are_all_alike_take_no_room():
    column = join([pack([[0] * 5]), pack([[0] * 9])])
    assert isinstance(column, Ragged)
    assert column.values.strides == (0,)


def test_rows_of_the_same_lengths_have_their_places_once():
    columns = share_starts(
        {"a": pack([[1, 2], [3]]), "b": pack([[0, 0], [1]]), "c": pack([[4], [5]])}
    )
    assert columns["a"].starts is columns["b"].starts
    assert {name: list(column) for name, column in columns.items()} == {
        "a": [[1, 2], [3]],
        "b": [[0, 0], [1]],
        "c": [[4], [5]],
    }


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece([" ".join(WORDS)], vocab_size=2_000, min_frequency=1)


def text(length):
    return " ".join(WORDS[-length:])


CONTEXTS = [text(300), text(350)]
MOST_BYTES = {
    "text-classification": (3, [{"text": text(200), "label": i % 2} for i in range(80)]),
    "mrpc": (4, [{"sentence1": text(90), "sentence2": text(80), "label": 1}] * 80),
    "ner": (8, [{"tokens": WORDS[-200:], "ner_tags": ["O"] * 199 + ["B-X"]} for _ in range(80)]),
    "swag": (
        4,
        [{"sent1": text(90), "sent2": "so", "ending0": "a", "ending1": text(50), "label": 1}] * 80,
    ),
    "squad": (
        5,
        [
            {
                "id": str(i),
                "question": "w397 w398",
                "context": CONTEXTS[i % 2],
                "answers": [{"text": "w399", "answer_start": CONTEXTS[i % 2].index("w399")}],
            }
            for i in range(80)
        ],
    ),
}


@pytest.mark.parametrize("name", MOST_BYTES)
def test_a_token_takes_few_bytes(name, tokenizer):
    most, rows = MOST_BYTES[name]
    task = read_task(name, {"train": rows})
    task.encode(task.splits["train"], tokenizer, max_length=256)  # what is made once
    gc.collect()
    tracemalloc.start()
    encoded = task.encode(task.splits["train"], tokenizer, max_length=256)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    batch = collate(task, encoded, range(len(encoded)), pad_token_id=0)
    assert batch.num_tokens > 10_000
    assert kept / batch.num_tokens < most


@given(
    sizes=st.lists(st.integers(0, 2**18), max_size=20),
)
def test_texts_are_taken_in_parts_that_end_before_they_grow_large(sizes):
    parts = list(texts_at_a_time(sizes, num_characters=int))
    assert list(chain.from_iterable(part for _, part in parts)) == sizes
    for start, part in parts:
        assert list(sizes[start : start + len(part)]) == list(part)
        assert sum(part[:-1]) < 2**19


def test_rows_that_are_encoded_part_by_part_are_those_of_the_whole(tokenizer, monkeypatch):
    examples = [TextExample(text(n), None, n % 2) for n in (3, 70, 20, 200, 1)]
    for long_texts in ("truncate", "head_tail", "windows"):
        encoding = TextEncoding(long_texts, 2)
        whole = list(encoding.encode(examples, tokenizer, max_length=32))
        with monkeypatch.context() as patch:
            patch.setattr("limbeck.tasks._encoded._CHARACTERS_AT_A_TIME", 100)
            patch.setattr("limbeck.tasks._encoded._ROWS_AT_A_TIME", 2)
            assert list(encoding.encode(examples, tokenizer, max_length=32)) == whole
        assert isinstance(encoding.encode(examples, tokenizer, max_length=32), EncodedExamples)


def test_a_text_that_can_not_be_encoded_is_named_by_its_example():
    with pytest.raises(DataError, match=r"^example 17 is bad$"), naming_examples(15):
        raise TextError(2, "is bad")
    with pytest.raises(DataError, match=r"^example 16 is bad$"), naming_examples(15, [0, 0, 1, 1]):
        raise TextError(2, "is bad")
