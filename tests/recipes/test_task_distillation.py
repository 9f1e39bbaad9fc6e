"""Distillation on a task: the losses against a plain formula, unlabelled text, what is refused."""

import itertools
import json

import pytest
import torch
import torch.nn.functional as F
import transformers
from tiny_task import (
    LABELS,
    finetune,
    make_rows,
    make_settings,
    read_loss,
    write_data,
    write_model,
)

from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.models import AutoConfig, AutoModel, AutoModelForQuestionAnswering
from limbeck.recipes.finetune import plan, run
from limbeck.tasks import TrainBatches, read_task
from limbeck.tokenizers import AutoTokenizer, train_wordpiece
from limbeck.train import SilentProgress


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs of sentences, by numbers and by labels."""
    folder = tmp_path_factory.mktemp("pairs")
    for split, count in (("train", 24), ("validation", 8)):
        rows = make_rows(count, seed=count)
        lines = [
            json.dumps(
                {
                    "sentence1": row["sentence"],
                    "sentence2": other["sentence"],
                    "label": row["label"],
                    "number": 1.5 * row["label"] + i / count,
                }
            )
            + "\n"
            for i, (row, other) in enumerate(zip(rows, reversed(rows), strict=True))
        ]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "teacher", head=LABELS, dropout=0.0)


def plain_losses(folders, data, *, task, options, loss_of, steps, student_types):
    """Fine-tunes a transformers model in plain PyTorch; returns the loss of each step."""
    student, teacher = (
        transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        for folder in folders
    )
    own = AutoTokenizer.from_pretrained(folders[1])
    read = read_task(task, data, options=options)
    rows = read.encode(read.splits["train"], own, max_length=16)
    batches = TrainBatches(
        read, rows, batch_size=8, accumulate=1, pad_token_id=own.pad_token_id, seed=0
    )
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3, weight_decay=0.0)
    losses = []
    for (batch,) in itertools.islice(batches.steps(), steps):
        inputs = batch.inputs()
        with torch.no_grad():
            expected = teacher(**inputs).logits
        if not student_types:
            inputs.pop("token_type_ids")
        loss = loss_of(student(**inputs).logits, expected, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


PLAIN = {
    "schedule": {"warmup_ratio": 0.0, "decay": "constant"},
    "max_grad_norm": None,
    "new_head": False,
}


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_soft_targets_and_labels_are_the_plain_formula(
    tmp_path, pairs, teacher, model_type, accumulate
):
    """A DistilBERT student has no token types, but its BERT teacher is given its own."""
    student = write_model(
        tmp_path / "student",
        model_type=model_type,
        head=LABELS,
        dropout=0.0,
        **({"hidden_size": 8} if model_type == "bert" else {}),
    )

    def loss_of(logits, expected, labels):
        soft = F.kl_div(
            (logits / 4).log_softmax(-1), (expected / 4).softmax(-1), reduction="batchmean"
        )
        return 0.5 * F.cross_entropy(logits, labels) + 2 * 16 * soft

    options = {"text_column": "sentence1", "text_pair_column": "sentence2", "labels": LABELS}
    losses = {"soft_targets": {"weight": 2, "temperature": 4}}
    finetune(
        student,
        pairs,
        tmp_path / "run",
        teacher=teacher,
        losses=losses,
        label_weight=0.5,
        task="text_classification",
        task_options=options,
        epochs=10,
        max_steps=10,
        accumulate=accumulate,
        **PLAIN,
    )
    expected = plain_losses(
        (student, teacher),
        pairs,
        task="text_classification",
        options=options,
        loss_of=loss_of,
        steps=10,
        student_types=model_type == "bert",
    )
    assert read_loss(tmp_path / "run") == pytest.approx(expected, abs=2e-5)
    assert expected[-1] != pytest.approx(expected[0], abs=1e-3)


def test_numbers_are_learned_from_a_teacher_by_their_squared_difference(tmp_path, pairs):
    folders = [
        write_model(tmp_path / name, head=["LABEL_0"], dropout=0.0, num_hidden_layers=depth)
        for name, depth in (("student", 1), ("teacher", 2))
    ]
    options = {"text_column": "sentence1", "text_pair_column": "sentence2"}
    options |= {"label_column": "number"}

    def loss_of(logits, expected, labels):
        return F.mse_loss(logits[:, 0], labels) + F.mse_loss(logits, expected)

    finetune(
        folders[0],
        pairs,
        tmp_path / "run",
        teacher=folders[1],
        task="text_regression",
        task_options=options,
        epochs=10,
        max_steps=10,
        **PLAIN,
    )
    expected = plain_losses(
        folders,
        pairs,
        task="text_regression",
        options=options,
        loss_of=loss_of,
        steps=10,
        student_types=True,
    )
    assert read_loss(tmp_path / "run") == pytest.approx(expected, abs=2e-5)


def test_unlabelled_text_is_learned_from_too(tmp_path, teacher):
    folder = tmp_path / "data"
    data = write_data(folder, train=8)
    rows = [{"sentence": row["sentence"]} for row in make_rows(40, seed=9)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "transfer.jsonl").write_text(lines, encoding="utf-8")
    changes = {"teacher": teacher, "keep_layers": 1, "new_head": False}
    planned = plan(make_settings(teacher, data, tmp_path / "run", **changes))
    assert (planned["steps_per_epoch"], planned["num_layers"]) == (6, 1)
    result = finetune(teacher, data, tmp_path / "run", **changes)
    assert result.num_layers == 1
    assert result.seeds[0].num_steps == 12
    alone = finetune(teacher, data, tmp_path / "alone", keep_layers=1, new_head=False)
    assert alone.seeds[0].num_steps == 2


def test_a_run_goes_on_exactly_with_its_teacher(tmp_path, data, teacher):
    changes = {"teacher": teacher, "keep_layers": [1], "new_head": False, "save_every": 3}

    class Stop(SilentProgress):
        def log(self, message):
            if "epoch 1:" in message:
                raise RuntimeError(message)

    finetune(teacher, data, tmp_path / "whole", **changes)
    with pytest.raises(RuntimeError, match="epoch 1:"):
        run(make_settings(teacher, data, tmp_path / "stopped", **changes), progress=Stop())
    finetune(teacher, data, tmp_path / "stopped", **changes)
    one, other = (
        (tmp_path / name / "seed-0/model/model.safetensors").read_bytes()
        for name in ("whole", "stopped")
    )
    assert one == other


def test_patience_ends_a_run_that_gets_no_better(tmp_path, data, teacher):
    changes = {"learning_rate": 1e-9, "new_head": False, "epochs": 9, "patience": 2}
    result = finetune(teacher, data, tmp_path / "run", **changes)
    (seed,) = result.seeds
    assert (seed.best_epoch, seed.num_steps) == (1, 3 * 8)


def test_teachers_that_do_not_fit_are_refused(tmp_path, data, teacher):
    def refused(name, *, message, error=SettingsError, **changes):
        with pytest.raises(error, match=message):
            finetune(teacher, data, tmp_path / "run", teacher=name, **changes)

    other = write_model(tmp_path / "other", head=["a", "b", "c"])
    refused(other, message=r"model's labels \(a, b, c\) are not the task's", error=DataError)
    single = write_model(tmp_path / "single", head=["LABEL_0"])
    refused(single, message=r"the teacher .* has 1 outputs, but the task sst2 has 2")
    short = write_model(tmp_path / "short", head=LABELS, max_position_embeddings=12)
    refused(short, message=r"max_length = 16, but the teacher .* has 12 positions; accepted: 8 to")
    wide = write_model(tmp_path / "wide", head=LABELS, hidden_size=32)
    refused(
        wide,
        losses={"cosine": {}},
        message=r"losses.cosine compares hidden states, but .* is 32 and the student's 16",
    )
    refused(teacher, losses={"masked_lm": {}}, message=r"losses.masked_lm compares with no teacher")
    strange = write_model(tmp_path / "strange", head=LABELS)
    words = [f"word{i}" for i in range(300)]
    train_wordpiece(words, vocab_size=400, min_frequency=1).save_pretrained(strange)
    refused(strange, message=r"strange: its tokenizer has [34]\d\d pieces, but it embeds \d+; use")


def test_a_teacher_of_another_task_is_refused_before_there_is_a_run(tmp_path, data, teacher):
    config = AutoConfig.from_pretrained(teacher)
    for auto, has in (
        (AutoModelForQuestionAnswering, "BertForQuestionAnswering"),
        (AutoModel, "BertModel"),
    ):
        folder = str(tmp_path / has)
        auto.from_config(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(teacher).save_pretrained(folder)
        message = (
            rf"^teacher = .*{has} has no head that is fine-tuned for sst2\. .*it holds a {has}; "
            "needed is a BertForSequenceClassification"
        )
        with pytest.raises(MissingHeadError, match=message):
            finetune(teacher, data, tmp_path / "run", teacher=folder)
        message = rf"{has} has no head .*it holds a {has}"
        with pytest.raises(MissingHeadError, match=message):
            finetune(folder, data, tmp_path / "run", new_head=False)
    assert not (tmp_path / "run").exists()


def test_a_run_is_called_by_its_folder_and_learns_as_a_student(tmp_path, data, teacher):
    names = []
    for out, changes in (("alone", {}), ("half", {"teacher": teacher})):
        found = plan(make_settings(teacher, data, tmp_path / out, **changes))
        names.append((found["label"], found["role"]))
    assert names == [("alone", "other"), ("half", "student")]
    given = {"teacher": teacher, "label": "mine", "role": "baseline"}
    found = plan(make_settings(teacher, data, tmp_path / "half", **given))
    assert (found["label"], found["role"]) == ("mine", "baseline")


def test_what_needs_a_teacher_is_refused_without_one(tmp_path, data, teacher, pairs):
    with pytest.raises(SettingsError, match=r"losses.soft_targets .* give teacher=MODEL"):
        finetune(teacher, data, tmp_path / "run", losses={"soft_targets": {}})
    with pytest.raises(SettingsError, match=r"label_weight = 0 learns from a teacher alone, but"):
        finetune(teacher, data, tmp_path / "run", label_weight=0)
    files = {split: f"{data}/{split}.jsonl" for split in ("train", "validation")}
    files["transfer"] = files["train"]
    with pytest.raises(SettingsError, match=r"data.transfer is text that a teacher labels"):
        finetune(teacher, files, tmp_path / "run")
    number = write_model(tmp_path / "number", head=["LABEL_0"])
    options = {"text_column": "sentence1", "label_column": "number"}
    with pytest.raises(SettingsError, match=r"text-regression predicts numbers; use .*logit_mse"):
        finetune(
            number,
            pairs,
            tmp_path / "run",
            teacher=number,
            losses={"soft_targets": {}},
            task="text_regression",
            task_options=options,
        )
