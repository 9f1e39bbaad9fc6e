"""Fine-tuning that prunes meanwhile, with a teacher: what is kept, told, and gone on with."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import transformers
from tiny_task import (
    LABELS,
    Lines,
    assert_same_weights,
    finetune,
    make_settings,
    read_lines,
    read_weights,
    write_model,
)

from limbeck import AutoModelForSequenceClassification, AutoTokenizer
from limbeck.config import dump_toml, read_settings
from limbeck.errors import SettingsError
from limbeck.recipes.finetune import FinetuneSettings, iterate, plan, run, summarise
from limbeck.report.figures import percent
from limbeck.runs import FinetuneRecord
from limbeck.sparsity import measure_density
from limbeck.train import SilentProgress, read_metrics

MOVEMENT = {"method": "movement", "density": 0.15}
METHODS = {
    "movement": MOVEMENT,
    "magnitude": {"method": "magnitude", "density": 0.3, "scope": "global"},
    "soft_movement": {"method": "soft_movement", "learning_rate": 0.5, "threshold": 0.4},
    "l0": {"method": "l0", "penalty": 30.0, "density": 0.5},
    "cofi": {"method": "cofi", "density": 0.5},
}
EPOCHS = {"epochs": 5, "evaluations_per_epoch": 2}  # of eight steps


@pytest.fixture(scope="module")
def pruned(deep_teacher, data, tmp_path_factory):
    """The folder, the record and what was logged of a model that learns from itself, dense."""
    out, progress = tmp_path_factory.mktemp("pruned") / "run", Lines()
    changes = {"teacher": deep_teacher, "new_head": False, "sparsify": MOVEMENT, **EPOCHS}
    return out, finetune(deep_teacher, data, out, progress=progress, **changes), progress.lines


def evaluations(out):
    return [line for line in read_metrics(out / "seed-0") if line.kind == "evaluate"]


def test_exactly_the_asked_share_stays(pruned, deep_teacher):
    out, record, _ = pruned
    model = AutoModelForSequenceClassification.from_pretrained(out / "model")
    weights = [
        module.weight
        for module in model.encoder.layers.modules()
        if isinstance(module, torch.nn.Linear)
    ]
    assert len(weights) == 3 * 6
    assert all(int(w.count_nonzero()) == round(0.15 * w.numel()) for w in weights)
    assert record.best.density == measure_density(model)
    assert record.best.density == pytest.approx(0.15, abs=0.001)
    assert FinetuneRecord.read(out) == record
    found, given = read_weights(out / "model"), read_weights(deep_teacher)
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in given.items()}
    card = (out / "model/README.md").read_text(encoding="utf-8")
    left = percent(record.best.density)
    assert f"| Weights left | {left} of the encoder's linear layers (movement) |" in card
    assert "Pruned weights are zeros: the file is as large and the model as fast as before" in card
    assert f"{left} of the weights left" in summarise(record)


def test_what_is_scored_is_the_plain_model_that_others_load(pruned, data):
    out, record, _ = pruned
    model = transformers.AutoModelForSequenceClassification.from_pretrained(out / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    rows = read_lines(Path(data) / "validation.jsonl")
    right = 0
    for row in rows:
        ids = torch.tensor([tokenizer(row["sentence"])["input_ids"]])
        with torch.no_grad():
            right += int(model(ids).logits.argmax()) == row["label"]
    assert right / len(rows) == record.best.validation["accuracy"]


def test_only_validations_of_the_final_density_are_chosen_from(deep_teacher, data, tmp_path):
    """Before that it is right more often: what it gives in the end is what is told."""
    progress = Lines()
    out = tmp_path / "run"
    sparsify = {"method": "magnitude", "density": 0.001}
    record = finetune(
        deep_teacher, data, out, new_head=False, sparsify=sparsify, progress=progress, **EPOCHS
    )
    lines = evaluations(out)
    densities = [line.values["density"] for line in lines]
    assert all(later <= sooner for sooner, later in itertools.pairwise(densities))
    last = record.best.density
    final = [line for line in lines if line.values["density"] == last]
    assert [line.step for line in final] == [32, 36, 40]  # the cool-down is a fifth of 40 steps
    before = max(line.values["accuracy"] for line in lines if line not in final)
    assert before > max(line.values["accuracy"] for line in final) + 0.1
    chosen = next(line for line in final if line.step == record.best.best_step)
    assert record.best.validation["accuracy"] == chosen.values["accuracy"]
    said = [line for line in progress.lines if "of the weights left" in line]
    assert sum("not kept: more are to go" in line for line in said) == 7 == len(said) - 3


def test_patience_counts_from_the_final_density_on(deep_teacher, data, tmp_path):
    sparsify = {"method": "magnitude", "density": 0.001, "cooldown_ratio": 0.5}
    changes = {"patience": 1, "new_head": False, "learning_rate": 1e-9, **EPOCHS}
    record = finetune(deep_teacher, data, tmp_path / "run", sparsify=sparsify, **changes)
    assert (record.best.best_step, record.best.num_steps) == (20, 24)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_on_to_the_same_bits(method, deep_teacher, data, tmp_path):
    changes = {"sparsify": METHODS[method], "epochs": 1.5, "evaluations_per_epoch": 2}
    changes |= {"new_head": False, "teacher": deep_teacher}
    whole = finetune(deep_teacher, data, tmp_path / "whole", **changes)
    assert 0 < whole.best.density < 1
    for num_steps in (3, 10, 12):
        settings = make_settings(deep_teacher, data, tmp_path / str(num_steps), **changes)
        steps = iterate(settings, progress=SilentProgress())
        for _ in range(num_steps):
            next(steps)
        steps.close()
        found = run(settings, progress=SilentProgress())
        assert_same_weights(tmp_path / "whole/model", settings.out / "model")
        assert found.best.density == whole.best.density
        assert evaluations(settings.out)[-1].values == evaluations(tmp_path / "whole")[-1].values


@pytest.mark.slow
def test_a_run_that_is_killed_ends_with_the_same_bits(deep_teacher, data, tmp_path):
    changes = {"sparsify": METHODS["l0"], "save_every": 1, "epochs": 2, "new_head": False}
    settings = make_settings(deep_teacher, data, tmp_path / "killed", **changes)
    code = (
        "import sys\n"
        "from limbeck.recipes.finetune import FinetuneSettings, run\n"
        "from limbeck.train import SilentProgress\n"
        "import torch; torch.set_num_threads(int(sys.argv[2]))\n"
        "run(FinetuneSettings.model_validate_json(sys.argv[1]), progress=SilentProgress())\n"
    )
    arguments = [settings.model_dump_json(), str(torch.get_num_threads())]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    checkpoints = tmp_path / "killed/seed-0/checkpoints"
    deadline = time.monotonic() + 60
    while not any(checkpoints.glob("step-*[5-9]")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    run(settings, progress=SilentProgress())
    finetune(deep_teacher, data, tmp_path / "whole", **changes)
    assert_same_weights(tmp_path / "whole/model", tmp_path / "killed/model")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_four_small_batches_are_a_large_one(method, data, tmp_path_factory, tmp_path):
    sober = write_model(tmp_path / "sober", head=LABELS, dropout=0.0)
    losses = []
    for accumulate in (1, 4):
        out = tmp_path / str(accumulate)
        changes = {"accumulate": accumulate, "new_head": False, "epochs": 1}
        finetune(sober, data, out, sparsify=METHODS[method], **changes)
        lines = [line for line in read_metrics(out / "seed-0") if line.kind == "train"]
        losses.append([line.values["loss"] for line in lines])
        are_paid = ["loss_penalty" in line.values for line in lines]
        if method == "cofi":  # not before the first weight is to go, nor after the last
            assert (are_paid[0], any(are_paid), are_paid[-1]) == (False, True, False)
        else:
            assert set(are_paid) == {method in ("soft_movement", "l0")}
        # Of the model, not of its scores.
        assert max(line.values["learning_rate"] for line in lines) < 3e-3
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_more_epochs_are_made_again(encoder, data, tmp_path):
    """With a constant rate too, since other steps prune."""
    constant = {"decay": "constant", "warmup_ratio": 0}
    changes = {"sparsify": MOVEMENT, "schedule": constant}
    finetune(encoder, data, tmp_path / "run", epochs=1, **changes)
    progress = Lines()
    finetune(encoder, data, tmp_path / "run", epochs=2, progress=progress, **changes)
    assert any("For 2 epochs other steps prune" in line for line in progress.lines)
    finetune(encoder, data, tmp_path / "whole", epochs=2, **changes)
    assert_same_weights(tmp_path / "whole/model", tmp_path / "run/model")


def test_a_dry_run_and_a_settings_file(encoder, data, tmp_path):
    settings = make_settings(encoder, data, tmp_path / "run", sparsify=MOVEMENT)
    assert plan(settings)["sparsify"] == {"method": "movement", "density": 0.15}
    soft = make_settings(encoder, data, tmp_path / "run", sparsify={"method": "soft-movement"})
    assert plan(soft)["sparsify"]["density"] == "as the penalty leaves"
    (tmp_path / "run.toml").write_text(dump_toml(settings), encoding="utf-8")
    assert read_settings(FinetuneSettings, tmp_path / "run.toml") == settings
    given = ["sparsify.method=magnitude", "sparsify.density=0.5", "sparsify.scope=global"]
    needed = ["model=M", "task=sst2", "out=O"]
    found = read_settings(FinetuneSettings, None, [*needed, *given]).sparsify
    assert (found.method, found.density, found.scope) == ("magnitude", 0.5, "global")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsify": {"method": "movement", "density": 1.5}}, r"density = 1\.5 is not accepted"),
        (
            {"sparsify": "movement"},
            r"sparsify = 'movement' is not accepted\..* a table with method",
        ),
        ({"sparsify": {"method": "l-0"}}, r"sparsify\.method = 'l_0' is none; .*mean 'l0'\?"),
        (
            {"intermediate": {}, "teacher": "runs/a/model"},
            r"sparsify prunes while .*; run finetune with intermediate first",
        ),
        (
            {"replacing": {}, "keep_layers": 1, "new_head": False},
            r"and replacing trains all weights before that; run finetune with replacing first",
        ),
        (
            {"max_minutes": 3},
            r"max_minutes = 3 could end the run .*; accepted: epochs or max_steps",
        ),
    ],
)
def test_what_does_not_fit(encoder, data, tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        finetune(encoder, data, tmp_path / "run", **{"sparsify": MOVEMENT, **changes})
    assert not (tmp_path / "run").exists()
