"""Tokens of two vocabularies laid side by side by the characters that they cover."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from limbeck.errors import SettingsError
from limbeck.tasks import BatchSpans, Spans, read_task, share_characters
from limbeck.tasks._spans import NOWHERE, RowSpans
from limbeck.tokenizers import train_wordpiece

WORDS = ["the", "film", "is", "wonderful", "dreadful", "rain", "in", "spain"]
COARSE = train_wordpiece(WORDS, vocab_size=200, min_frequency=1)
FINE = train_wordpiece(WORDS, vocab_size=36, min_frequency=1)
texts = st.lists(st.sampled_from([*WORDS, "w", "zz"]), min_size=1, max_size=8).map(" ".join)


def spans_of(tokenizer, text, pair=None):
    encoded = tokenizer([text], None if pair is None else [pair])
    lengths = [len(part) for part in (text, pair) if part is not None]
    return RowSpans.of(encoded.encodings[0], lengths, by_word=False)


def batch_of(tokenizer, *rows):
    return Spans.of(spans_of(tokenizer, *row) for row in rows).batch(range(len(rows)))


@given(texts, texts)
@settings(max_examples=40)
def test_one_tokenizer_gives_the_identity(text, pair):
    both = batch_of(COARSE, (text, pair))
    weights = share_characters(both, both)[0]
    torch.testing.assert_close(weights, torch.eye(len(weights)))


def by_hand(student, teacher):
    """sum_t c(s, t) h_t / sum_u c(s, u), counted character by character."""
    weights = torch.zeros(len(student.begin), len(teacher.begin))
    for s, ours in enumerate(zip(student.begin, student.end, strict=True)):
        for t, theirs in enumerate(zip(teacher.begin, teacher.end, strict=True)):
            weights[s, t] = len(set(range(*ours)) & set(range(*theirs)))
    return weights / weights.sum(-1, keepdim=True).clamp_min(1)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.permutations(range(4)))
@settings(max_examples=40)
def test_it_is_the_mean_by_shared_characters_whatever_is_padded(rows, order):
    weights = share_characters(batch_of(COARSE, *rows), batch_of(FINE, *rows))
    for number, row in enumerate(rows):
        ours, theirs = spans_of(COARSE, *row), spans_of(FINE, *row)
        expected = torch.zeros(weights.shape[1:])
        expected[: len(ours.begin), : len(theirs.begin)] = by_hand(ours, theirs)
        if (ours.begin, ours.end) != (theirs.begin, theirs.end):
            torch.testing.assert_close(weights[number], expected)
        # Every token covers something of which the other vocabulary has a token too.
        assert weights[number].sum(-1).tolist() == pytest.approx(
            [1.0] * len(ours.begin) + [0.0] * (len(weights[number]) - len(ours.begin))
        )
    order = [place for place in order if place < len(rows)]
    shuffled = share_characters(
        batch_of(COARSE, *(rows[i] for i in order)), batch_of(FINE, *(rows[i] for i in order))
    )
    torch.testing.assert_close(shuffled, weights[order])


def make_bytes():
    """Byte-level BPE, whose words begin with the blank before them."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([" ".join(WORDS)], trainer)
    return backend


def make_unigram():
    """Pieces with a mark in the blank's place."""
    backend = Backend(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, show_progress=False, unk_token="<unk>")
    trainer.special_tokens = ["<unk>"]
    backend.train_from_iterator([" ".join(WORDS)], trainer)
    return backend


@pytest.mark.parametrize("make", [make_bytes, make_unigram])
@given(text=texts)
@settings(max_examples=20)
def test_every_piece_of_a_word_is_found_in_every_kind_of_vocabulary(make, text):
    other = make().encode(text)
    theirs = Spans.of([RowSpans.of(other, [len(text)], by_word=False)]).batch([0])
    ours = batch_of(COARSE, (text,))
    known = share_characters(ours, theirs)[0].sum(-1)
    assert known[1:-1].tolist() == pytest.approx([1.0] * (len(known) - 2))
    back = share_characters(theirs, ours)[0].sum(-1).tolist()
    for (begin, end), value in zip(other.offsets, back, strict=True):
        assert value == pytest.approx(1.0) or not text[begin:end].strip()


def test_special_tokens_are_laid_by_the_place_that_they_stand_in():
    row = ("the film", "is wonderful")
    ours, theirs = COARSE(*row)["input_ids"], FINE(*row)["input_ids"]
    weights = share_characters(batch_of(COARSE, row), batch_of(FINE, row))[0]
    for token in (COARSE.cls_token_id, COARSE.sep_token_id):
        places = [i for i, index in enumerate(ours) if index == token]
        others = [i for i, index in enumerate(theirs) if index == token]
        for place, other in zip(places, others, strict=True):
            assert weights[place].nonzero().flatten().tolist() == [other]


