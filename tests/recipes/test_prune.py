"""`limbeck prune`: a fine-tuned model in, one of fewer heads, neurons and layers out."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tiny_task import Lines, assert_same_weights, make_rows, write_data, write_model

from limbeck import AutoModelForSequenceClassification, AutoTokenizer
from limbeck.cli import main
from limbeck.errors import CheckpointError, DataError, MissingHeadError, SettingsError
from limbeck.recipes._importance import score_units
from limbeck.recipes.finetune.data import read_data
from limbeck.recipes.prune import PruneSettings, plan, prepare_model, run
from limbeck.recipes.prune.cutting import Schedule
from limbeck.recipes.prune.rounds import list_rounds, make_ranking
from limbeck.runs import RunRecord
from limbeck.train import SilentProgress

FAST = {"max_length": 16, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu", "epochs": 2}
HALF = {"heads": 0.5, "neurons": 0.5}
STEP = {"max_steps": 1}


def make_settings(model, data, out, **changes):
    values = {"model": str(model), "data": data, "out": str(out), "measure": False}
    return PruneSettings.from_values(values | FAST | changes)


def prune(*arguments, progress=None, **changes):
    return run(make_settings(*arguments, **changes), progress=progress or SilentProgress())


def load(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder)


@pytest.fixture(scope="module")
def halved(deep_teacher, data, tmp_path_factory):
    """Settings and result of a run with all that there is, speed included."""
    out = tmp_path_factory.mktemp("halved") / "run"
    settings = make_settings(deep_teacher, data, out, **HALF, measure=True)
    return settings, run(settings, progress=SilentProgress())


def test_half_of_each_layer(halved, deep_teacher):
    result = halved[1]
    model, whole = load(result.model), load(deep_teacher)
    shapes = [model.config.layer_shape(place) for place in range(3)]
    assert [(len(shape.heads), shape.neurons) for shape in shapes] == [(1, 16)] * 3
    assert result.after.num_heads == (1, 1, 1)
    assert result.after.num_neurons == (16, 16, 16)
    assert (result.before.num_parameters, result.after.num_parameters) == (
        whole.num_parameters,
        model.num_parameters,
    )
    assert result.after.num_operations / result.before.num_operations == 0.5
    assert model.config.id2label == whole.config.id2label
    tokenizer = AutoTokenizer.from_pretrained(result.model)
    assert model(**tokenizer("a good film", return_tensors="pt")).logits.shape == (1, 2)


def test_it_speaks_of_one_model_before_and_after(halved):
    settings, result = halved
    assert result.headline.startswith("The pruned model, with as many layers as the full model (3)")
    assert result.before.name == "full model"
    for kind in ("html", "md"):
        page = (settings.out / f"report/report.{kind}").read_text(encoding="utf-8")
        paths = r"[\w/.-]*/teacher\d*/[\w/.-]*"
        said = re.sub(rf'<style>.*?</style>|class="student"|{paths}', "", page, flags=re.S)
        assert "full model" in said
        for word in ("teacher", "student", "baseline", "Every seed", "Median |"):
            assert word not in said


def test_it_says_what_it_kept(halved):
    settings, result = halved
    assert (result.split, result.num_examples) == ("test", 16)
    assert result.difference.low <= result.difference.value <= result.difference.high
    assert result.difference.value == pytest.approx(result.after.score - result.before.score)
    assert result.latency_speed_up > 0
    assert result.throughput_speed_up > 0
    assert [sum(r.num_neurons) for r in result.rounds] == [69, 48]
    assert [sum(r.num_heads) for r in result.rounds] == [3, 3]
    page = (settings.out / "report/report.md").read_text(encoding="utf-8")
    assert "3 of 6 heads (1 a layer) and 48 of 96 feed-forward neurons (16 a layer)" in page
    assert "cut in 2 steps, by importance = taylor; after each, what was left learned" in page
    is_told = Path("/proc/self/status").exists()
    assert (result.after.loaded_bytes is not None) == is_told
    assert ("Loaded in torch it takes" in page) == is_told
    card = (settings.out / "model/README.md").read_text(encoding="utf-8")
    assert "all 3 layers, 3 of 6 heads" in card
    assert "| Recipe | limbeck prune " in card
    assert json.loads((settings.out / "model/limbeck.json").read_text())["task"] == "sst2"


def test_the_plan_tells_the_truth(halved, deep_teacher, data, tmp_path):
    result = halved[1]
    planned = plan(make_settings(deep_teacher, data, tmp_path / "run", **HALF))
    assert not (tmp_path / "run").exists()
    assert planned["num_heads"] == "3 of 6"
    assert planned["num_neurons"] == "48 of 96"
    whole, left = result.before.num_parameters, result.after.num_parameters
    sizes = f"{left / 1e3:.2f} k of {whole / 1e3:.2f} k"
    assert planned["num_parameters"] == f"{sizes}, {100 * (1 - left / whole):.1f} % less"
    assert planned["operations"].endswith("50.0 % less, of the layers on a text of 10 tokens")
    assert planned["steps"] == {"round 1 of 2": 16, "round 2 of 2": 16}
    header = result.before.file_bytes - 4 * whole  # names and sizes of tensors: much of a tiny file
    assert result.after.file_bytes == pytest.approx(4 * left + header, abs=64)
    assert planned["file"] == "0.02 MB of 0.04 MB"


def test_a_finished_run_is_not_repeated(halved):
    settings, result = halved
    progress = Lines()
    assert run(settings, progress=progress) == result
    assert progress.lines[-1] == f"{settings.out} is already complete"


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_all_layers_share_one_budget(share, deep_teacher, data, tmp_path):
    result = prune(deep_teacher, data, tmp_path / "run", keep=share, rounds=1, finetune=STEP)
    model, whole = load(result.model), load(deep_teacher)
    units = sum(p.numel() for n, p in whole.named_parameters() if ".layers." in n)
    assert whole.num_parameters - model.num_parameters >= (1 - share) * 0.9 * units
    assert len(set(result.after.num_neurons)) > 1


def test_hidden_states_get_narrower(deep_teacher, data, tmp_path):
    """The same dimensions in all layers, in steps; heads stay as wide as they were."""
    changes = {"width": 0.5, "neurons": 0.5, "importance": "fisher", "finetune": STEP}
    settings = make_settings(deep_teacher, data, tmp_path / "run", **changes)
    found = plan(settings)
    assert found["hidden_size"] == "8 of 16"
    result = run(settings, progress=SilentProgress())
    model, middle = load(result.model), load(tmp_path / "run/rounds/1/cut")
    assert [one.config.hidden_size for one in (middle, model)] == [11, 8]
    assert (model.config.head_size, model.config.layer_shape(0).neurons) == (8, 16)
    assert (result.before.hidden_size, result.after.hidden_size) == (16, 8)
    assert f"{model.num_parameters:,}" != f"{load(deep_teacher).num_parameters:,}"
    page = (tmp_path / "run/report/report.md").read_text(encoding="utf-8")
    assert "in hidden states of 8 of 16 dimensions. On a text" in page


@pytest.mark.slow
def test_what_was_pruned_is_not_lost_where_memory_cannot_be_measured(
    deep_teacher, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    settings = make_settings(
        deep_teacher, data, tmp_path / "run", layers=2, measure=True, finetune=STEP
    )
    progress = Lines()
    result = run(settings, progress=progress)
    assert any(re.match(r"memory was not measured: .* could not be", li) for li in progress.lines)
    assert result.after.loaded_bytes is None
    assert result.after.latency_ms > 0


def test_layers_go_first(deep_teacher, data, tmp_path):
    result = prune(deep_teacher, data, tmp_path / "run", layers=2, neurons=0.5)
    assert [r.num_neurons for r in result.rounds] == [(23, 23), (16, 16)]
    model = load(result.model)
    assert model.config.num_hidden_layers == 2
    assert model.config.intermediate_size == 16  # which transformers reads too
    assert model.config.layer_shapes is None


def test_layers_alone_go_in_one_round_and_nothing_is_measured(deep_teacher, data, tmp_path):
    changes = {"layers": 2, "label_weight": 0, "finetune": STEP}
    settings = make_settings(deep_teacher, data, tmp_path / "run", **changes)
    planned = plan(settings)
    assert planned["steps"] == {"round 1 of 1": 1}
    assert "importance" not in planned
    result = run(settings, progress=SilentProgress())
    assert [r.num_neurons for r in result.rounds] == [(32, 32)]
    card = (settings.out / "model/README.md").read_text(encoding="utf-8")
    assert (
        "It was cut in one step; after it, what was left learned from the model as it was given "
        "alone for 2 epochs, at most 1 step."
    ) in card


@pytest.mark.parametrize(
    ("kept", "name"), [({"heads": 0.25}, "heads"), ({"neurons": 0.0157}, "neurons")]
)
def test_the_least_share_that_is_accepted(kept, name, deep_teacher, data, tmp_path):
    planned = plan(make_settings(deep_teacher, data, tmp_path / "run", **kept))
    assert planned[f"num_{name}"].startswith("3 of")


def test_what_does_nothing_goes_first(deep_teacher, data, tmp_path):
    """Units that write nothing score nothing, and the model without them says what it said."""
    dead = load(deep_teacher)
    with torch.no_grad():
        for place in range(3):
            layer = dead.encoder.plain_layer_at(place)
            layer.feed_forward.down.weight[:, ::2] = 0
            layer.attention.output.weight[:, :8] = 0
    folder = tmp_path / "dead"
    dead.save_pretrained(folder)
    AutoTokenizer.from_pretrained(deep_teacher).save_pretrained(folder)
    texts = [row["sentence"] for row in make_rows(5, seed=3)]
    inputs = AutoTokenizer.from_pretrained(deep_teacher)(texts, padding=True, return_tensors="pt")
    for importance in ("taylor", "fisher", "norm"):
        settings = make_settings(
            folder, data, tmp_path / "run", **HALF, rounds=1, importance=importance
        )
        first = list_rounds(settings)[0].settings.model_copy(update={"model": str(folder)})
        read = read_data(first, SilentProgress())
        model = load(folder)
        schedule = Schedule.plan(settings, model, num_tokens=8)
        scores = score_units(
            model, make_ranking(settings, number=1), read, progress=SilentProgress()
        )
        small = schedule.cut(model, schedule.choose(model, scores, number=1), number=1)
        assert [shape.heads for shape in small.config.layer_shapes] == [(1,)] * 3
        with torch.no_grad():
            torch.testing.assert_close(small.eval()(**inputs).logits, dead(**inputs).logits)


def test_without_a_teacher(deep_teacher, data, tmp_path):
    prune(deep_teacher, data, tmp_path / "run", **HALF, rounds=1, distil=False)
    settings = RunRecord.read(tmp_path / "run/rounds/1/run").settings
    assert settings["teacher"] is None
    assert not (tmp_path / "run/teacher/cache").exists()


@pytest.mark.slow
def test_it_goes_on_where_it_was_interrupted(halved, deep_teacher, data, tmp_path):
    out = tmp_path / "run"
    for stop_at in ("seed 0, epoch 1: ", "round 2 of 2: 3 heads"):
        with pytest.raises(KeyboardInterrupt):
            prune(deep_teacher, data, out, **HALF, progress=Lines(stop_at))
        assert not (out / "result.json").exists()
    progress = Lines()
    result = prune(deep_teacher, data, out, **HALF, progress=progress)
    assert "round 1 of 2: finished before" in progress.lines
    assert result.after.scores == halved[1].after.scores
    assert_same_weights(out / "model", halved[0].out / "model")


def test_a_model_that_was_changed_on_the_way_is_noticed(deep_teacher, data, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        prune(deep_teacher, data, out, **HALF, progress=Lines("round 1 of 2: 3 heads"))
    weights = out / "rounds/1/cut/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckpointError, match=r"1/cut/model\.safetensors is not the file.*round"):
        prune(deep_teacher, data, out, **HALF)


def test_a_model_as_it_is_left_stands_in_for_it(deep_teacher, data, tmp_path):
    """So that `chain` can look at the stages that come after."""
    settings = make_settings(deep_teacher, data, tmp_path / "run", keep=0.5)
    assert plan(settings)["num_heads"] == "as many as earn it of 6"
    assert "50.0 % less" in plan(settings)["operations"]
    write = prepare_model(settings)
    write(tmp_path / "model")
    model = load(tmp_path / "model")
    assert model.num_parameters < load(deep_teacher).num_parameters
    assert (tmp_path / "model/limbeck.json").exists()


@pytest.mark.slow
def test_what_was_pruned_is_pruned_further(halved, data, tmp_path):
    changes = {"neurons": 0.5, "rounds": 1, "finetune": STEP}
    result = prune(halved[1].model, data, tmp_path / "run", **changes)
    assert result.after.num_neurons == (8, 8, 8)
    assert result.after.num_heads == (1, 1, 1)


@pytest.mark.slow
def test_from_the_shell(deep_teacher, data, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--heads", "0.5", "--rounds", "1", "--finetune.max_steps", "1", "--measure", "false"]
    arguments = ["prune", deep_teacher, "--data", data, "--out", str(out), *flags]
    arguments += ["--batch_size", "8", "--device", "cpu"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "3 of 6" in capsys.readouterr().out
    assert not out.exists()
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == str(out / "model")
    assert main(arguments) == 0
    shown = capsys.readouterr().err
    assert "The score changed by" in shown
    assert f"The model:  {out / 'model'}" in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 1.0}, r"nothing would be pruned; give a share below 1, such as heads = 0\.5"),
        ({"heads": 50}, r"heads = 50: a share of 1, not per cent, such as 0\.5"),
        ({"heads": 2}, r"heads = 2 is not accepted\. Accepted: a number > 0 and <= 1"),
        ({"keep": 0.5, "heads": 0.5}, r"keep = 0\.5 ranks .* heads = 0\.5 is a share of each"),
        ({"keep": 0.5, "width": 0.5}, r"keep = 0\.5 ranks .* width = 0\.5 is a share"),
        ({"width": 0.01}, r"width = 0\.01 keeps 0 of the 16 dimensions .*; accepted: 1 to 15"),
        ({"keep": 0.5, "importance": "norm"}, r"keep = 0\.5 .* 'norm' .* accepted: taylor, fisher"),
        ({"heads": 0.2}, r"heads = 0\.2 leaves layer 0 none of its 2 heads; accepted: 0\.25 to 1"),
        ({"neurons": 0.01}, r"neurons = 0\.01 leaves layer 0 none of its 32.*accepted: 0\.0157 to"),
        ({"keep": 0.1}, r"keep = 0\.1 is less than one head and one neuron of each of 3 layers"),
        ({"width": 0.5, "rounds": 9}, r"rounds = 9: in round 8 nothing .*; accepted: 1 to 7"),
        ({"width": 0.94, "rounds": 3}, r"rounds = 3: in round \d nothing .*; accepted: 1 to 2$"),
        ({"keep": 0.9, "rounds": 100}, r"rounds = 100: in round \d+ nothing .*; accepted: 1 to "),
        ({"layers": 3}, r"layers = 3 keeps all 3 layers"),
        ({"layers": 4}, r"layers = 4: the teacher has 3 layers; accepted: 1 to 3"),
        ({**HALF, "distil": False, "label_weight": 0}, r"label_weight = 0 .* distil = false"),
        ({**HALF, "distil": False, "losses": {"logit_mse": {}}}, r"losses\.logit_mse .* distil"),
        ({**HALF, "finetune": {"keep_layers": 1}}, r"finetune\.keep_layers is not for you to set"),
        ({**HALF, "importance": "magnitude"}, r"importance = 'magnitude'.*'taylor'"),
    ],
)
def test_what_cannot_be_pruned(changes, message, deep_teacher, data, tmp_path):
    with pytest.raises(SettingsError, match=message):
        prune(deep_teacher, data, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_not_fine_tuned(encoder, data, tmp_path):
    with pytest.raises(MissingHeadError, match=r"has no head, and nothing says .*--task NAME"):
        prune(encoder, data, tmp_path / "run", **HALF)
    with pytest.raises(MissingHeadError, match=r"has no head that is fine-tuned for sst2"):
        prune(encoder, data, tmp_path / "run", **HALF, task="sst2")
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_labels(data, tmp_path):
    model = write_model(tmp_path / "model", head=["yes", "no"])
    with pytest.raises(DataError, match=r"yes"):
        prune(model, data, tmp_path / "run", **HALF)
    assert not (tmp_path / "run").exists()


def test_a_family_whose_layers_are_shared(data, tmp_path):
    model = write_model(tmp_path / "model", model_type="albert", head=["NEGATIVE", "POSITIVE"])
    with pytest.raises(SettingsError, match=r"an albert, since a layer of a group runs in several"):
        prune(model, data, tmp_path / "run", **HALF)
    assert not (tmp_path / "run").exists()


def test_a_model_that_has_learned_nothing(tmp_path):
    model = write_model(tmp_path / "model", head=["NEGATIVE", "POSITIVE"])
    data = write_data(tmp_path / "data")
    with pytest.raises(DataError, match=r"there is nothing to keep; accepted: a model that"):
        prune(model, data, tmp_path / "run", **HALF)
