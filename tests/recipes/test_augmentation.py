"""Texts that a masked LM makes of the training texts: what is drawn, and learned from it."""

import json
import shutil

import numpy as np
import pytest
import torch
from tiny_task import LABELS, finetune, make_rows, make_settings, read_loss, write_model

from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.models import AutoModelForMaskedLM
from limbeck.recipes.finetune import plan
from limbeck.recipes.finetune.augmentation import AugmentedRecord, fill_again
from limbeck.tasks import read_task
from limbeck.tokenizers import AutoTokenizer


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "teacher", head=LABELS)


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory, teacher):
    folder = tmp_path_factory.mktemp("models") / "masked"
    torch.manual_seed(1)
    AutoModelForMaskedLM.from_pretrained(teacher, new_head=True).save_pretrained(folder)
    AutoTokenizer.from_pretrained(teacher).save_pretrained(folder)
    return str(folder)


def read_rows(out):
    lines = (out / "augmented.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def encoded_train(data, teacher):
    task = read_task("sst2", data)
    return task.encode(task.splits["train"], AutoTokenizer.from_pretrained(teacher), max_length=16)


def test_tokens_are_drawn_among_the_likeliest(tmp_path, data, teacher, masked_lm):
    augment = {"model": masked_lm, "copies": 2, "mask_ratio": 0.3, "top_k": 3}
    changes = {"teacher": teacher, "augment": augment}
    planned = plan(make_settings(teacher, data, tmp_path / "run", **changes))
    assert planned["num_augmented_examples"] == 128
    result = finetune(teacher, data, tmp_path / "run", epochs=1, max_steps=3, **changes)
    assert result.seeds[0].num_steps == 3
    assert planned["steps_per_epoch"] == 24
    made, rows = read_rows(tmp_path / "run"), encoded_train(data, teacher)
    assert [row["index"] for row in made] == [*range(64), *range(64)]
    model = AutoModelForMaskedLM.from_pretrained(masked_lm).eval()
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    special = tokenizer.all_special_ids
    num_changed = 0
    for row in made:
        before, after = rows[row["index"]].input_ids, row["input_ids"]
        assert row["text"] == tokenizer.decode(after, skip_special_tokens=True)
        inside = [i for i, token in enumerate(before) if token not in special]
        assert [after[i] for i in range(len(after)) if i not in inside] == [
            before[i] for i in range(len(before)) if i not in inside
        ]
        changed = [i for i in inside if before[i] != after[i]]
        num_changed += len(changed)
        count = max(1, round(0.3 * len(inside)))
        assert len(changed) <= count
        if len(changed) == count:  # then all that was hidden is known
            hidden = torch.tensor([before])
            hidden[0, changed] = tokenizer.mask_token_id
            with torch.no_grad():
                logits = model(hidden).logits[0]
            logits[:, special] = -torch.inf
            top = logits.topk(3).indices
            assert all(after[i] in top[i] for i in changed)
    assert num_changed > 128
    first, second = (
        [row["input_ids"] for row in made[part]] for part in (slice(64), slice(64, 128))
    )
    assert first != second


def test_the_same_rows_are_made_whatever_the_batch(tmp_path, data, teacher, masked_lm):
    changes = {"teacher": teacher, "augment": {"model": masked_lm}, "max_steps": 2}
    for size in (5, 64):
        finetune(teacher, data, tmp_path / f"{size}", evaluation_batch_size=size, **changes)
    assert read_rows(tmp_path / "5") == read_rows(tmp_path / "64")
    changes["augment"] = {"model": masked_lm, "seed": 1}
    finetune(teacher, data, tmp_path / "other", **changes)
    assert read_rows(tmp_path / "5") != read_rows(tmp_path / "other")


def test_made_rows_are_learned_from_the_teacher_alone_and_kept(tmp_path, data, teacher, masked_lm):
    student = write_model(
        tmp_path / "student", model_type="distilbert", head=LABELS, num_hidden_layers=1
    )
    changes = {"teacher": teacher, "augment": {"model": masked_lm}, "epochs": 1}
    finetune(student, data, tmp_path / "live", **changes)
    rows = read_rows(tmp_path / "live")
    assert len(read_loss(tmp_path / "live")) == 16
    cache = str(tmp_path / "cache")
    finetune(student, data, tmp_path / "cached", teacher_cache=cache, **changes)
    assert read_loss(tmp_path / "cached") == pytest.approx(read_loss(tmp_path / "live"), abs=1e-5)
    # Another seed of the same run takes the rows that are there, even without the masked LM.
    written = (tmp_path / "live/augmented.jsonl").stat().st_mtime_ns
    finetune(student, data, tmp_path / "live", **changes, seeds=[0, 1])
    assert (tmp_path / "live/augmented.jsonl").stat().st_mtime_ns == written
    assert read_rows(tmp_path / "live") == rows


def test_masked_lms_that_do_not_fit_are_refused(tmp_path, data, teacher, masked_lm):
    def refused(message, error=SettingsError, **changes):
        with pytest.raises(error, match=message):
            finetune(teacher, data, tmp_path / "run", **{"teacher": teacher, **changes})

    short = tmp_path / "short"
    write_model(short, max_position_embeddings=12)
    message = r"max_length = 16, but the masked LM .*short has 12 positions"
    refused(message, augment={"model": str(short)})
    refused(r"augment.top_k", augment={"model": masked_lm, "top_k": 0})
    message = r"augment.model = .* has no masked-LM head. Fit one first: limbeck pretrain model="
    refused(message, error=MissingHeadError, augment={"model": teacher})
    file = tmp_path / "file"
    file.write_text("")
    refused(r"teacher_cache = '.*file' is a file; accepted: a folder", teacher_cache=str(file))
    message = r"augment makes texts that a teacher labels, but there is none; give teacher=MODEL"
    refused(message, teacher=None, augment={"model": masked_lm})
    assert not (tmp_path / "run").exists()
    finetune(teacher, data, tmp_path / "run", teacher=teacher, augment={"model": masked_lm})
    path = tmp_path / "run/augmented.jsonl"
    path.write_text(path.read_text().split("\n", 1)[1])
    shutil.rmtree(tmp_path / "run/seed-0")
    message = (
        r"augmented.jsonl is missing or not what was made of the rows; .* remove .*ed.json to m"
    )
    refused(message, error=DataError, augment={"model": masked_lm})
    record = AugmentedRecord.read(tmp_path / "run")
    record.model_copy(update={"made_of": "0" * 64}).write(tmp_path / "run")
    message = r"augmented.jsonl was made of other training rows than those of now; give another out"
    refused(message, error=DataError, augment={"model": masked_lm})


SPLIT = ["goodish", "filmgoer", "rainiest"]
"""Words that are no pieces of the vocabulary."""


@pytest.fixture
def worded(tmp_path):
    """Data with pairs of texts, in which some words are several pieces."""
    rows = make_rows(12, seed=3)
    (tmp_path / "worded").mkdir()
    for name in ("train", "validation"):
        lines = [
            {"premise": f"{SPLIT[i % 3]} , {row['sentence']} 7", "hypothesis": "a bright story"}
            | {"label": row["label"]}
            for i, row in enumerate(rows)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "worded" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return {
        "data": str(tmp_path / "worded"),
        "task": "text-classification",
        "task_options": {
            "text_column": "premise",
            "text_pair_column": "hypothesis",
            "labels": LABELS,
        },
        "max_length": 32,
    }


@torch.no_grad()
def by_hand(model, tokenizer, ids, types, top_k):
    """Each word with a letter: its tokens' places, and what may take its place."""
    pieces = tokenizer.convert_ids_to_tokens(ids)
    special = set(tokenizer.all_special_ids)
    vocabulary = tokenizer.get_vocab()
    whole = [
        number
        for piece, number in sorted(vocabulary.items(), key=lambda item: item[1])
        if number not in special and not piece.startswith("##") and any(map(str.isalpha, piece))
    ]
    words = []
    for place, (piece, token) in enumerate(zip(pieces, ids, strict=True)):
        if token in special:
            continue
        if piece.startswith("##"):
            words[-1].append(place)
        else:
            words.append([place])
    found = []
    for places in words:
        if not any(map(str.isalpha, "".join(pieces[place] for place in places))):
            continue
        table = model.encoder.embeddings.word.weight
        if len(places) == 1:
            hidden = torch.tensor([ids])
            hidden[0, places[0]] = tokenizer.mask_token_id
            types_of = None if types is None else torch.tensor([types])
            scores = model(hidden, token_type_ids=types_of).logits[0, places[0], whole]
        else:
            mean = table[[ids[place] for place in places]].mean(0)
            scores = torch.cosine_similarity(mean[None], table[whole])
        best = scores.topk(top_k).indices.tolist()
        found.append((places, {whole[number] for number in best}))
    return found


def test_words_are_replaced_one_by_one(tmp_path, worded, teacher, masked_lm):
    """By the likeliest of the masked LM, or where they have several pieces by the nearest."""
    augment = {"model": masked_lm, "unit": "word", "copies": 40, "mask_ratio": 0.4, "top_k": 4}
    given = {**worded, "teacher": teacher, "augment": augment, "max_steps": 1}
    for size in (5, 64):
        given |= {"out": tmp_path / f"{size}", "evaluation_batch_size": size}
        finetune(teacher, **given)
    made = read_rows(tmp_path / "64")
    assert made == read_rows(tmp_path / "5"), "whatever the batch"
    assert [row["index"] for row in made] == list(range(12)) * 40
    model = AutoModelForMaskedLM.from_pretrained(masked_lm).eval()
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    options = worded["task_options"]
    task = read_task("text-classification", worded["data"], options=options)
    rows = task.encode(task.splits["train"], tokenizer, max_length=32)
    filled = fill_again(
        rows,
        [(row["index"], np.array(row["input_ids"])) for row in made],
        special=tokenizer.all_special_ids,
    )
    num_words = num_replaced = 0
    for index in range(12):
        before = rows[index].input_ids
        types = rows[index].token_type_ids
        words = by_hand(model, tokenizer, before, types, top_k=4)
        assert any(len(places) > 1 for places, _ in words)
        seen = [set() for _ in words]
        for number in range(index, len(made), 12):
            after = made[number]["input_ids"]
            left, expected_types, old = list(after), [], 0
            for slot, (places, choices) in enumerate(words):
                while old < places[0]:  # what is no word stays
                    assert left.pop(0) == before[old]
                    expected_types.append(types[old])
                    old += 1
                num_words += 1
                whole = [before[place] for place in places]
                if left[: len(whole)] == whole:
                    left = left[len(whole) :]
                    expected_types += [types[place] for place in places]
                else:
                    num_replaced += 1
                    assert left[0] in choices
                    seen[slot].add(left.pop(0))
                    expected_types.append(types[places[0]])
                old = places[-1] + 1
            assert left == before[old:]
            expected_types += types[old:]
            assert filled[number].token_type_ids == expected_types
            assert filled[number].label is None
        assert all(len(found) > 1 for found in seen), "of four choices, some 16 times"
    # A word of one piece may be chosen to stand for itself, one time in four.
    assert 0.28 < num_replaced / num_words < 0.44


def test_words_need_rows_and_a_vocabulary_of_words(tmp_path, data, teacher, masked_lm):
    tagged = tmp_path / "tagged"
    tagged.mkdir()
    for name in ("train", "validation"):
        row = {"tokens": ["good", "film"], "ner_tags": ["B-X", "O"]}
        (tagged / f"{name}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    augment = {"model": masked_lm, "unit": "word"}
    tagger = tmp_path / "tagger"
    finetune(teacher, str(tagged), tagger, task="ner", max_steps=1)
    message = r"augment.unit = 'word' makes rows of other lengths, but those of ner say someth"
    with pytest.raises(SettingsError, match=message):
        finetune(
            teacher,
            str(tagged),
            tmp_path / "run",
            task="ner",
            teacher=str(tagger / "model"),
            augment=augment,
        )
    with pytest.raises(SettingsError, match=r"augment.unit = 'words'.* 'token' or 'word'"):
        finetune(
            teacher,
            data,
            tmp_path / "run",
            teacher=teacher,
            augment={**augment, "unit": "words"},
        )
    assert not (tmp_path / "run").exists()