def test_what_only_one_model_has_read_is_not_compared():
    text = "the film is wonderful"
    ours, theirs = (
        Spans.of([RowSpans.of(encoded.encodings[0], [len(text)], by_word=False)]).batch([0])
        for encoded in (COARSE([text]), FINE([text], truncation=True, max_length=6))
    )
    known = share_characters(ours, theirs)[0].sum(-1)
    # [CLS] the film is wonderful [SEP], of which the other has t h e f.
    assert known.tolist() == [1, 1, 1, 0, 0, 1]


def test_tokens_of_one_character_are_laid_one_by_one():
    """As bytes of a letter are, which cover the same character."""
    spans = BatchSpans(*(torch.tensor([row]) for row in ([1, 1, 2], [2, 2, 3], [NOWHERE] * 3)))
    torch.testing.assert_close(share_characters(spans, spans)[0], torch.eye(3))


def write_rows(folder, split, rows):
    folder.mkdir(exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_tagged(folder):
    rows = [
        {"tokens": ["rain", "in", "spain"], "ner_tags": ["O", "O", "B-LOC"]},
        {"tokens": ["wonderful"], "ner_tags": ["O"]},
    ]
    for split in ("train", "validation"):
        write_rows(folder, split, rows)
    return read_task("ner", str(folder))


def test_a_word_is_given_what_is_said_of_its_first_piece(tmp_path):
    task = read_tagged(tmp_path / "data")
    split = task.splits["train"]
    ours, theirs = (task.spans(split, t, max_length=32).batch([0, 1]) for t in (COARSE, FINE))
    rows = [task.encode(split, t, max_length=32) for t in (COARSE, FINE)]
    logits = torch.randn(2, len(task.labels), theirs.begin.shape[1])
    found = task.realign(logits, ours, theirs)
    assert found.shape == (2, len(task.labels), ours.begin.shape[1])
    for number in range(2):
        student, teacher = rows[0][number], rows[1][number]
        firsts = {word: place for place, word in enumerate(teacher.words) if word >= 0}
        for place, word in enumerate(student.words):
            if word >= 0:
                expected = logits[number, :, firsts[word]]
                torch.testing.assert_close(found[number, :, place], expected)
        last = student.num_tokens - 1, teacher.num_tokens - 1
        torch.testing.assert_close(found[number, :, 0], logits[number, :, 0])
        torch.testing.assert_close(found[number, :, last[0]], logits[number, :, last[1]])
    torch.testing.assert_close(task.realign(logits, theirs, theirs)[:, :, 0], logits[:, :, 0])


def read_questions(folder):
    context = "the film is wonderful in spain"
    answer = {"text": ["wonderful"], "answer_start": [12]}
    row = {"id": "a", "context": context, "question": "the film", "answers": answer}
    for split in ("train", "validation"):
        write_rows(folder, split, [row])
    return read_task("squad", str(folder), options={"stride": 2, "max_question_tokens": 8})


def test_answers_are_laid_by_their_first_and_last_character(tmp_path):
    task = read_questions(tmp_path / "data")
    split = task.splits["train"]
    ours, theirs = (task.spans(split, t, max_length=64).batch([0]) for t in (COARSE, FINE))
    rows = [task.encode(split, t, max_length=64)[0] for t in (COARSE, FINE)]
    logits = torch.full((1, 2, theirs.begin.shape[1]), -1e4)
    start, end = rows[1].label
    logits[0, 0, start], logits[0, 1, end] = 3.0, 2.0
    found = task.realign(logits, ours, theirs)[0]
    assert (int(found[0].argmax()), int(found[1].argmax())) == rows[0].label
    assert (float(found[0].max()), float(found[1].max())) == (3.0, 2.0)
    # Scores of one token's characters add up as probabilities do, and those of one tokenizer stay.
    spread = torch.randn(1, 2, theirs.begin.shape[1])
    inside = task.realign(spread, theirs, theirs)
    is_placed = theirs.begin[0] != NOWHERE
    torch.testing.assert_close(inside[..., is_placed], spread[..., is_placed])
    whole = task.realign(spread, ours, theirs)
    mass = [s[..., p].exp().sum(-1) for s, p in ((whole, ours.begin[0] >= 0), (spread, is_placed))]
    torch.testing.assert_close(mass[0], mass[1])


def test_rows_that_are_other_pieces_in_another_vocabulary_are_refused(tmp_path):
    rows = [{"text": "the film", "label": label} for label in ("a", "b")]
    for split in ("train", "validation"):
        write_rows(tmp_path / "data", split, rows)
    task = read_task(
        "text_classification", str(tmp_path / "data"), options={"long_texts": "head_tail"}
    )
    with pytest.raises(SettingsError, match=r"long_texts = 'head_tail' reads other pieces .*trunc"):
        task.spans(task.splits["train"], COARSE, max_length=16)
    choices = {"sent1": "a", "sent2": "b", "ending0": "c", "ending1": "d", "label": 0}
    for split in ("train", "validation"):
        write_rows(tmp_path / "choices", split, [choices])
    task = read_task("swag", str(tmp_path / "choices"))
    with pytest.raises(SettingsError, match=r"such as swag has no one row of text for an example"):
        task.spans(task.splits["train"], COARSE, max_length=16)
