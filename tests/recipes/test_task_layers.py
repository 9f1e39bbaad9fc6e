"""Task distillation on layers in between, against transformers' models in plain PyTorch."""

import itertools

import pytest
import torch
import torch.nn.functional as F
import transformers
from tiny_task import LABELS, finetune, read_loss, write_model

from limbeck.checkpoints import read_safetensors
from limbeck.errors import SettingsError
from limbeck.tasks import TrainBatches, read_task
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "teacher"
    return write_model(folder, head=LABELS, dropout=0.0, num_hidden_layers=4)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student", head=LABELS, dropout=0.0)


def attention_scores(model, hidden_states):
    """Each layer's scores by hand: (batch, tokens, heads, tokens)."""
    found = []
    for hidden, layer in zip(hidden_states[:-1], model.bert.encoder.layer, strict=True):
        query, key = (
            getattr(layer.attention.self, name)(hidden).unflatten(-1, (2, 8)).transpose(1, 2)
            for name in ("query", "key")
        )
        found.append((query @ key.transpose(-1, -2) / 8**0.5).transpose(1, 2))
    return found


def plain_losses(student, teacher, data, *, attention_layers, steps):
    """3 L_hidn + 0.5 L_attn beside the labels' loss; returns the loss of each step."""
    tokenizer = AutoTokenizer.from_pretrained(student)
    student, teacher = (
        transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        for folder in (student, teacher)
    )
    task = read_task("sst2", data)
    rows = task.encode(task.splits["train"], tokenizer, max_length=16)
    batches = TrainBatches(
        task, rows, batch_size=8, accumulate=1, pad_token_id=tokenizer.pad_token_id, seed=0
    )
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3, weight_decay=0.0)
    losses = []
    for (batch,) in itertools.islice(batches.steps(), steps):
        ours = student(**batch.inputs(), output_hidden_states=True)
        with torch.no_grad():
            theirs = teacher(**batch.inputs(), output_hidden_states=True)
            their_scores = attention_scores(teacher, theirs.hidden_states)
        our_scores = attention_scores(student, ours.hidden_states)
        lengths = batch.mask().sum(1).tolist()
        num_tokens = sum(lengths)
        hidden = attention = 0.0
        for row, length in enumerate(lengths):
            for a, b in zip((0, 1, 2), (0, 2, 4), strict=True):
                difference = ours.hidden_states[a][row] - theirs.hidden_states[b][row]
                hidden += difference[:length].square().mean(-1).sum() / num_tokens
            for a, b in enumerate(attention_layers):
                difference = our_scores[a][row] - their_scores[b - 1][row]
                means = difference[:length, :, :length].square().mean((1, 2))
                attention += means.sum() / num_tokens
        loss = F.cross_entropy(ours.logits, batch.labels) + 3 * hidden + 0.5 * attention
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("accumulate", [1, 3])
def test_layers_are_learned_by_the_plain_formula(tmp_path, data, teacher, student, accumulate):
    losses = {"hidden_mse": {"weight": 3}}
    losses |= {"attention_mse": {"weight": 0.5, "teacher_layers": [1, 4]}}
    finetune(
        student,
        data,
        tmp_path / "run",
        teacher=teacher,
        losses=losses,
        new_head=False,
        accumulate=accumulate,
        schedule={"warmup_ratio": 0.0, "decay": "constant"},
        max_grad_norm=None,
        max_steps=10,
    )
    expected = plain_losses(student, teacher, data, attention_layers=(1, 4), steps=10)
    assert read_loss(tmp_path / "run") == pytest.approx(expected, abs=2e-5)
    assert expected[-1] < 0.9 * expected[0]


def test_a_projection_to_a_wider_teacher_resumes_exactly(tmp_path, data):
    """The maps are trained and in each checkpoint, but not in the model; dropout is on."""
    wide = write_model(tmp_path / "wide", head=LABELS, hidden_size=32)
    narrow = write_model(tmp_path / "narrow")
    changes = {"teacher": wide, "losses": {"hidden_mse": {}}, "save_every": 3}

    class Stop(SilentProgress):
        def log(self, message):
            if "epoch 1:" in message:
                raise RuntimeError(message)

    finetune(narrow, data, tmp_path / "whole", **changes)
    with pytest.raises(RuntimeError, match="epoch 1:"):
        finetune(narrow, data, tmp_path / "stopped", progress=Stop(), **changes)
    states = (tmp_path / "stopped/seed-0/checkpoints").glob("*/state.safetensors")
    first, second = (read_safetensors(path) for path in sorted(states))
    name = "module.objective.losses.hidden_mse.of_layers.weight"
    assert first[name].shape == (32, 16)
    assert not torch.equal(first[name], second[name])
    finetune(narrow, data, tmp_path / "stopped", **changes)
    whole, resumed = (
        read_safetensors(tmp_path / run / "seed-0/model/model.safetensors")
        for run in ("whole", "stopped")
    )
    assert whole.keys() == resumed.keys()
    assert not any("losses" in key for key in whole)
    assert all(torch.equal(tensor, resumed[key]) for key, tensor in whole.items())


def test_layers_that_can_not_be_compared_are_refused(tmp_path, data, teacher, student):
    def refused(name, *, message, losses, **changes):
        with pytest.raises(SettingsError, match=message):
            finetune(
                student, data, tmp_path / "run", teacher=name, losses=losses, epochs=1, **changes
            )
        assert not (tmp_path / "run").exists()

    heads = write_model(tmp_path / "heads", head=LABELS, num_attention_heads=4)
    message = r"losses.attention_mse compares attention head by head, but the teacher has 4 heads"
    refused(heads, losses={"attention_mse": {}}, message=message + " and the student 2; leave")
    wide = write_model(tmp_path / "wide", head=LABELS, hidden_size=32)
    message = r"losses.cosine compares hidden states, but the teacher's hidden_size is 32 and"
    refused(wide, losses={"cosine": {}}, message=message + " the student's 16; leave this loss")
    losses = {"hidden_mse": {"teacher_layers": [1, 7]}}
    message = r"losses.hidden_mse.teacher_layers = \[1, 7\]: 7 is no layer of the teacher"
    refused(teacher, losses=losses, message=message)
    refused(
        teacher,
        losses={"hidden_mse": {}},
        teacher_cache=str(tmp_path / "cache"),
        message=r"losses.hidden_mse compares the models' hidden_states, but teacher_cache keeps",
    )


def test_layers_are_those_of_the_student_that_keeps_some(tmp_path, data, teacher):
    """Not of the model that it starts from."""
    given = {"teacher": teacher, "new_head": False, "keep_layers": 2, "max_steps": 1}
    losses = {"hidden_mse": {"teacher_layers": [2, 4]}}
    assert finetune(teacher, data, tmp_path / "run", losses=losses, **given).num_layers == 2
    losses = {"hidden_mse": {"teacher_layers": [1, 2, 3, 4]}}
    with pytest.raises(SettingsError, match=r"has 4 numbers, but the student has 2 layers, each"):
        finetune(teacher, data, tmp_path / "wrong", losses=losses, **given)
    assert not (tmp_path / "wrong").exists()
