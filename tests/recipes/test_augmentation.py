"""Texts that a masked LM makes of the training texts: what is drawn, and learned from it."""

import json
import shutil

import pytest
import torch
from tiny_task import LABELS, finetune, make_settings, read_loss, write_model

from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.models import AutoModelForMaskedLM
from limbeck.recipes.finetune import plan
from limbeck.recipes.finetune.augmentation import AugmentedRecord
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
