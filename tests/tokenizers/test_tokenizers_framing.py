"""Tokenizers that frame texts in other ways than BERT, in every room that encodes.

The tokenizers are byte-level BPE with the frames of RoBERTa, of BERT, and of nobody; the oracle is
`transformers`' fast tokenizer over the same pipeline.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from limbeck.data import Corpus, CorpusSettings, MaskingSettings, build_corpus
from limbeck.data.masking import Masker
from limbeck.data.packing import PackedRows
from limbeck.data.philox import row_uniforms
from limbeck.errors import SettingsError
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.tasks import read_task
from limbeck.tasks.ner import NO_WORD
from limbeck.tokenizers import Tokenizer
from limbeck.tokenizers.config import TokenizerConfig
from limbeck.tokenizers.windows import cut_windows

TEXTS = [
    "The stills turn grain into spirit, and water into steam: slowly, slowly.",
    "Grain",
    "Naïve café owners resist 東京, and other words without blanks!",
    "A student learns what its teacher says of every masked word in a text.",
]
QUESTIONS = ["What turns grain into spirit?", "What?", "Who resists?", "What does a student learn?"]
SPECIAL = {
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
IDS = [(token, index) for index, token in enumerate([*SPECIAL.values(), "<en>"])]
BEGIN, END, LANGUAGE = ("<s>", 0), ("</s>", 2), ("<en>", 5)
FRAMES: dict[str, Any] = {
    "roberta": processors.RobertaProcessing(END, BEGIN, trim_offsets=True, add_prefix_space=True),
    "bert": processors.BertProcessing(END, BEGIN),
    "language": processors.TemplateProcessing(
        single="<s> <en> $A </s>",
        pair="<s> <en> $A </s> <en>:1 $B:1 </s>:1",
        special_tokens=[BEGIN, END, LANGUAGE],
    ),
}
# Special tokens before a text and after it, and how many a pair has.
EXPECTED = {
    "roberta": ([0], [2], 4),
    "bert": ([0], [2], 3),
    "language": ([0, 5], [2], 5),
}


def make_backend(frame: str) -> Backend:
    backend = Backend(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[token for token, _ in IDS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*TEXTS, *QUESTIONS], trainer)
    backend.post_processor = FRAMES[frame]
    return backend


@pytest.fixture(scope="module", params=FRAMES)
def frame(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(frame: str) -> Tokenizer:
    config = TokenizerConfig(tokenizer_class="PreTrainedTokenizerFast", special_tokens=SPECIAL)
    return Tokenizer(make_backend(frame), config)


@pytest.fixture(scope="module")
def oracle(frame: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(tokenizer_object=make_backend(frame), **SPECIAL)
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return made


def test_the_frame_is_the_post_processors(tokenizer: Tokenizer, frame: str) -> None:
    before, after, in_pair = EXPECTED[frame]
    assert (list(tokenizer.frame.before), list(tokenizer.frame.after)) == (before, after)
    assert tokenizer.num_special_tokens() == tokenizer.frame.num_tokens
    assert tokenizer.num_special_tokens(pair=True) == in_pair
    for text in (*TEXTS, ""):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        encoded = tokenizer(text)
        assert encoded["input_ids"] == tokenizer.frame.input_ids(ids)
        assert encoded["token_type_ids"] == tokenizer.frame.token_type_ids(ids)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": True},
        {"truncation": True, "max_length": 12, "padding": "max_length"},
        {"truncation": True, "max_length": 9},
        {
            "truncation": "only_first",
            "max_length": 20,
            "stride": 3,
            "return_overflowing_tokens": True,
        },
    ],
)
def test_texts_and_pairs_are_those_of_the_oracle(
    tokenizer: Tokenizer, oracle: Any, options: dict[str, Any]
) -> None:
    for arguments in ([TEXTS], [TEXTS, ["a"] * 4]):
        result = tokenizer(*arguments, return_offsets_mapping=True, **options)
        expected = oracle(*arguments, return_offsets_mapping=True, **options)
        assert dict(result) == {name: expected[name] for name in result}


def test_windows_are_those_of_the_oracle(tokenizer: Tokenizer, oracle: Any) -> None:
    windows = cut_windows(tokenizer, TEXTS, max_length=24, stride=4, questions=QUESTIONS)
    expected = oracle(
        QUESTIONS,
        TEXTS,
        truncation="only_second",
        max_length=24,
        stride=4,
        return_overflowing_tokens=True,
    )
    assert [window.encoding.ids for window in windows] == expected["input_ids"]
    assert [window.index for window in windows] == expected["overflow_to_sample_mapping"]
    for number, window in enumerate(windows):
        inside = [i for i, side in enumerate(expected.sequence_ids(number)) if side == 1]
        assert list(range(window.first, window.last + 1)) == inside
        whole = tokenizer(TEXTS[window.index], add_special_tokens=False)["input_ids"]
        text = window.encoding.ids[window.first : window.last + 1]
        assert text == whole[window.begin : window.begin + len(text)]


def test_rows_of_a_corpus_are_framed_and_special_tokens_never_masked(
    tokenizer: Tokenizer, tmp_path: Any
) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(TEXTS * 3), encoding="utf-8")
    settings = CorpusSettings(heldout_ratio=0.0)
    build_corpus([tmp_path / "a.txt"], tokenizer=tokenizer, out=tmp_path / "c", settings=settings)
    split = Corpus.open(tmp_path / "c").split("train")
    packed = PackedRows(split, tokenizer=tokenizer, sequence_length=20)
    rows = packed.read(np.arange(packed.num_rows))
    before, after = tokenizer.frame.before, tokenizer.frame.after
    stream = split.read(0, split.num_tokens).tolist()
    room = 20 - len(before) - len(after)
    texts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS * 3]
    assert stream == [token for ids in texts for token in [*ids, tokenizer.sep_token_id]]
    assert rows.tolist() == [
        [*before, *stream[i * room : (i + 1) * room], *after] for i in range(len(rows))
    ]
    documents, positions = packed.read_documents(np.arange(packed.num_rows))
    for row, numbers, places in zip(rows, documents, positions, strict=True):
        ends = np.flatnonzero(row[:-1] == tokenizer.sep_token_id) + 1
        begins = [0, *(end for end in ends if end < 20 - len(after))]
        assert np.flatnonzero(places == 0).tolist() == begins
        assert numbers.max() == len(begins) - 1
    masker = Masker(MaskingSettings(probability=0.9), tokenizer=tokenizer, token_counts=None)
    draws = row_uniforms(seed=0, epoch=0, first_row=0, num_rows=len(rows), num_draws=3 * 20)
    inputs, labels = masker.mask(rows, draws)
    special = np.isin(rows, tokenizer.all_special_ids)
    assert (labels[special] == IGNORE_INDEX).all()
    assert (inputs[special] == rows[special]).all()
    assert (labels != IGNORE_INDEX).sum() > 0.8 * (~special).sum()
    least = len(before) + len(after)
    with pytest.raises(SettingsError, match=rf"{least} leaves .* {least} special.*{least + 1}"):
        PackedRows(split, tokenizer=tokenizer, sequence_length=least)


def test_a_vocabulary_that_marks_no_words_has_none_to_mask() -> None:
    backend = make_backend("bert")
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = Tokenizer(backend, TokenizerConfig(special_tokens=SPECIAL))
    assert not tokenizer.continuation_mask.any()
    with pytest.raises(SettingsError, match="whole_word=true needs a vocabulary that marks where"):
        Masker(MaskingSettings(whole_word=True), tokenizer=tokenizer, token_counts=None)


@pytest.mark.parametrize("long_texts", ["truncate", "head_tail", "windows"])
def test_long_texts_are_framed(tokenizer: Tokenizer, long_texts: str) -> None:
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(TEXTS)]
    options = {"long_texts": long_texts, "stride": 4}
    task = read_task("text-classification", {"train": rows}, options=options)
    encoded = task.encode(task.splits["train"], tokenizer, max_length=16)
    before, after = list(tokenizer.frame.before), list(tokenizer.frame.after)
    for row in encoded:
        assert len(row.input_ids) <= 16
        assert row.input_ids[: len(before)] == before
        assert row.input_ids[-len(after) :] == after
        assert row.token_type_ids == [0] * len(row.input_ids)
    if long_texts == "windows":
        expected = tokenizer(
            TEXTS, truncation=True, max_length=16, stride=4, return_overflowing_tokens=True
        )
        assert [row.input_ids for row in encoded] == expected["input_ids"]


def test_answers_stand_where_the_windows_say(tokenizer: Tokenizer) -> None:
    answers = ["spirit", "Grain", "東京", "its teacher"]
    rows = [
        {
            "id": str(i),
            "question": QUESTIONS[i],
            "context": TEXTS[i],
            "answers": [{"text": answer, "answer_start": TEXTS[i].index(answer)}],
        }
        for i, answer in enumerate(answers)
    ]
    options = {"stride": 8, "max_question_tokens": 10}
    task = read_task("squad", {"train": rows}, options=options)
    windows = task.encode(task.splits["train"], tokenizer, max_length=32)
    found = set()
    for window in windows:
        start, end = window.label
        if (start, end) == (0, 0):
            continue
        assert window.first <= start <= end <= window.last
        place = slice(window.offsets[start][0], window.offsets[end][1])
        assert TEXTS[window.index][place].strip() == answers[window.index]
        found.add(window.index)
    assert found == {0, 1, 2, 3}


def test_tags_stand_at_the_first_piece_of_each_word(tokenizer: Tokenizer, oracle: Any) -> None:
    words = [text.split() for text in TEXTS]
    rows = [{"tokens": w, "ner_tags": ["B-A"] + ["O"] * (len(w) - 1)} for w in words]
    task = read_task("ner", {"train": rows}, options={"labels": ["O", "B-A"]})
    encoded = task.encode(task.splits["train"], tokenizer, max_length=12)
    expected = oracle(
        words,
        is_split_into_words=True,
        truncation=True,
        max_length=12,
        return_overflowing_tokens=True,
    )
    assert [row.input_ids for row in encoded] == expected["input_ids"]
    seen: dict[int, list[int]] = {}
    for number, row in enumerate(encoded):
        assert [word for word in row.words if word != NO_WORD] == sorted(
            set(expected.word_ids(number)) - {None} - set(seen.get(row.index, []))
        )
        seen.setdefault(row.index, []).extend(word for word in row.words if word != NO_WORD)
        labels = [label for label in row.label if label != IGNORE_INDEX]
        assert labels == [int(word == 0) for word in row.words if word != NO_WORD]
    assert seen == {i: list(range(len(w))) for i, w in enumerate(words)}


def test_choices_are_pairs_as_the_oracle_frames_them(tokenizer: Tokenizer, oracle: Any) -> None:
    rows = [
        {"sent1": text, "sent2": "It", "ending0": "rises.", "ending1": question, "label": 0}
        for text, question in zip(TEXTS, QUESTIONS, strict=True)
    ]
    task = read_task("swag", {"train": rows})
    encoded = task.encode(task.splits["train"], tokenizer, max_length=24)
    firsts = [row["sent1"] for row in rows for _ in range(2)]
    seconds = [f"It {row[name]}" for row in rows for name in ("ending0", "ending1")]
    expected = oracle(firsts, seconds, truncation="longest_first", max_length=24)
    assert [ids for row in encoded for ids in row.input_ids] == expected["input_ids"]
    types = [ids for row in encoded for ids in row.token_type_ids]
    assert types == expected["token_type_ids"]


def test_a_saved_pipeline_keeps_its_frame(tokenizer: Tokenizer, tmp_path: Any) -> None:
    tokenizer.save_pretrained(tmp_path)
    backend = Backend.from_file(str(tmp_path / "tokenizer.json"))
    values = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    again = Tokenizer(backend, dataclasses.replace(tokenizer.config))
    assert again.frame == tokenizer.frame
    assert again.fingerprint == tokenizer.fingerprint
    assert values["sep_token"] == "</s>"
