"""The same ids, types, masks and offsets as `transformers` for the same folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tokenizer_cases import KINDS, TEXTS

from limbeck.errors import DataError
from limbeck.tokenizers import Tokenizer

Pair = tuple[Tokenizer, Any]

# Characters that the parts of BERT's pipeline treat specially, and everything else.
characters = st.one_of(
    st.sampled_from(" \t\n\u00a0\u0000\ufffd\u00ad\u200d#[]'-_İıßſﬁéÉe\u0301我東ア가１Ａ😀👍🏽"),
    st.sampled_from("abcdeABCDE"),
    st.characters(exclude_categories=["Cs"]),
)
pieces = st.one_of(
    st.text(characters, max_size=12), st.sampled_from(["[MASK]", "[SEP]", "##a", "<e1>", "a" * 101])
)
texts = st.lists(pieces, max_size=6).map("".join)
relaxed = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_same(pair: Pair, *args: Any, **options: Any) -> None:
    ours, theirs = pair
    options.setdefault("return_offsets_mapping", True)
    expected, result = theirs(*args, **options), ours(*args, **options)
    assert sorted(result) == sorted(expected)
    for name in result:
        assert result[name] == expected[name], name


@pytest.mark.parametrize("kind", KINDS)
def test_nasty_strings_give_the_same_ids(kind: str, tokenizers_of: dict[str, Pair]) -> None:
    pair = tokenizers_of[kind]
    strings = list(TEXTS.values())
    for text in strings:
        assert_same(pair, text)
        assert pair[0].tokenize(text) == pair[1].tokenize(text)
    assert_same(pair, strings)
    assert_same(pair, strings, add_special_tokens=False)
    assert_same(pair, strings, strings[::-1])
    assert_same(pair, strings, strings[::-1], add_special_tokens=False)
    fast = pair[0].encode_batch_ids(strings, add_special_tokens=True)
    assert [row.tolist() for row in fast] == pair[1](strings)["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
@relaxed
@given(first=texts, second=texts)
def test_generated_texts_give_the_same_ids(
    kind: str, tokenizers_of: dict[str, Pair], first: str, second: str
) -> None:
    pair = tokenizers_of[kind]
    assert_same(pair, first)
    assert_same(pair, [first, second])
    assert_same(pair, [first, second], [second, first])


@pytest.mark.parametrize("padding", [False, True, "longest", "max_length"])
@pytest.mark.parametrize("max_length", [4, 9, 32])
@pytest.mark.parametrize("kind", ["uncased", "left", "distilbert"])
def test_truncation_and_padding_of_texts(
    kind: str, max_length: int, padding: bool | str, tokenizers_of: dict[str, Pair]
) -> None:
    options = {"padding": padding, "truncation": True, "max_length": max_length}
    pair, strings = tokenizers_of[kind], list(TEXTS.values())
    assert_same(pair, strings, **options)
    assert_same(pair, strings, **options | {"truncation": "only_first"})
    assert_same(pair, strings, **options, add_special_tokens=False)
    windows = options | {"return_overflowing_tokens": True}
    assert_same(pair, strings, **windows)
    assert_same(pair, strings, **windows, stride=1)
    assert_same(pair, strings[5], **windows, stride=1)


@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
@pytest.mark.parametrize("kind", ["uncased", "left", "distilbert"])
def test_truncation_of_pairs(kind: str, strategy: str, tokenizers_of: dict[str, Pair]) -> None:
    pair = tokenizers_of[kind]
    whole, cut = ["a cat", "", "who?", "b"], list(TEXTS.values())[5:9]
    first, second = (cut, whole) if strategy != "only_second" else (whole, cut)
    for max_length in (12, 20, 60):
        options = {"truncation": strategy, "max_length": max_length, "padding": True}
        assert_same(pair, first, second, **options)
        assert_same(pair, first, second, **options, return_overflowing_tokens=True)
        if strategy != "longest_first":
            assert_same(pair, first, second, **options, return_overflowing_tokens=True, stride=2)
    both = list(TEXTS.values())
    for max_length in (4, 5, 17):
        assert_same(pair, both, both[::-1], truncation=True, max_length=max_length)


@relaxed
@given(
    first=texts,
    second=texts.filter(bool),
    room=st.integers(1, 12),
    stride=st.integers(0, 4),
    strategy=st.sampled_from(["longest_first", "only_first", "only_second"]),
    side=st.sampled_from(["uncased", "left"]),
)
def test_any_pair_is_cut_as_by_the_oracle_or_refused(
    tokenizers_of: dict[str, Pair],
    first: str,
    second: str,
    room: int,
    stride: int,
    strategy: str,
    side: str,
) -> None:
    # With room for one token the library makes a window as long as the text: we refuse that.
    assume(room > 1 or strategy != "longest_first")
    ours, theirs = tokenizers_of[side]
    options: dict[str, Any] = {
        "truncation": strategy,
        "max_length": room + 3,
        "stride": min(stride, room - 1),
        "return_overflowing_tokens": True,
    }
    try:
        result = ours([first], [second], **options)
    except DataError:
        # What we refuse makes the oracle fail too, by a bare Exception or by a panic.
        with pytest.raises(BaseException, match=r"stride|too short"):
            theirs([first], [second], **options)
        return
    assert dict(result) == dict(theirs([first], [second], **options))


@pytest.mark.parametrize("multiple", [1, 8, 64])
def test_padding_to_a_multiple(multiple: int, tokenizers_of: dict[str, Pair]) -> None:
    strings = list(TEXTS.values())
    for kind in ("uncased", "left"):
        pair = tokenizers_of[kind]
        assert_same(pair, strings, padding=True, pad_to_multiple_of=multiple)
        assert_same(pair, strings, padding="max_length", max_length=50, pad_to_multiple_of=multiple)
        assert_same(
            pair,
            strings,
            strings,
            padding=True,
            truncation=True,
            max_length=64,
            pad_to_multiple_of=multiple,
        )


def test_model_max_length_is_the_limit_where_none_is_given(tokenizers_of: dict[str, Pair]) -> None:
    pair = tokenizers_of["cased"]
    assert pair[0].model_max_length == 64
    assert_same(pair, list(TEXTS.values()), truncation=True, padding="max_length")
    assert pair[0]("a " * 100, truncation=True, return_tensors="np")["input_ids"].shape == (1, 64)


def test_words_give_the_same_ids(tokenizers_of: dict[str, Pair]) -> None:
    rows = [text.split() for text in TEXTS.values() if text.split()]
    for kind in ("uncased", "cased"):
        ours, theirs = tokenizers_of[kind]
        result = ours(rows, is_split_into_words=True)
        expected = theirs(rows, is_split_into_words=True)
        assert dict(result) == dict(expected)
        assert [result.word_ids(i) for i in range(len(rows))] == [
            expected.word_ids(i) for i in range(len(rows))
        ]
        assert dict(ours(rows[0], is_split_into_words=True)) == dict(
            theirs(rows[0], is_split_into_words=True)
        )


@pytest.mark.parametrize("kind", ["np", "pt"])
def test_tensors(kind: str, tokenizers_of: dict[str, Pair]) -> None:
    ours, theirs = tokenizers_of["uncased"]
    strings = list(TEXTS.values())
    options: dict[str, Any] = {
        "padding": True,
        "truncation": True,
        "max_length": 16,
        "return_overflowing_tokens": True,
        "return_offsets_mapping": True,
        "return_tensors": kind,
    }
    result, expected = ours(strings, **options), theirs(strings, **options)
    assert sorted(result) == sorted(expected)
    for name in result:
        assert np.array_equal(np.asarray(result[name]), np.asarray(expected[name])), name
        assert result[name].dtype == expected[name].dtype
    one = ours("hello", return_tensors=kind)
    assert one["input_ids"].shape == theirs("hello", return_tensors=kind)["input_ids"].shape


@pytest.mark.parametrize("kind", KINDS)
def test_decoding(kind: str, tokenizers_of: dict[str, Pair]) -> None:
    ours, theirs = tokenizers_of[kind]
    for text in TEXTS.values():
        ids = ours(text)["input_ids"]
        for skip in (False, True):
            assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(
                ids, skip_special_tokens=skip
            )
        assert ours.convert_ids_to_tokens(ids) == theirs.convert_ids_to_tokens(ids)
    rows = ours(["hello there", "don't ."])["input_ids"]
    assert ours.batch_decode(rows) == theirs.batch_decode(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_and_sizes(kind: str, tokenizers_of: dict[str, Pair]) -> None:
    ours, theirs = tokenizers_of[kind]
    for role in ("pad", "cls", "sep", "mask", "unk"):
        assert getattr(ours, f"{role}_token_id") == getattr(theirs, f"{role}_token_id")
    assert ours.all_special_ids == sorted(theirs.all_special_ids)
    assert len(ours) == ours.vocab_size == len(theirs)
    assert ours.model_max_length == theirs.model_max_length
    assert ours.get_vocab() == theirs.get_vocab()


def test_an_empty_second_text_is_a_pair_alone_as_in_a_batch(
    tokenizers_of: dict[str, Pair],
) -> None:
    """A known difference: `transformers` drops it outside a batch, and keeps it inside."""
    ours, theirs = tokenizers_of["uncased"]
    assert ours("a", "")["input_ids"] == ours(["a"], [""])["input_ids"][0]
    assert ours(["a"], [""])["input_ids"] == theirs(["a"], [""])["input_ids"]
    assert theirs("a", "")["input_ids"] == theirs("a")["input_ids"]
