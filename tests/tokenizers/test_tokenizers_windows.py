"""Windows of long texts: every token is there, and each knows which one it is."""

from dataclasses import replace

import pytest

from limbeck.errors import SettingsError
from limbeck.tokenizers import Tokenizer, train_wordpiece
from limbeck.tokenizers.backend import copy_pipeline
from limbeck.tokenizers.windows import cut_texts, cut_windows, require_room

TEXTS = [
    "the stills turn grain into spirit, and water into steam: slowly, slowly",
    "grain",
    "",
    "a short text",
]
QUESTIONS = ["what turns grain", "", "what is this", "a"]


@pytest.fixture(scope="module", params=["right", "left"])
def tokenizer(request):
    made = train_wordpiece(TEXTS, vocab_size=60, min_frequency=1)
    return Tokenizer(
        copy_pipeline(made._backend), replace(made.config, truncation_side=request.param)
    )


@pytest.mark.parametrize("questions", [None, QUESTIONS])
@pytest.mark.parametrize(("max_length", "stride"), [(16, 0), (16, 1), (16, 3), (64, 3), (12, 5)])
def test_every_token_of_a_text_stands_where_its_window_says(
    tokenizer, questions, max_length, stride
):
    questions = questions and cut_texts(tokenizer, questions, max_tokens=3)
    windows = cut_windows(
        tokenizer, TEXTS, max_length=max_length, stride=stride, questions=questions
    )
    assert sorted({window.index for window in windows}) == [0, 1, 2, 3]
    assert [window.index for window in windows] == sorted(window.index for window in windows)
    for index, text in enumerate(TEXTS):
        whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        found = {}
        for window in (w for w in windows if w.index == index):
            assert len(window.encoding) <= max_length
            for place in range(window.first, window.last + 1):
                token = window.encoding.ids[place], window.encoding.offsets[place]
                number = window.begin + place - window.first
                assert found.setdefault(number, token) == token
        expected = list(zip(whole["input_ids"], whole["offset_mapping"], strict=True))
        assert [found[number] for number in sorted(found)] == expected
        assert sorted(found) == list(range(len(expected)))


def test_no_texts_have_no_windows(tokenizer):
    assert cut_windows(tokenizer, [], max_length=8, stride=0) == []
    assert cut_windows(tokenizer, [], max_length=8, stride=0, questions=[]) == []


def test_a_question_is_cut_after_a_token(tokenizer):
    text = "what turns grain into spirit"
    (row,) = tokenizer([text], add_special_tokens=False).encodings
    for count in range(1, len(row) + 2):
        (cut,) = cut_texts(tokenizer, [text], max_tokens=count)
        assert text.startswith(cut)
        assert tokenizer.tokenize(cut) == row.tokens[:count]


def test_room_is_needed_for_the_text(tokenizer):
    names = ("questions", "strides")
    require_room(tokenizer, max_length=16, stride=4, max_question_tokens=8, names=names)
    with pytest.raises(
        SettingsError,
        match=r"max_length = 16 has no room for questions of 9 tokens and a stride of 4; give at "
        r"least 17 \(384 is usual\), or lower questions or strides",
    ):
        require_room(tokenizer, max_length=16, stride=4, max_question_tokens=9, names=names)
    with pytest.raises(SettingsError, match=r"stride=9 must be smaller than the 6 tokens"):
        cut_windows(tokenizer, TEXTS, max_length=8, stride=9)
