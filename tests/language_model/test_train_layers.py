"""`distill train_layers`: layers learned one after another, as stages of a chain."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from tiny_language_runs import run, values

from limbeck.checkpoints import read_safetensors
from limbeck.errors import SettingsError
from limbeck.recipes import chain, distill
from limbeck.train import SilentProgress

HALF = {"num_student_layers": 2, "layers": "lower", "model_type": "bert", "max_steps": 2}


def learn(layer: int) -> dict[str, object]:
    return {"losses": {"hidden_mse": {"student_layers": [layer]}}, "train_layers": [layer]}


def read(folder: Path) -> dict[str, torch.Tensor]:
    return read_safetensors(folder / "model.safetensors")


def changed(before: Path, after: Path) -> set[str]:
    first, second = read(before), read(after)
    return {
        name.partition("layer.")[2].partition(".")[0] if "layer." in name else name
        for name in first
        if not torch.equal(first[name], second[name])
    }


def test_layers_are_learned_one_after_another_in_a_chain(
    corpus_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    text = values(corpus_folder, teacher_folder, tmp_path, **HALF)
    given = {name: value for name, value in text.items() if name != "out"}
    later = {name: value for name, value in given.items() if name not in (*HALF, "max_steps")}
    later |= {"recipe": "distill", "max_steps": 2}
    stages = {
        "first": {"recipe": "distill", **given, **learn(1), "train_layers": [0, 1]},
        "second": {**later, "student": "first", **learn(2)},
        "whole": {**later, "student": "second"},
    }
    settings = chain.SettingsType.from_values({"stages": stages, "out": tmp_path / "run"})
    planned = chain.plan(settings)
    assert planned["stages"]["whole"]["student_num_layers"] == 2
    chain.run(settings, progress=SilentProgress())
    folders = {name: tmp_path / "run/stages" / name / "model" for name in stages}
    assert changed(folders["first"], folders["second"]) == {"1"}
    whole = changed(folders["second"], folders["whole"])
    assert {"0", "1", "bert.embeddings.word_embeddings.weight"} <= whole
    transformers.BertForMaskedLM.from_pretrained(folders["whole"])  # is a model like any


def test_what_is_trained_is_named_from_either_end(
    corpus_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    for name, layer in (("above", 2), ("last", -1)):
        run(
            distill,
            **values(
                corpus_folder,
                teacher_folder,
                tmp_path / name,
                **{**HALF, **learn(2), "train_layers": [layer]},
            ),
        )
    assert changed(tmp_path / "above/model", tmp_path / "last/model") == set()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_layers": [3]},
            r"train_layers = \[3\]: 3 is no layer .*accepted: 1 to 2, or -2 ",
        ),
        (
            {"train_layers": [2], "losses": {"hidden_mse": {"student_layers": [1]}}},
            r"train_layers trains layer 2 .*\(losses\.hidden_mse ends at layer 1\)",
        ),
        ({"train_layers": []}, r"train_layers"),
    ],
)
def test_layers_that_can_not_be_trained_alone(
    corpus_folder: Path,
    teacher_folder: Path,
    tmp_path: Path,
    changes: dict[str, object],
    message: str,
) -> None:
    given = values(corpus_folder, teacher_folder, tmp_path / "run", **{**HALF, **changes})
    with pytest.raises(SettingsError, match=message):
        run(distill, **given)
    assert not (tmp_path / "run").exists()
