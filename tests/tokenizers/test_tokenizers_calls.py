"""What a call returns, and that calls do not disturb each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_cases import KINDS, TEXTS

from limbeck.errors import DataError, SettingsError
from limbeck.tokenizers import BatchEncoding, Tokenizer

STRINGS = list(TEXTS.values())


def test_concurrent_calls_with_different_options_are_right(folders: Any) -> None:
    tokenizer = Tokenizer.from_pretrained(folders["uncased"])
    calls: list[dict[str, Any]] = [{}]
    calls += [{"truncation": True, "max_length": n} for n in range(4, 24)]
    calls += [{"padding": "max_length", "max_length": n} for n in range(4, 24)]
    calls += [{"padding": True, "pad_to_multiple_of": n} for n in range(1, 9)]
    expected = [dict(Tokenizer.from_pretrained(folders["uncased"])(STRINGS, **c)) for c in calls]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            results = list(pool.map(lambda options: dict(tokenizer(STRINGS, **options)), calls))
            assert results == expected


def test_a_call_leaves_no_settings_behind(tokenizer: Tokenizer) -> None:
    before = dict(tokenizer(STRINGS))
    tokenizer(STRINGS, truncation=True, max_length=5, padding="max_length")
    with pytest.raises(ValueError, match="max_length"):
        tokenizer(STRINGS, truncation=True, max_length=1)
    assert dict(tokenizer(STRINGS)) == before
    assert tokenizer._backend.truncation is None
    assert tokenizer._backend.padding is None


def test_rows_are_those_of_a_call(tokenizer: Tokenizer) -> None:
    texts = [f"{text} a" for text in STRINGS]
    pairs: list[tuple[list[str] | None, Any]] = [(None, True), (["a"] * len(texts), "only_first")]
    for seconds, truncation in pairs:
        options: dict[str, Any] = {"truncation": truncation, "max_length": 9}
        rows = tokenizer.encode_rows(texts, seconds, **options)
        expected = tokenizer(texts, seconds, **options)
        assert [row.ids for row in rows] == expected["input_ids"]
        assert [row.type_ids for row in rows] == [row.type_ids for row in expected.encodings]
    with pytest.raises(DataError, match=r"texts\[1\] is 3 \(int\); every text must be a str"):
        tokenizer.encode_rows(["a", 3], max_length=9)  # type: ignore[list-item]
    with pytest.raises(SettingsError, match=r"truncation='only_second' needs text_pair"):
        tokenizer.encode_rows(["a"], max_length=9, truncation="only_second")


def test_many_different_options_do_not_pile_up(tokenizer: Tokenizer) -> None:
    for length in range(3, 203):
        row = tokenizer("a " * 300, truncation=True, max_length=length)["input_ids"]
        assert len(row) == length
    assert len(tokenizer._pipelines) <= 32


def test_the_way_back_to_the_text(tokenizer: Tokenizer) -> None:
    question, context = "who ?", "a quick brown fox"
    encoding = tokenizer(
        [question],
        [context],
        truncation="only_second",
        max_length=8,
        stride=1,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    assert encoding["overflow_to_sample_mapping"] == [0] * len(encoding["input_ids"])
    assert len(encoding["input_ids"]) > 1
    for row, offsets in enumerate(encoding["offset_mapping"]):
        sides, tokens = encoding.sequence_ids(row), encoding.tokens(row)
        assert tokens[0] == "[CLS]"
        for side, (start, end), token in zip(sides, offsets, tokens, strict=True):
            if side is None:
                assert (start, end) == (0, 0)
            else:
                assert (question, context)[side][start:end] == token.removeprefix("##")


def test_windows_cover_the_text_and_overlap_by_the_stride(tokenizer: Tokenizer) -> None:
    whole = tokenizer("a b c d e f g h i j k", add_special_tokens=False)["input_ids"]
    windows = tokenizer(
        "a b c d e f g h i j k",
        truncation=True,
        max_length=7,
        stride=2,
        return_overflowing_tokens=True,
    )["input_ids"]
    joined = windows[0][1:-1]
    for before, after in pairwise(windows):
        assert before[-3:-1] == after[1:3]
        joined += after[3:-1]
    assert joined == whole


def test_keys_and_devices(tokenizer: Tokenizer) -> None:
    encoding = tokenizer(["a", "b c"], padding=True, return_tensors="pt")
    assert list(encoding) == ["input_ids", "token_type_ids", "attention_mask"]
    assert (lambda **inputs: sorted(inputs))(**encoding) == sorted(encoding)
    moved = encoding.to("meta")
    assert isinstance(moved, BatchEncoding)
    assert moved.input_ids.device.type == "meta"
    assert encoding.input_ids.device.type == "cpu"
    assert encoding.input_ids.dtype == torch.int64


@pytest.mark.parametrize("kind", ["np", "pt"])
def test_empty_batches_and_texts(kind: Any, tokenizer: Tokenizer) -> None:
    assert tokenizer([])["input_ids"] == []
    assert tokenizer([], return_tensors=kind)["input_ids"].shape == (0, 0)
    assert tokenizer.encode_batch_ids([], add_special_tokens=True) == []
    options: dict[str, Any] = {"return_offsets_mapping": True, "return_overflowing_tokens": True}
    empty = tokenizer(["", " "], add_special_tokens=False, return_tensors=kind, **options)
    assert empty["input_ids"].shape == (2, 0)
    assert empty["offset_mapping"].shape == (2, 0, 2)
    assert empty["overflow_to_sample_mapping"].tolist() == [0, 1]
    assert tokenizer.decode([]) == ""


def test_other_sequences_of_texts(tokenizer: Tokenizer) -> None:
    expected = tokenizer(["a", "b c"])["input_ids"]
    assert tokenizer(("a", "b c"))["input_ids"] == expected
    assert tokenizer(np.array(["a", "b c"]))["input_ids"] == expected  # type: ignore[arg-type]
    rows = tokenizer.encode_batch_ids(("a", "b c"), add_special_tokens=True)
    assert [row.dtype for row in rows] == [np.int32, np.int32]
    assert [row.tolist() for row in rows] == expected
    for ids in (expected[1], np.array(expected[1]), torch.tensor(expected[1]), iter(expected[1])):
        assert tokenizer.decode(ids, skip_special_tokens=True) == "b c"


def test_the_continuation_mask(tokenizer: Tokenizer) -> None:
    mask = tokenizer.continuation_mask
    assert mask.shape == (tokenizer.vocab_size,)
    tokens = tokenizer.convert_ids_to_tokens(range(tokenizer.vocab_size))
    assert [t.startswith("##") and t != "##" for t in tokens] == mask.tolist()
    assert not mask[tokenizer.all_special_ids].any()
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = True


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_pieces_are_a_bijection(kind: str, folders: Any) -> None:
    tokenizer = Tokenizer.from_pretrained(folders[kind])
    ids = list(range(tokenizer.vocab_size))
    assert tokenizer.convert_tokens_to_ids(tokenizer.convert_ids_to_tokens(ids)) == ids
    assert tokenizer.convert_tokens_to_ids(["no such piece"]) == [tokenizer.unk_token_id]


@settings(max_examples=50)
@given(
    strings=st.lists(st.text(max_size=40), max_size=5),
    multiple=st.integers(1, 9),
    max_length=st.integers(4, 20),
)
def test_padding_changes_nothing_but_the_padding(
    tokenizer: Tokenizer, strings: list[str], multiple: int, max_length: int
) -> None:
    plain = tokenizer(strings, truncation=True, max_length=max_length)
    padded = tokenizer(
        strings,
        truncation=True,
        max_length=max_length - max_length % multiple or multiple * 3,
        padding=True,
        pad_to_multiple_of=multiple,
    )
    same = tokenizer(
        strings, truncation=True, max_length=max_length - max_length % multiple or multiple * 3
    )
    assert all(len(row) <= max_length for row in plain["input_ids"])
    widths = {len(row) for row in padded["input_ids"]}
    assert len(widths) <= 1
    assert all(width % multiple == 0 for width in widths)
    for row, mask, expected in zip(
        padded["input_ids"], padded["attention_mask"], same["input_ids"], strict=True
    ):
        assert row[: len(expected)] == expected
        assert set(row[len(expected) :]) <= {tokenizer.pad_token_id}
        assert mask == [1] * len(expected) + [0] * (len(row) - len(expected))


def test_habits_of_transformers(tokenizers_of: Any) -> None:
    for ours, theirs in tokenizers_of.values():
        for role in ("pad", "cls", "sep", "mask", "unk"):
            assert getattr(ours, f"{role}_token") == getattr(theirs, f"{role}_token")
        assert ours.convert_tokens_to_ids("[MASK]") == theirs.convert_tokens_to_ids("[MASK]")
        assert ours.convert_ids_to_tokens(5) == theirs.convert_ids_to_tokens(5)
        first, second = STRINGS[0], STRINGS[1]
        assert ours.encode(first) == theirs.encode(first)
        assert ours.encode(first, second, add_special_tokens=False) == (
            theirs.encode(first, second, add_special_tokens=False)
        )
        rows = [ours("a"), ours("a b c a b c")]
        expected = theirs.pad([theirs("a"), theirs("a b c a b c")])
        padded = ours.pad(rows)
        assert {name: padded[name] for name in expected} == dict(expected)
        assert ours.pad(rows, return_tensors="pt").input_ids.shape[0] == 2
        assert ours.pad(ours(["a", "a b c a b c"])) == padded
        wider = {"padding": True, "pad_to_multiple_of": 8}
        assert dict(ours.pad(rows, **wider)) == dict(theirs.pad(rows, **wider))
        bare = [{"input_ids": row["input_ids"]} for row in rows]  # as data sets keep them
        assert dict(ours.pad(bare)) == dict(theirs.pad(bare))


def test_what_can_not_be_padded_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="row 1 has no input_ids; it has: ids"):
        tokenizer.pad([tokenizer("a"), {"ids": [1]}])
    with pytest.raises(DataError, match="there is no row to pad"):
        tokenizer.pad([])
    rows = [tokenizer("a")]
    with pytest.raises(SettingsError, match=r"padding='max_length': .* accepted: True"):
        tokenizer.pad(rows, padding="max_length")
    with pytest.raises(SettingsError, match="pad_to_multiple_of is 0; accepted"):
        tokenizer.pad(rows, pad_to_multiple_of=0)
