"""Runs of pretrain and distill: exact resume after kill -9, Ctrl-C, errors that name the fix."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_teacher import make_teacher

from limbeck import AutoModel, AutoModelForMaskedLM, Tokenizer
from limbeck.checkpoints import read_safetensors
from limbeck.config import Settings, read_settings
from limbeck.data import Corpus, CorpusSettings, build_corpus
from limbeck.errors import DataError, MissingHeadError, SettingsError, TrainingError
from limbeck.recipes import distill, pretrain
from limbeck.recipes._presets import load_preset
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress, read_metrics

DRIVER = """
import json, sys
from pathlib import Path
from limbeck.recipes import distill
from limbeck.train import SilentProgress
try:
    distill.run(distill.SettingsType(**json.loads(sys.argv[1])), progress=SilentProgress())
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def values(corpus: Path, teacher: Path, out: Path, **changes: object) -> dict[str, object]:
    return {
        "teacher": str(teacher),
        "corpus": str(corpus),
        "out": str(out),
        "sequence_length": 16,
        "batch_size": 8,
        "accumulate": 2,
        "max_steps": 60,
        "log_every": 1,
        "save_every": 5,
        "evaluate_every": 20,
        **changes,
    }


def run(recipe: object, **settings: object) -> dict[str, object]:
    made: Settings = recipe.SettingsType.from_values(settings)
    return recipe.run(made, progress=SilentProgress())


