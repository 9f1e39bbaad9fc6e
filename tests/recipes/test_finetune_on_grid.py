"""Fine-tuning on the grid of a file: what is kept of a teacher, gone on with, exported as it is."""

from __future__ import annotations

import pytest
import torch
from tiny_task import assert_same_weights, finetune, make_settings

from limbeck import AutoModelForSequenceClassification
from limbeck.config import dump_toml, read_settings
from limbeck.errors import SettingsError
from limbeck.export import Graph, find_role, list_modules, load_target
from limbeck.recipes import export
from limbeck.recipes.finetune import FinetuneSettings, iterate, plan, run
from limbeck.train import SilentProgress

LOSSES = {"soft_targets": {}, "hidden_mse": {}, "attention_mse": {}}


def changes_of(teacher, **quantise):
    return {"teacher": teacher, "new_head": False, "losses": LOSSES, "quantise": quantise}


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_a_run_gives_what_the_export_holds(bits, deep_teacher, data, tmp_path):
    changes = changes_of(deep_teacher, weights=bits)
    record = finetune(deep_teacher, data, tmp_path / "run", **changes)
    folder = tmp_path / "run/model"
    graph = Graph(AutoModelForSequenceClassification.from_pretrained(folder))
    target = load_target(f"onnx_int{bits}")
    for name, module in list_modules(graph).items():
        held = target.narrow(module.weight.data, role=find_role(graph, module))
        assert torch.equal(held, module.weight.data), name
    values = {"model": str(folder), "to": target.name, "data": data, "out": tmp_path / "exported"}
    values |= {"max_drop": 0.05, "measure": False, "compare_with": deep_teacher}
    result = export.run(export.SettingsType.from_values(values), progress=SilentProgress())
    (exported,) = result.models
    assert exported.score.score >= record.best.validation["accuracy"] - 0.05
    assert exported.score.drop == result.score - exported.score.score
    assert f"They are held against {deep_teacher}, not" in export.summarise(result)
    told = (tmp_path / "exported/model/README.md").read_text(encoding="utf-8")
    assert "It was held against run. run has " in " ".join(told.split())
    # Three values of one size a row are numbers of int8 too, not of int4, whose steps are 16.
    other = "onnx-int4" if bits == 2 else "onnx-int2"
    changed = {**values, "to": (target.name, other), "out": tmp_path / "other"}
    planned = export.plan(export.SettingsType.from_values(changed))
    assert planned["compare_with"] == deep_teacher
    assert "note" not in planned["targets"][f"onnx-int{bits}"]
    assert planned["targets"][other]["note"] == (
        f"weights are quantised already, as onnx-int{bits} holds them, and {other} rounds them "
        f"once more; limbeck export --to onnx-int{bits} writes them as they are"
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| Weights trained as | int{bits}, which onnx-int{bits} writes |" in card
    assert f"limbeck export --to onnx-int{bits} writes that file, with these weights" in card


@pytest.mark.slow
def test_a_run_that_was_left_ends_with_the_same_bits(deep_teacher, data, tmp_path):
    changes = changes_of(deep_teacher, weights=2) | {
        "intermediate": {"epochs": 0.5},
        "epochs": 1,
        "losses": {"soft_targets": {}},
    }
    finetune(deep_teacher, data, tmp_path / "whole", **changes)
    for num_steps in (2, 7):  # in the phase of layers, and after it
        settings = make_settings(deep_teacher, data, tmp_path / str(num_steps), **changes)
        steps = iterate(settings, progress=SilentProgress())
        for _ in range(num_steps):
            next(steps)
        steps.close()
        run(settings, progress=SilentProgress())
        assert_same_weights(tmp_path / "whole/model", settings.out / "model")


def test_a_dry_run_and_a_settings_file(encoder, data, tmp_path):
    settings = make_settings(encoder, data, tmp_path / "run", quantise={"weights": 4})
    expected = {"weights": 4, "activations": 8, "written_by": "limbeck export --to onnx-int4"}
    assert plan(settings)["quantise"] == expected
    (tmp_path / "run.toml").write_text(dump_toml(settings), encoding="utf-8")
    assert read_settings(FinetuneSettings, tmp_path / "run.toml") == settings
    given = ["quantise.weights=2", "quantise.activations=32"]
    found = read_settings(FinetuneSettings, None, ["model=M", "task=sst2", "out=O", *given])
    assert (found.quantise.weights, found.quantise.narrows_inputs) == (2, False)


def test_exports_are_held_against_a_model_that_they_can_stand_in_for(
    encoder, deep_teacher, tmp_path
):
    values = {"model": encoder, "to": "onnx-int4", "out": tmp_path / "run"}
    settings = export.SettingsType.from_values({**values, "compare_with": deep_teacher})
    with pytest.raises(
        SettingsError,
        match=r"compare_with = .* has outputs logits of labels NEGATIVE, POSITIVE, and model = .* "
        r"has outputs last_hidden_state; accepted: a model that it can stand in for",
    ):
        export.run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantise": {"weights": 3}}, r"quantise\.weights = 3 is not accepted.*8, 4 or 2"),
        (
            {"quantise": {"weights": 4, "activations": 16}},
            r"quantise\.activations = 16 is not accepted.*8 or 32",
        ),
        ({"quantise": {}}, r"quantise\.weights.*required"),
        (
            {"sparsify": {"method": "movement", "density": 0.5}},
            r"quantise\.weights = 4 and sparsify\.method = 'movement' are both given",
        ),
        (
            {"replacing": {}, "keep_layers": 1, "new_head": False},
            r"quantise\.weights = 4 narrows all layers, and replacing .*with replacing first",
        ),
    ],
)
def test_what_does_not_fit(encoder, data, tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        finetune(encoder, data, tmp_path / "run", **{"quantise": {"weights": 4}, **changes})
    assert not (tmp_path / "run").exists()
