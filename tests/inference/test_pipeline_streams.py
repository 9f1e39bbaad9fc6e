"""Inputs of any number: in order, as they come, in bounded memory, bad ones by their number."""

from __future__ import annotations

import logging
import threading
from itertools import count, islice

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_models import TEXTS, write_model
from transformers.pipelines.pt_utils import KeyDataset

from limbeck.errors import DataError, SettingsError
from limbeck.inference import pipeline
from limbeck.inference._stream import Steps, run_stream
from limbeck.models import AutoModelForQuestionAnswering, AutoModelForTokenClassification


def _check(number, value):
    if value < 0:
        raise SettingsError(f"input {number} is {value}; accepted: numbers from 0")
    return value


def _encode(values):
    for value in values:
        if value % 7 == 6:
            raise DataError(f"{value} has no tokens")
    return [str(value) for value in values]


STEPS = Steps(_check, _encode, lambda values, encoded: zip(values, encoded, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def classify(folder):
    return pipeline("text-classification", folder)


@settings(max_examples=50)
@given(st.lists(st.integers(-1, 20), max_size=150), st.sampled_from([None, 1, 4]))
def test_each_input_has_its_result_and_bad_ones_have_none(values, batch_size):
    found = list(run_stream(values, STEPS, batch_size=batch_size, on_error="skip"))
    assert found == [None if v < 0 or v % 7 == 6 else (v, str(v)) for v in values]


@settings(max_examples=50)
@given(st.integers(0, 200), st.sampled_from([-1, 6]), st.sampled_from([None, 1]))
def test_an_error_says_which_input_it_is_about(place, bad, batch_size):
    values = [*[1] * place, bad, *[1] * 20]
    with pytest.raises((SettingsError, DataError), match=f"input {place}") as caught:
        list(run_stream(values, STEPS, batch_size=batch_size))
    assert caught.value.input_number == place


def test_an_error_that_is_about_no_input_is_raised_as_it_is():
    def encode(values):
        if len(values) > 1:
            raise DataError("the tokenizer is too small")
        return values

    steps = Steps(_check, encode, lambda values, _: values)
    with pytest.raises(DataError, match=r"^the tokenizer is too small$"):
        list(run_stream([1, 2], steps, batch_size=None, on_error="skip"))


def test_a_stream_without_end_is_read_two_windows_ahead_at_most(classify):
    taken = count()
    endless = (TEXTS[next(taken) % len(TEXTS)] for _ in count())
    found = list(islice(classify(endless), 700))
    assert next(taken) < 700 + 3 * 1024
    labels = [answer["label"] for answer in classify(TEXTS)]
    assert [answer["label"] for answer in found] == labels * 175


def test_with_batch_size_1_each_is_answered_before_the_next_is_read(classify):
    taken = []
    answers = classify((taken.append(text) or text for text in TEXTS), batch_size=1)
    for number, answer in enumerate(answers, start=1):
        assert len(taken) == number
        assert answer == classify(TEXTS[number - 1])[0]


def test_texts_of_a_window_have_so_many_characters_at_most():
    windows = []
    steps = Steps(lambda _, value: value, lambda values: windows.append(len(values)) or values, zip)
    list(run_stream(["a" * 2**17] * 9, steps, batch_size=None))
    assert windows == [2, 2, 2, 2, 1]


def test_tokens_are_made_in_a_thread_that_ends_with_the_stream():
    threads = set()
    steps = Steps(
        lambda _, value: value,
        lambda values: threads.add(threading.current_thread()) or values,
        zip,
    )
    stream = run_stream(count(), steps, batch_size=None)
    list(islice(stream, 100))
    stream.close()
    started = threads - {threading.current_thread()}
    assert len(started) == 1
    assert not any(thread.is_alive() for thread in started)
    threads.clear()
    list(run_stream([1], steps, batch_size=None))
    assert threads == {threading.current_thread()}


def test_data_sets_are_streams(classify):
    rows = datasets.Dataset.from_dict({"text": TEXTS})
    for stream in (KeyDataset(rows, "text"), rows["text"], rows.to_iterable_dataset()):
        answers = classify(stream)
        assert iter(answers) is answers
        assert list(answers) == classify(TEXTS)


@pytest.mark.parametrize(
    ("auto_model", "task", "bad", "options"),
    [
        (None, "text-classification", None, {}),
        (None, "text-classification", "half \ud83d", {}),
        (AutoModelForTokenClassification, "token-classification", 3.5, {}),
        (AutoModelForQuestionAnswering, "question-answering", "", {"question": "good?"}),
    ],
)
def test_a_bad_input_is_named_and_skipped_when_asked(
    auto_model, task, bad, options, tmp_path, caplog
):
    made = {} if auto_model is None else {"auto_model": auto_model}
    labels = ("start", "end") if options else ("O", "PER")
    run = pipeline(task, write_model(tmp_path, labels=labels, **made))
    inputs = [*TEXTS[:2], bad, *TEXTS[2:]]
    key = "context" if options else "inputs"
    with pytest.raises(DataError, match=r"^input 2"):
        run(**{key: inputs}, **options)
    with caplog.at_level(logging.WARNING, logger="limbeck"):
        found = run(**{key: inputs}, on_error="skip", **options)
    good = run(**{key: TEXTS}, **options)
    assert found == [*good[:2], None, *good[2:]]
    assert "skipped: input 2" in caplog.text
    assert "1 of 5 inputs were skipped" in caplog.text
    with pytest.raises(
        SettingsError, match=r"on_error = 'skipp'; accepted: raise, skip, or a .*'skip'"
    ):
        run(**{key: TEXTS}, on_error="skipp", **options)
