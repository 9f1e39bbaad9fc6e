"""Runs of pretrain and distill: what they learn, plan and measure, in any precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny_language_runs import run, values
from tiny_teacher import make_teacher

from limbeck import AutoModel, AutoModelForMaskedLM, Tokenizer
from limbeck.checkpoints import read_safetensors
from limbeck.config import read_settings
from limbeck.data import Corpus
from limbeck.errors import MissingHeadError
from limbeck.methods.keep_layers import student_config
from limbeck.models import find_class
from limbeck.recipes import distill, pretrain
from limbeck.recipes._presets import list_presets
from limbeck.train import SilentProgress, read_metrics


def test_held_out_figures_of_a_copied_teacher_are_perfect(
    tmp_path: Path, corpus_folder: Path, sober_teacher_folder: Path
) -> None:
    """A student of all layers, token types folded in, is the teacher."""
    result = run(
        distill,
        **values(
            corpus_folder,
            sober_teacher_folder,
            tmp_path / "run",
            layers=[0, 1, 2, 3],
            max_steps=1,
        ),
    )
    before = result.held_out_before
    assert before["kl_to_teacher"] == pytest.approx(0, abs=1e-5)
    assert before["teacher_agreement"] == 1
    assert before["cosine"] == pytest.approx(1, abs=1e-5)
    assert before["mlm_loss"] == pytest.approx(before["teacher_mlm_loss"], abs=1e-5)
    assert before["mlm_accuracy"] == before["teacher_mlm_accuracy"]


def test_pretrain_from_scratch_learns(tmp_path: Path, corpus_folder: Path) -> None:
    result = run(
        pretrain,
        corpus=corpus_folder,
        out=tmp_path / "run",
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        sequence_length=16,
        batch_size=16,
        max_steps=60,
        learning_rate=1e-2,
    )
    assert result.held_out_after["mlm_loss"] < result.held_out_before["mlm_loss"] - 0.3
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "run/model")
    assert model.config.vocab_size == Corpus.open(corpus_folder).info.vocab_size


def test_head_is_fitted_to_a_frozen_encoder(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    encoder = AutoModel.from_pretrained(teacher_folder, add_pooling_layer=False)
    encoder.save_pretrained(tmp_path / "encoder")
    Tokenizer.from_pretrained(teacher_folder).save_pretrained(tmp_path / "encoder")
    settings = {
        "model": str(tmp_path / "encoder"),
        "corpus": corpus_folder,
        "sequence_length": 16,
        "batch_size": 16,
        "max_steps": 40,
        "learning_rate": 1e-2,
    }
    with pytest.raises(MissingHeadError, match=r"missing.*Pass new_head=True"):
        run(pretrain, **settings, out=tmp_path / "no-head")
    result = run(pretrain, **settings, out=tmp_path / "run", new_head=True, freeze_body=True)
    assert result.held_out_after["mlm_loss"] < result.held_out_before["mlm_loss"]
    trained = AutoModelForMaskedLM.from_pretrained(tmp_path / "run/model")
    for name, tensor in encoder.encoder.state_dict().items():
        assert torch.equal(tensor, trained.encoder.state_dict()[name]), name


def test_head_is_fitted_to_an_encoder_without_dropout(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    """As a measurement sees the encoder, and as the head is used: whatever its dropout would be."""
    heads = []
    for dropout in (0.0, 0.5):
        encoder = tmp_path / f"encoder-{dropout}"
        shutil.copytree(teacher_folder, encoder)
        config = json.loads((encoder / "config.json").read_text())
        config |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        (encoder / "config.json").write_text(json.dumps(config))
        result = run(
            pretrain,
            model=str(encoder),
            corpus=corpus_folder,
            out=tmp_path / f"run-{dropout}",
            sequence_length=16,
            batch_size=8,
            max_steps=4,
            evaluate_every=2,
            new_head=True,
            freeze_body=True,
        )
        heads.append(read_safetensors(Path(result.model) / "model.safetensors"))
    without, with_dropout = heads
    assert all(torch.equal(without[name], with_dropout[name]) for name in without)


def test_plan_tells_what_would_be_done_and_writes_nothing(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = distill.SettingsType(**values(corpus_folder, teacher_folder, tmp_path / "run"))
    plan = distill.plan(settings)
    assert plan["max_steps"] == 60
    assert plan["teacher_num_layers"] == 4
    assert plan["student_num_layers"] == 2
    assert plan["training_tokens"] == Corpus.open(corpus_folder).split("train").num_tokens
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near_full(
    tmp_path: Path, corpus_folder: Path, sober_teacher_folder: Path, precision: str
) -> None:
    losses = {}
    for name in ("fp32", precision):
        settings = values(
            corpus_folder, sober_teacher_folder, tmp_path / name, precision=name, max_steps=5
        )
        run(distill, **settings)
        losses[name] = [
            m.values["loss"] for m in read_metrics(tmp_path / name) if m.kind == "train"
        ]
    assert losses[precision] != losses["fp32"]
    # In fp16 the first step may be skipped, while the loss scale is found.
    assert losses[precision] == pytest.approx(losses["fp32"], rel=0.05)


@pytest.mark.slow
def test_compiled_run_gives_the_same_losses(
    tmp_path: Path, corpus_folder: Path, tokenizer: Tokenizer
) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    teacher = tmp_path / "teacher"
    make_teacher(tokenizer.vocab_size, dropout=0.0, num_layers=1).save_pretrained(teacher)
    tokenizer.save_pretrained(teacher)
    losses = {}
    for name in ("plain", "compiled"):
        settings = values(
            corpus_folder,
            teacher,
            tmp_path / name,
            compile=name == "compiled",
            max_steps=3,
        )
        run(distill, **settings)
        losses[name] = [
            m.values["loss"] for m in read_metrics(tmp_path / name) if m.kind == "train"
        ]
    assert losses["compiled"] == pytest.approx(losses["plain"], rel=1e-5)


@pytest.mark.parametrize("preset", ["distilbert", "distilbert-original"])
def test_presets_are_complete_and_run(
    tmp_path: Path, corpus_folder: Path, tokenizer: Tokenizer, preset: str
) -> None:
    """The named recipes, shrunk in size alone, on a teacher of twelve layers."""
    make_teacher(tokenizer.vocab_size, num_layers=12).save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    overrides = [
        f"teacher={tmp_path / 'teacher'}",
        f"corpus={corpus_folder}",
        f"out={tmp_path / 'run'}",
        "sequence_length=32",
        "batch_size=8",
        "accumulate=2",
        "max_epochs=1",
        "max_steps=2",
    ]
    settings = read_settings(distill.SettingsType, list_presets()[preset].path, overrides)
    assert (settings.learning_rate, settings.betas, settings.eps) == (5e-4, (0.9, 0.98), 1e-6)
    weights = {name: loss.weight for name, loss in settings.losses.items()}
    assert weights == {"soft_targets": 5, "masked_lm": 2, "cosine": 1}
    original = preset == "distilbert-original"
    assert settings.losses["soft_targets"].positions == ("real" if original else "masked")
    assert settings.masking.weights == ("smoothed" if original else "uniform")
    _, teacher, student = distill._prepare(settings)
    expected = (0, 2, 4, 7, 9, 11) if original else (0, 2, 4, 6, 8, 10)
    for own, theirs in enumerate(expected):
        assert torch.equal(
            student.encoder.layers[own].attention.query.weight,
            teacher.encoder.layers[theirs].attention.query.weight,
        )
    copied = torch.equal(student.head.transform.dense.weight, teacher.head.transform.dense.weight)
    assert copied is not original
    result = distill.run(settings, progress=SilentProgress())
    assert result.num_steps == 2
    if original:
        trained = AutoModelForMaskedLM.from_pretrained(tmp_path / "run/model")
        assert torch.equal(
            trained.encoder.embeddings.position.weight, teacher.encoder.embeddings.position.weight
        )


@pytest.mark.parametrize(("teacher", "student"), [("bert", "distilbert"), ("mpnet", "mpnet")])
def test_a_student_of_no_given_family_holds_all_of_its_teacher(
    teacher: str, student: str, tmp_path: Path, corpus_folder: Path, tokenizer: Tokenizer
) -> None:
    model = make_teacher(tokenizer.vocab_size)
    if teacher == "mpnet":
        config = student_config(model.config, layers=range(4), model_type="mpnet")
        model = find_class("mpnet", model.kind)(config)
        tokenizer = tokenizer.without_token_types()
    model.save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    given = values(corpus_folder, tmp_path / "teacher", tmp_path / "run", max_steps=1)
    run(distill, **given)
    made = AutoModelForMaskedLM.from_pretrained(tmp_path / "run" / "model")
    assert made.config.model_type == student
    assert made.config.num_hidden_layers == 2
