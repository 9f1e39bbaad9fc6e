"""What pretrain and distill refuse, with the way out, and what is left of a run that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_language_runs import run, values
from tiny_teacher import make_teacher

from limbeck import AutoModel, AutoModelForMaskedLM, Tokenizer
from limbeck.data import CorpusSettings, build_corpus
from limbeck.errors import DataError, MissingHeadError, SettingsError, TrainingError
from limbeck.recipes import distill, pretrain
from limbeck.tokenizers import train_wordpiece


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


@pytest.mark.parametrize("teacher", ["said.jsonl", "http://localhost:1/predict", "openai://m"])
def test_what_labels_texts_teaches_no_running_text(
    tmp_path: Path, corpus_folder: Path, teacher: str
) -> None:
    given = values(corpus_folder, tmp_path, tmp_path / "run") | {"teacher": teacher}
    with pytest.raises(SettingsError, match=rf"teacher = {teacher} says something of whole texts"):
        run(distill, **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sequence_length": 80},
            r"sequence_length = 80, but the teacher .* has 64 pos.*: 8 to 64",
        ),
        ({"accumulate": 9}, r"accumulate = 9 .*batch_size = 8\); accepted: accumulate = 1 to 8"),
        ({"device": "nowhere"}, r"device = 'nowhere' can't be used"),
        ({"seed": -1}, r"seed = -1 is not accepted"),
        ({"max_epochs": float("inf")}, r"max_epochs = inf .*a finite number > 0"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] = 1.0 is not accepted"),
        (
            {"compile": True, "device": "cpu"},
            r"compile = true needs a C\+\+ compiler .*'no-such-c'",
        ),
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses(
    tmp_path: Path,
    corpus_folder: Path,
    teacher_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    message: str,
) -> None:
    monkeypatch.setenv("CXX", "no-such-c")
    settings = values(corpus_folder, teacher_folder, tmp_path / "run", **changes)
    with pytest.raises(SettingsError, match=message):
        distill.plan(distill.SettingsType.from_values(settings))
    with pytest.raises(SettingsError, match=message):
        run(distill, **settings)
    assert not (tmp_path / "run").exists()


def test_rows_longer_than_a_model_reads_are_refused(
    tmp_path: Path, corpus_folder: Path, tokenizer: Tokenizer, teacher_folder: Path
) -> None:
    make_teacher(tokenizer.vocab_size, num_positions=24).save_pretrained(tmp_path / "short")
    tokenizer.save_pretrained(tmp_path / "short")
    short = str(tmp_path / "short")
    changes = {"student": short, "sequence_length": 32}
    with pytest.raises(SettingsError, match=r"sequence_length = 32, but the student .*short has"):
        run(distill, **values(corpus_folder, teacher_folder, tmp_path / "run", **changes))
    given = {"corpus": corpus_folder, "out": tmp_path / "run", "sequence_length": 32}
    with pytest.raises(SettingsError, match=r"the model .*short has 24 positions; accepted: 8 to"):
        run(pretrain, model=short, batch_size=4, **given)
    sizes = {"hidden_size": 12, "max_position_embeddings": 16, "batch_size": 4}
    with pytest.raises(SettingsError, match=r"new model has 16 .*larger max_position_embeddings"):
        run(pretrain, **sizes, **given)
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
    with pytest.raises(SettingsError, match="student have different vocabularies, and a corpus"):
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
    with pytest.raises(SettingsError, match=r"'cosin'.*accepted: attention_kl, .*cosine.*'cosine'"):
        run(distill, **settings)


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
