"""A teacher with another vocabulary than the student's: each reads its own tokens of one text."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
import torch.nn.functional as F
from foreign_teacher import make_bytes_tokenizer, make_letter_tokenizer, write_foreign
from safetensors.torch import load_file, save_file
from tiny_compress import make_settings as compress_settings
from tiny_task import (
    LABELS,
    assert_same_weights,
    finetune,
    make_rows,
    read_lines,
    read_loss,
    write_model,
)

from limbeck.errors import DataError, SettingsError
from limbeck.models import AutoConfig, AutoModelForSequenceClassification
from limbeck.recipes import compress
from limbeck.tasks import read_task
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Of a family of ours, fine-tuned by what reads other pieces than the tiny task's encoder."""
    folder = tmp_path_factory.mktemp("letters") / "teacher"
    return write_foreign(folder, family="bert", tokenizer=make_letter_tokenizer(), steps=60)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / "student"
    return write_model(folder, head=LABELS, dropout=0.0)


FROZEN = {"schedule": {"warmup_ratio": 0.0, "decay": "constant"}, "max_grad_norm": None}


def teach(student, data, out, teacher, **changes):
    given = {"teacher": teacher, "label_weight": 0.0, "max_length": 32}
    return finetune(student, data, out, **(given | changes))


def test_a_student_learns_the_teacher_from_its_logits(tmp_path, data, encoder, teacher):
    """Without a label, and what it has learned is the teacher's function and not the labels'."""
    few = tmp_path / "few"
    few.mkdir()
    rows = {"train": make_rows(8, seed=0), "transfer": make_rows(120, seed=9, labelled=False)}
    rows |= {"validation": make_rows(40, seed=1)}
    for split, given in rows.items():
        (few / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    taught = teach(encoder, str(few), tmp_path / "taught", teacher, epochs=6)
    alone = finetune(encoder, str(few), tmp_path / "alone", max_length=32, epochs=6)
    scores = [record.best.validation["accuracy"] for record in (taught, alone)]
    assert scores[0] >= 0.9
    assert scores[0] > scores[1]


def test_the_cache_gives_the_same(tmp_path, data, encoder, teacher):
    teach(encoder, data, tmp_path / "live", teacher)
    teach(encoder, data, tmp_path / "cached", teacher, teacher_cache=str(tmp_path / "cache"))
    assert_same_weights(tmp_path / "live/model", tmp_path / "cached/model")


def expected_cosine(student, teacher, data):
    """1 - cos of each of the student's states and the mean of the teacher's, by character."""
    models = [AutoModelForSequenceClassification.from_pretrained(f) for f in (student, teacher)]
    tokenizers = [AutoTokenizer.from_pretrained(f) for f in (student, teacher)]
    found = []
    for example in read_task("sst2", data).splits["train"].examples:
        rows = [t([example.text], truncation=True, max_length=32).encodings[0] for t in tokenizers]
        with torch.no_grad():
            states = [
                m(torch.tensor([row.ids])).last_hidden_state[0]
                for m, row in zip(models, rows, strict=True)
            ]
        for place, (begin, end) in enumerate(rows[0].offsets):
            if begin == end:  # [CLS] and [SEP], which both have
                target = states[1][0 if place == 0 else -1]
            else:
                of_letters = {}
                for other, (first, last) in enumerate(rows[1].offsets):
                    of_letters |= dict.fromkeys(range(first, last), other)
                read = [states[1][of_letters[c]] for c in range(begin, end) if c in of_letters]
                if not read:  # behind what the teacher has room for
                    continue
                target = torch.stack(read).mean(0)
            found.append(1 - F.cosine_similarity(states[0][place], target, dim=0))
    return float(torch.stack(found).mean())


@pytest.mark.parametrize("accumulate", [1, 4])
def test_states_are_compared_by_shared_characters(tmp_path, data, student, teacher, accumulate):
    given = {"losses": {"cosine": {}}, "new_head": False, "max_steps": 1, "batch_size": 64}
    teach(student, data, tmp_path / "run", teacher, **given, accumulate=accumulate, **FROZEN)
    (first,) = read_loss(tmp_path / "run")
    assert first == pytest.approx(expected_cosine(student, teacher, data), abs=1e-5)


def test_a_student_learns_from_states(tmp_path, data, encoder, teacher):
    losses = {"cosine": {}, "hidden_mse": {"teacher_layers": [1, 3], "weight": 0.1}}
    teach(encoder, data, tmp_path / "run", teacher, losses=losses, epochs=8)
    loss = read_loss(tmp_path / "run")
    assert sum(loss[-4:]) < 0.8 * sum(loss[:4])


def test_a_foreign_teacher_of_another_vocabulary(tmp_path, data, encoder):
    foreign = write_foreign(
        tmp_path / "fnet", family="fnet", tokenizer=make_letter_tokenizer(), steps=0
    )
    losses = {"cosine": {}, "soft_targets": {}}
    teach(encoder, data, tmp_path / "run", foreign, losses=losses, max_steps=2)
    assert all(map(math.isfinite, read_loss(tmp_path / "run")))


def test_a_model_is_made_smaller_by_a_student_of_another_vocabulary(
    tmp_path, data, encoder, teacher
):
    given = {"student": encoder, "retain": 0.8, "epochs": 6, "max_length": 32}
    settings = compress_settings(teacher, data, tmp_path / "run", **given)
    record = compress.run(settings, progress=SilentProgress())
    assert record.chosen == "encoder"
    model = AutoTokenizer.from_pretrained(tmp_path / "run/model")
    assert model.fingerprint == AutoTokenizer.from_pretrained(encoder).fingerprint


def test_further_rows_are_read_as_texts(tmp_path, data, encoder, teacher):
    augment = {"model": write_filler(tmp_path / "filler"), "copies": 2}
    teach(encoder, data, tmp_path / "run", teacher, augment=augment, max_steps=2)
    made = read_lines(tmp_path / "run/augmented.jsonl")
    assert len(made) == 128
    with pytest.raises(SettingsError, match=r"augment makes rows of .* losses.cosine compares tok"):
        teach(encoder, data, tmp_path / "s", teacher, augment=augment, losses={"cosine": {}})


def write_filler(folder):
    from limbeck.models import AutoModelForMaskedLM

    write_model(folder)
    AutoModelForMaskedLM.from_pretrained(folder, new_head=True).save_pretrained(folder)
    return str(folder)


def test_what_compares_one_token_with_another_is_refused(tmp_path, data, encoder, teacher):
    with pytest.raises(
        SettingsError,
        match=r"losses.attention_mse compares the models' attention_scores, one token with anoth"
        r"er, but the teacher .*/teacher has another vocabulary .* accepted then: losses on",
    ):
        teach(encoder, data, tmp_path / "run", teacher, losses={"attention_mse": {}})
    assert not (tmp_path / "run").exists()


def test_examples_of_several_rows_are_refused_by_number(tmp_path, data, encoder, teacher):
    options = {"long_texts": "windows", "stride": 1}
    with pytest.raises(
        DataError,
        match=r"example \d+ of train is \d+ rows for the student and \d+ for the teacher, .*one r",
    ):
        teach(encoder, data, tmp_path / "run", teacher, max_length=10, task_options=options)


def test_scores_of_answers_are_compared_as_distributions_only(tmp_path, encoder, teacher):
    folder = tmp_path / "data"
    folder.mkdir()
    answers = {"text": ["bad"], "answer_start": [9]}
    row = {"id": "a", "question": "the film", "context": "the film bad", "answers": answers}
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    options = {"stride": 2, "max_question_tokens": 8}
    given = {"task": "squad", "task_options": options, "max_steps": 1}
    reader = write_foreign(
        tmp_path / "reader",
        family="bert",
        tokenizer=make_letter_tokenizer(),
        auto="AutoModelForQuestionAnswering",
        steps=0,
        id2label={0: "a", 1: "b"},
    )
    with pytest.raises(
        SettingsError,
        match=r"losses.logit_mse compares squad's scores token by token.*soft_targets",
    ):
        teach(encoder, str(folder), tmp_path / "run", reader, losses={"logit_mse": {}}, **given)
    teach(encoder, str(folder), tmp_path / "run", reader, **given)
    assert all(map(math.isfinite, read_loss(tmp_path / "run")))


def write_tagged(folder, sentences):
    folder.mkdir()
    for split in ("train", "validation"):
        rows = [
            {"tokens": words, "ner_tags": ["O"] * (len(words) - 1) + ["B-X"]} for words in sentences
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def test_tags_are_learned_by_words_and_rows_without_them_refused(tmp_path, encoder):
    tagger = write_foreign(
        tmp_path / "tagger",
        family="bert",
        tokenizer=make_letter_tokenizer(),
        auto="AutoModelForTokenClassification",
        steps=0,
        id2label={0: "O", 1: "B-X", 2: "I-X"},
        label2id={"O": 0, "B-X": 1, "I-X": 2},
    )
    data = write_tagged(tmp_path / "data", [["the", "film", "bad"], ["great", "rain"]])
    given = {"task": "ner", "max_steps": 2}
    losses = {"soft_targets": {}, "cosine": {}}
    teach(encoder, data, tmp_path / "run", tagger, losses=losses, **given)
    assert all(map(math.isfinite, read_loss(tmp_path / "run")))
    cached = tmp_path / "cache"
    for run, cache in (("live", None), ("cached", cached)):
        teach(encoder, data, tmp_path / run, tagger, teacher_cache=cache, **given)
    assert_same_weights(tmp_path / "live/model", tmp_path / "cached/model")
    long = write_tagged(tmp_path / "long", [["film"] * 12])
    with pytest.raises(DataError, match=r"example 0 of train is 1 rows for the student and [2-9] "):
        teach(encoder, long, tmp_path / "long-run", tagger, **(given | {"max_length": 16}))


@pytest.mark.slow
def test_bytes_and_words_are_compared_by_characters(tmp_path, data, encoder):
    """BERT's WordPiece and RoBERTa's byte-level BPE, either as the teacher."""
    words = write_foreign(tmp_path / "bert", family="bert", steps=60)
    tokenizer = make_bytes_tokenizer(tmp_path / "bytes")
    shape = {"vocab_size": tokenizer.vocab_size, "max_position_embeddings": 48}
    shape |= {"pad_token_id": 1, "dropout": 0.0}
    roberta = write_model(tmp_path / "roberta", model_type="roberta", **shape)
    tokenizer.save_pretrained(roberta)
    losses = {"soft_targets": {"weight": 4}, "cosine": {}}
    out = tmp_path / "learned"
    record = teach(roberta, data, out, words, losses=losses, epochs=10)
    assert record.best.validation["accuracy"] >= 0.9
    model = str(out / "model")
    assert AutoConfig.from_pretrained(model).model_type == "roberta"
    # Its margins are small, so that they take a while.
    back = teach(encoder, data, tmp_path / "back", model, epochs=20)
    assert back.best.validation["accuracy"] >= 0.9
    settings = compress_settings(
        words, data, tmp_path / "small", student=roberta, retain=0.8, epochs=8, max_length=32
    )
    assert compress.run(settings, progress=SilentProgress()).chosen == "roberta"


def test_labels_in_another_order_are_matched_by_name(tmp_path, data, encoder, teacher):
    other = tmp_path / "turned"
    shutil.copytree(teacher, other)
    config = json.loads((other / "config.json").read_text())
    config |= {"id2label": {"0": LABELS[1], "1": LABELS[0]}, "label2id": {}}
    (other / "config.json").write_text(json.dumps(config))
    weights = load_file(other / "model.safetensors")
    weights |= {k: w.flip(0) for k, w in weights.items() if k.startswith("classifier.")}
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    for run, name in (("as-is", teacher), ("turned-round", str(other))):
        teach(encoder, data, tmp_path / run, name, max_steps=4)
    assert_same_weights(tmp_path / "as-is/model", tmp_path / "turned-round/model")


def test_choices_are_compared_as_they_are(tmp_path, encoder):
    folder = tmp_path / "data"
    folder.mkdir()
    endings = {"ending0": "good", "ending1": "bad and dull", "label": 1}
    rows = [{"sent1": "the film", "sent2": "is", **endings}] * 4
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chooser = write_foreign(
        tmp_path / "chooser",
        tokenizer=make_letter_tokenizer(),
        auto="AutoModelForMultipleChoice",
        steps=0,
    )
    teach(encoder, str(folder), tmp_path / "run", chooser, task="swag", epochs=10)
    loss = read_loss(tmp_path / "run")
    assert loss[-1] < loss[0]
