"""A loss with parameters in a whole run: trained, resumed to the bit, left out of the model."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from limbeck import AutoModelForMaskedLM, Tokenizer
from limbeck.checkpoints import read_safetensors
from limbeck.recipes import distill
from limbeck.train import SilentProgress

MAP = "module.objective.losses.hidden_mse.of_layers.weight"


def test_projection_to_a_wider_teacher(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path, tokenizer: Tokenizer
) -> None:
    """Dropout is on, so that the random state counts as well."""
    narrow = AutoModelForMaskedLM.from_pretrained(teacher_folder).config.replace(
        hidden_size=8, num_hidden_layers=2
    )
    AutoModelForMaskedLM.from_config(narrow).save_pretrained(tmp_path / "student")
    tokenizer.save_pretrained(tmp_path / "student")
    settings = distill.SettingsType.from_values(
        {
            "teacher": str(teacher_folder),
            "student": str(tmp_path / "student"),
            "corpus": str(corpus_folder),
            "out": str(tmp_path / "run"),
            "losses": {"soft_targets": {}, "hidden_mse": {}},
            "sequence_length": 16,
            "batch_size": 8,
            "accumulate": 2,
            "max_steps": 6,
            "save_every": 3,
        }
    )

    def run() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        distill.run(settings, progress=SilentProgress())
        checkpoint = tmp_path / "run/checkpoints/step-00000006/state.safetensors"
        model = tmp_path / "run/model/model.safetensors"
        return read_safetensors(checkpoint), read_safetensors(model)

    state, model = run()
    halfway = read_safetensors(tmp_path / "run/checkpoints/step-00000003/state.safetensors")
    assert state[MAP].shape == (16, 8)
    assert not torch.equal(state[MAP], halfway[MAP])
    assert model.keys() == read_safetensors(tmp_path / "student/model.safetensors").keys()

    # As if the run had been stopped after its third step.
    (tmp_path / "run/result.json").unlink()
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000006")
    shutil.rmtree(tmp_path / "run/model")
    resumed_state, resumed_model = run()
    assert all(torch.equal(tensor, resumed_state[name]) for name, tensor in state.items())
    assert all(torch.equal(tensor, resumed_model[name]) for name, tensor in model.items())
