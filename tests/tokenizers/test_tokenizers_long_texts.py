"""Long texts: what is not read changes no token."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from limbeck.errors import DataError, SettingsError
from limbeck.tasks._texts import TextEncoding, TextExample
from limbeck.tokenizers import Tokenizer, train_wordpiece
from limbeck.tokenizers import long_texts as module
from limbeck.tokenizers.backend import copy_pipeline
from limbeck.tokenizers.long_texts import cut_into_pieces, find_cuts, leave_out_unread

# Whatever could carry something over a blank: marks that combine, control characters, special
# tokens and parts of them, words over the model's limit, ideographs, many kinds of blanks.
PARTS = ["was", "Élan", "e\u0301", "\u0301", "東京", "中\u3099", "한", "[MASK]", "[MA", "SK]"]
PARTS += ["##s", "x" * 120, ".", "...", "\x00", "\ufffd", "\u200d", "İ", "Σ", "ß", "\U0001f600"]
PARTS += [" ", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u0085", "\u2028", "\u3000"]
texts = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)

MADE = {
    lowercase: train_wordpiece(
        ["was elan 東京 한 x . e s"], vocab_size=200, min_frequency=1, lowercase=lowercase
    )
    for lowercase in (True, False)
}


def read_whole(tokenizer):
    """Returns the same tokenizer, knowing no place to cut at."""
    same = Tokenizer(copy_pipeline(tokenizer._backend), tokenizer.config)
    same.__dict__["_cuts"] = None
    return same


def of_pairs(tokenizer, *pairs, **options):
    try:
        return tokenizer(*pairs, **options)
    except DataError as error:  # of a text that leaves no room for the other
        return str(error)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 3)
    monkeypatch.setattr(module, "_CHARACTERS_A_TOKEN", 1)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("lowercase", [True, False])
def test_tokens_are_those_of_the_whole_texts(lowercase):
    tokenizer = MADE[lowercase]
    whole = read_whole(tokenizer)

    @settings(max_examples=150, deadline=None)
    @given(
        given_texts=st.lists(texts, min_size=1, max_size=3),
        seconds=st.lists(texts, min_size=3, max_size=3),
        max_length=st.integers(5, 14),
        strategy=st.sampled_from(["longest_first", "only_first", "only_second"]),
    )
    def check(given_texts, seconds, max_length, strategy):
        options = {"max_length": max_length, "return_offsets_mapping": True, "padding": True}
        single = "longest_first" if strategy == "only_second" else strategy
        assert tokenizer(given_texts, truncation=single, **options) == whole(
            given_texts, truncation=single, **options
        )
        pairs = (given_texts, seconds[: len(given_texts)])
        options["truncation"] = strategy
        assert of_pairs(tokenizer, *pairs, **options) == of_pairs(whole, *pairs, **options)
        ids, expected_ids = (
            [row.tolist() for row in t.encode_batch_ids(given_texts, add_special_tokens=False)]
            for t in (tokenizer, whole)
        )
        assert ids == expected_ids
        examples = [TextExample(text, None, 0) for text in given_texts]
        for long_texts in ("head_tail", "windows"):
            encoding = TextEncoding(long_texts, 1)
            assert list(encoding.encode(examples, tokenizer, max_length=max_length)) == list(
                encoding.encode(examples, whole, max_length=max_length)
            )

    check()


def test_no_more_is_read_than_the_kept_tokens_need():
    cuts = find_cuts(MADE[True]._backend)
    asked = []

    def count(found):
        asked.extend(found)
        return [len(text.split()) for text in found]

    text = "was it " * 100_000
    (short,) = leave_out_unread([text], num_tokens=30, cuts=cuts, count=count)
    assert text.startswith(short)
    assert len(short) < 1_000
    (ends,) = leave_out_unread([text], num_tokens=30, cuts=cuts, count=count, with_end=True)
    assert len(ends) < 2_000
    assert sum(map(len, asked)) < 5_000
    assert max(map(len, cut_into_pieces(text, cuts))) < 2**19


def added(content, **options):
    backend = copy_pipeline(MADE[True]._backend)
    backend.add_tokens([AddedToken(content, **options)])
    return backend


def byte_level():
    backend = Backend(MADE[True]._backend.model)
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    return backend


@pytest.mark.parametrize(
    "backend",
    [added("New York"), added("東京"), added("東", normalized=False), byte_level()],
    ids=["blank", "ideographs", "ideograph", "byte level"],
)
def test_where_a_cut_might_change_tokens_none_is_made(backend):
    assert find_cuts(backend) is None


def test_a_token_that_stands_alone_is_not_cut_free():
    cuts = find_cuts(added("was", single_word=True))
    assert cuts is not None
    assert not cuts.search("was東京")
    assert cuts.search("was 東京")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_length": 3, "stride": 2, "add_special_tokens": False},
            r"stride=2 is too long for max_length=3: .* 2 special tokens .* at least 5",
        ),
        (
            {"max_length": 5, "stride": 3},
            r"stride=3 must be smaller than the 3 tokens .* a stride of at most 2",
        ),
        ({"max_length": 1}, r"max_length=1 leaves no room .* 2 special tokens; .* at least 3"),
    ],
)
def test_windows_that_the_library_gives_up_on_are_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        MADE[True](["was was was"], truncation=True, return_overflowing_tokens=True, **options)


@pytest.mark.parametrize(("length", "framed"), [(4, True), (1, False)])
def test_windows_of_a_pair_need_a_token_of_each(length, framed):
    pair = (["was was was"], ["x x x x x x"])
    options = {"truncation": True, "return_overflowing_tokens": True, "add_special_tokens": framed}
    message = rf"max_length={length} has room for one token .* must be at least {length + 1}"
    with pytest.raises(SettingsError, match=message):
        MADE[True](*pair, max_length=length, **options)
    windows = MADE[True](*pair, max_length=length + 1, **options)["input_ids"]
    assert {len(row) for row in windows} <= {length, length + 1}


def test_what_has_to_be_read_whole_has_a_limit(monkeypatch):
    monkeypatch.setenv("LIMBECK_MAX_TEXT_CHARACTERS", "50")
    tokenizer = MADE[True]
    message = (
        r"^text 1 has 66 characters, which have to be read at once; accepted: at most 50 "
        r"\(LIMBECK_MAX_TEXT_CHARACTERS=NUMBER in the environment allows more\) characters"
    )
    windows = {"truncation": True, "max_length": 5, "return_overflowing_tokens": True}
    for text in ("was it" * 11, "was it " * 9 + "xxx"):
        with pytest.raises(DataError, match=message):
            tokenizer(["a", text], **windows)
        with pytest.raises(DataError, match=message):
            read_whole(tokenizer).encode_batch_ids(["a", text], add_special_tokens=False)
    with pytest.raises(DataError, match="text 0 has 52 characters"):
        tokenizer([["w" * 26] * 2], is_split_into_words=True, **windows)
    monkeypatch.setattr(module, "_CHARACTERS_A_TOKEN", 1)
    assert len(tokenizer(["was it " * 90], truncation=True, max_length=5)["input_ids"][0]) == 5


PANIC = """
from tokenizers import Tokenizer as Backend
from limbeck.errors import DataError
from limbeck.tokenizers import train_wordpiece
from limbeck.tokenizers.backend import copy_pipeline
from limbeck.tokenizers.texts import encode_batch, encode_ids

backend = copy_pipeline(train_wordpiece(["a b c"], vocab_size=40, min_frequency=1)._backend)
backend.enable_truncation(5, stride=3)  # as long as the room: a panic once a text is cut
for encode in (encode_batch, encode_ids):
    try:
        encode(backend, ["a", "b", "a b c a"], add_special_tokens=True)
    except DataError as error:
        print(error)
"""


def test_a_panic_of_the_library_is_an_error_that_names_the_text():
    done = subprocess.run([sys.executable, "-c", PANIC], capture_output=True, text=True, check=True)
    message = (
        "text 2 is 'a b c a' (str), on which the tokenizers library gave up: `stride` must be "
        "strictly less than `max_len=3`"
    )
    assert done.stdout.count(message) == 2
