"""TinyBERT's general distillation: a student of a new shape learns layers of text as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_teacher import make_teacher

from limbeck import AutoModelForMaskedLM, Tokenizer
from limbeck.config import read_settings
from limbeck.data import Corpus
from limbeck.errors import SettingsError
from limbeck.recipes import distill
from limbeck.recipes._language_model import make_batches
from limbeck.recipes._presets import list_presets
from limbeck.train import SilentProgress, read_metrics

SHAPES = {
    "tinybert4": {"num_hidden_layers": 4, "hidden_size": 8, "intermediate_size": 12},
    "tinybert6": {"num_hidden_layers": 6},
}


def make_settings(preset: str, folder: Path, corpus: Path, *further: str) -> distill.SettingsType:
    overrides = [
        f"teacher={folder / 'teacher'}",
        f"corpus={corpus}",
        f"out={folder / 'run'}",
        "sequence_length=16",
        "batch_size=8",
        "accumulate=2",
        "max_epochs=1",
        "max_steps=40",
        "log_every=1",
        "learning_rate=3e-3",
        *further,
    ]
    return read_settings(distill.SettingsType, list_presets()[preset].path, overrides)


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "num_maps"), [("tinybert4", 2), ("tinybert6", 0)])
def test_layers_are_learned_from_text_as_it_stands(
    tmp_path: Path,
    corpus_folder: Path,
    tokenizer: Tokenizer,
    preset: str,
    num_maps: int,
) -> None:
    """The presets, shrunk in size alone."""
    make_teacher(tokenizer.vocab_size, num_layers=12).save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    given = read_settings(
        distill.SettingsType,
        list_presets()[preset].path,
        ["teacher=x", "corpus=x", "out=x"],
    )
    (start,) = given.start
    tiny = ", ".join(f"{name} = {size}" for name, size in SHAPES[preset].items())
    settings = make_settings(
        preset, tmp_path, corpus_folder, f'start=[{{ method = "{start.method}", {tiny} }}]'
    )
    assert all(getattr(start, name) is not None for name in SHAPES[preset])
    _, teacher, student = distill._prepare(settings)
    for name, size in SHAPES[preset].items():
        assert getattr(student.config, name) == size
    batch = make_batches(Corpus.open(corpus_folder), settings, kind=student.kind).batch(0)
    assert tokenizer.mask_token_id not in batch.input_ids
    is_label = batch.labels >= 0
    assert (batch.input_ids[is_label] == batch.labels[is_label]).all()
    maps = settings.losses["hidden_mse"].build(student.config, teacher.config).parameters()
    assert len(list(maps)) == num_maps
    distill.run(settings, progress=SilentProgress())
    lines = [line.values for line in read_metrics(tmp_path / "run") if line.kind == "train"]
    for term in ("loss_hidden_mse", "loss_attention_mse"):
        assert lines[-1][term] < 0.8 * lines[0][term]
    made = AutoModelForMaskedLM.from_pretrained(tmp_path / "run/model")
    assert made.config.num_hidden_layers == SHAPES[preset]["num_hidden_layers"]


def test_a_shape_that_can_not_be_is_refused(
    tmp_path: Path, corpus_folder: Path, tokenizer: Tokenizer
) -> None:
    make_teacher(tokenizer.vocab_size, num_layers=12).save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    for sizes, message in (
        ("hidden_size = 18", r"new_shape: .*18 is not divisible by 4, the number of attention he"),
        ("num_attention_heads = 2", r"losses.attention_mse .* has 4 heads and the student 2"),
    ):
        start = f'start=[{{ method = "new_shape", {sizes} }}]'
        with pytest.raises(SettingsError, match=message):
            distill.run(
                make_settings("tinybert4", tmp_path, corpus_folder, start),
                progress=SilentProgress(),
            )
    assert not (tmp_path / "run").exists()
