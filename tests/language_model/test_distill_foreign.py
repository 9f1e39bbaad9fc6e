"""Distilling a masked LM of a family that only `transformers` has."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_language_runs import run, values

from limbeck.errors import MissingHeadError, SettingsError
from limbeck.models import AutoModelForMaskedLM
from limbeck.recipes import distill
from limbeck.runs import DistillRecord
from limbeck.tokenizers import train_wordpiece


@pytest.fixture(scope="module")
def foreign_folder(teacher_folder, tmp_path_factory):
    """The same teacher as an ERNIE, whose encoder is BERT's under other names."""
    folder = tmp_path_factory.mktemp("ernie") / "teacher"
    shutil.copytree(teacher_folder, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config |= {"model_type": "ernie", "architectures": ["ErnieForMaskedLM"], "use_task_id": False}
    path.write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    renamed = {f"ernie.{k[5:]}" if k.startswith("bert.") else k: v for k, v in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def student_folder(teacher_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("student") / "student"
    shutil.copytree(teacher_folder, folder)
    model = AutoModelForMaskedLM.from_pretrained(folder)
    torch.manual_seed(3)
    changed = model.config.replace(num_hidden_layers=2)
    AutoModelForMaskedLM.from_config(changed).save_pretrained(folder)
    return folder


LOSSES = {"soft_targets": {}, "masked_lm": {}, "cosine": {}, "hidden_mse": {"weight": 0.1}}


def test_it_teaches_what_the_same_model_of_ours_teaches(
    tmp_path, corpus_folder, teacher_folder, foreign_folder, student_folder
):
    given = {"student": str(student_folder), "losses": LOSSES, "max_steps": 20}
    records = [
        run(distill, **values(corpus_folder, teacher, tmp_path / teacher.parent.name, **given))
        for teacher in (teacher_folder, foreign_folder)
    ]
    ours, theirs = records
    for name, figures in (("before", "held_out_before"), ("after", "held_out_after")):
        expected, found = getattr(ours, figures), getattr(theirs, figures)
        assert found == pytest.approx(expected, rel=1e-4), name
    assert "kl_to_teacher" in theirs.held_out_after
    weights = [load_file(f"{record.model}/model.safetensors") for record in records]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-4, rtol=1e-3)
    assert ours.teacher_adapter is None
    adapter = DistillRecord.read(tmp_path / foreign_folder.parent.name).teacher_adapter
    assert adapter.model_dump() == {
        "name": "transformers",
        "version": transformers.__version__,
        "model_class": "ErnieForMaskedLM",
    }


def test_a_family_unlike_ours_teaches_too(tmp_path, corpus_folder, student_folder, tokenizer):
    """FNet has no attention; its states are those of a sum over frequencies."""
    torch.manual_seed(5)
    config = transformers.FNetConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        initializer_range=0.3,
    )
    transformers.FNetForMaskedLM(config).save_pretrained(tmp_path / "fnet")
    tokenizer.save_pretrained(tmp_path / "fnet")
    given = {"student": str(student_folder), "losses": LOSSES, "max_steps": 40}
    record = run(distill, **values(corpus_folder, tmp_path / "fnet", tmp_path / "run", **given))
    before, after = record.held_out_before, record.held_out_after
    assert after["kl_to_teacher"] < 0.95 * before["kl_to_teacher"]
    assert after["cosine"] > before["cosine"]


def test_what_a_foreign_teacher_can_not_do_is_refused(
    tmp_path, corpus_folder, foreign_folder, student_folder
):
    def refused(message, *, error=SettingsError, teacher=foreign_folder, **changes):
        with pytest.raises(error, match=message):
            run(distill, **values(corpus_folder, teacher, tmp_path / "run", **changes))
        assert not (tmp_path / "run").exists()

    student = str(student_folder)
    refused(r"transformers alone can run, so that no student can be made of .* give student=MODEL")
    refused(r"confine_attention = true .*set it to false", student=student, confine_attention=True)
    refused(
        r"losses.attention_mse compares the models' attention_scores, but the teacher .* is an "
        r"ErnieForMaskedLM that transformers runs, which gives hidden_states, last_hidden_state",
        student=student,
        losses={"attention_mse": {}},
    )
    headless = tmp_path / "headless"
    shutil.copytree(foreign_folder, headless)
    weights = load_file(headless / "model.safetensors")
    encoder = {name: tensor for name, tensor in weights.items() if name.startswith("ernie.")}
    save_file(encoder, headless / "model.safetensors", metadata={"format": "pt"})
    refused(
        r"the teacher .*headless has no masked-LM head, .*ErnieForMaskedLM of transformers: mis",
        error=MissingHeadError,
        teacher=headless,
        student=student,
    )


def test_a_student_of_another_vocabulary_is_refused_with_what_there_is(
    tmp_path, corpus_folder, teacher_folder, student_folder
):
    other = tmp_path / "other"
    shutil.copytree(student_folder, other)
    train_wordpiece(["other words"], vocab_size=60, min_frequency=1).save_pretrained(other)
    given = {"student": str(other), "losses": {"cosine": {}}}
    with pytest.raises(
        SettingsError,
        match=r"teacher .* and the student .*other have different vocabularies, and a corpus holds "
        r"the ids of one.*On a task, limbeck finetune compares the two by characters",
    ):
        run(distill, **values(corpus_folder, teacher_folder, tmp_path / "run", **given))
    assert not (tmp_path / "run").exists()