def start(settings: dict[str, object]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", DRIVER, json.dumps(settings)], env=environment)


def wait_for_step(out: Path, step: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(line.step >= step for line in read_metrics(out)):
            return
        time.sleep(0.002)
    raise AssertionError(f"{out} did not reach step {step}")


@pytest.mark.slow
def test_killed_run_ends_with_the_same_bits(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    """Dropout is on, so the random state counts too."""
    whole = values(corpus_folder, teacher_folder, tmp_path / "whole")
    assert start(whole).wait(timeout=300) == 0

    killed = values(corpus_folder, teacher_folder, tmp_path / "killed")
    for step in (7, 23, 41):
        process = start(killed)
        wait_for_step(tmp_path / "killed", step, process)
        process.kill()
        process.wait()
    interrupted = start(killed)
    wait_for_step(tmp_path / "killed", 46, interrupted)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=120) in (130, 0)
    assert start(killed).wait(timeout=300) == 0

    expected = read_safetensors(tmp_path / "whole/model/model.safetensors")
    actual = read_safetensors(tmp_path / "killed/model/model.safetensors")
    assert expected.keys() == actual.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, actual[name]), name

    def figures(out: Path) -> list[dict[str, object]]:
        return [
            {k: v for k, v in line.to_dict().items() if k != "elapsed_seconds"}
            for line in read_metrics(out)
        ]

    assert figures(tmp_path / "whole") == figures(tmp_path / "killed")


def test_interrupt_saves_the_step_it_stops_at(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = values(
        corpus_folder, teacher_folder, tmp_path / "run", max_steps=100_000, save_every=100_000
    )
    process = start(settings)
    wait_for_step(tmp_path / "run", 3, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    (checkpoint,) = (tmp_path / "run/checkpoints").glob("step-*")
    record = json.loads((checkpoint / "state.json").read_text())
    assert record["step"] == max(line.step for line in read_metrics(tmp_path / "run"))
    assert not (tmp_path / "run/result.json").exists()


def test_finished_run_is_not_repeated(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = values(corpus_folder, teacher_folder, tmp_path / "run", max_steps=4)
    first = run(distill, **settings)
    lines = read_metrics(tmp_path / "run")
    assert run(distill, **settings) == first
    assert read_metrics(tmp_path / "run") == lines


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


def test_frozen_body_needs_a_model(tmp_path: Path, corpus_folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"freeze_body = true needs weights.*give a `model`"):
        run(pretrain, corpus=corpus_folder, out=tmp_path, freeze_body=True)


def test_teacher_without_a_head_is_refused_with_the_command_that_fits_one(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    encoder = AutoModel.from_pretrained(teacher_folder, add_pooling_layer=False)
    encoder.save_pretrained(tmp_path / "encoder")
    Tokenizer.from_pretrained(teacher_folder).save_pretrained(tmp_path / "encoder")
    with pytest.raises(
        MissingHeadError, match=r"no masked-LM head.*limbeck pretrain model=.*encoder new_head=true"
    ):
        run(distill, **values(corpus_folder, tmp_path / "encoder", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_corpus_of_another_vocabulary_is_refused(
    tmp_path: Path, text: Path, teacher_folder: Path
) -> None:
    other = train_wordpiece([text], vocab_size=70, lowercase=True)
    build_corpus(
        [text], tokenizer=other, out=tmp_path / "corpus", settings=CorpusSettings(heldout_ratio=0.2)
    )
    with pytest.raises(DataError, match="tokenizer"):
        run(distill, **values(tmp_path / "corpus", teacher_folder, tmp_path / "run"))


def test_student_of_another_vocabulary_is_refused(
    tmp_path: Path, text: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    other = train_wordpiece([text], vocab_size=70, lowercase=True)
    make_teacher(other.vocab_size).save_pretrained(tmp_path / "student")
    other.save_pretrained(tmp_path / "student")
    settings = values(
        corpus_folder, teacher_folder, tmp_path / "run", student=str(tmp_path / "student")
    )
    with pytest.raises(DataError, match="tokenizer"):
        run(distill, **settings)


def test_widths_that_do_not_match_are_refused_for_the_cosine_loss(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path, tokenizer: Tokenizer
) -> None:
    narrow = AutoModelForMaskedLM.from_pretrained(teacher_folder).config.replace(
        hidden_size=8, num_hidden_layers=1
    )
    AutoModelForMaskedLM.from_config(narrow).save_pretrained(tmp_path / "student")
    tokenizer.save_pretrained(tmp_path / "student")
    settings = values(
        corpus_folder,
        teacher_folder,
        tmp_path / "run",
        student=str(tmp_path / "student"),
        max_steps=2,
    )
    with pytest.raises(
        SettingsError, match=r"losses\.cosine.*hidden_size is 16 and the student's 8.*leave"
    ):
        run(distill, **settings)
    result = run(distill, **settings, losses={"soft_targets": {}, "masked_lm": {}})
    assert "cosine" not in result.held_out_after


def test_not_finite_loss_stops_and_keeps_the_checkpoint(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = values(
        corpus_folder,
        teacher_folder,
        tmp_path / "run",
        learning_rate=1e30,
        max_grad_norm=None,
        save_every=1,
        schedule={"warmup_ratio": 0, "decay": "constant"},
    )
    with pytest.raises(
        TrainingError, match=r"step \d+: the loss is (nan|inf).*Lower learning_rate"
    ):
        run(distill, **settings)
    assert list((tmp_path / "run/checkpoints").glob("step-*"))


def test_unknown_loss_in_settings_names_the_accepted(tmp_path: Path) -> None:
    settings = values(tmp_path, tmp_path, tmp_path, losses={"cosin": {}})
    with pytest.raises(SettingsError, match=r"'cosin'.*accepted: attention_mse, cosine.*'cosine'"):
        run(distill, **settings)


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


def test_corpus_without_held_out_text_is_refused_before_anything_is_written(
    tmp_path: Path, text: Path, tokenizer: Tokenizer, teacher_folder: Path
) -> None:
    build_corpus(
        [text],
        tokenizer=tokenizer,
        out=tmp_path / "corpus",
        settings=CorpusSettings(heldout_ratio=0),
    )
    settings = values(tmp_path / "corpus", teacher_folder, tmp_path / "run")
    with pytest.raises(DataError, match=r"heldout"):
        distill.plan(distill.SettingsType(**settings))
    with pytest.raises(DataError, match=r"heldout"):
        run(distill, **settings)
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


def test_half_precision_goes_on_with_its_loss_scale(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = values(
        corpus_folder, teacher_folder, tmp_path / "run", precision="fp16", max_steps=6, save_every=3
    )
    run(distill, **settings)
    expected = read_safetensors(tmp_path / "run/model/model.safetensors")
    # As if the run had been stopped after its third step.
    (tmp_path / "run/result.json").unlink()
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000006")
    record = json.loads((tmp_path / "run/checkpoints/step-00000003/state.json").read_text())
    assert record["loss_scale"]["scale"] < 65536, "the scale has been lowered, so it must be kept"
    run(distill, **settings)
    actual = read_safetensors(tmp_path / "run/model/model.safetensors")
    assert all(torch.equal(tensor, actual[name]) for name, tensor in expected.items())


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
    settings = read_settings(distill.SettingsType, load_preset(preset).path, overrides)
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
