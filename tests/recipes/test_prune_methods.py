"""`limbeck prune --method`: masks that are learned, and what they emptied taken out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_task import LABELS, Lines, assert_same_weights, write_model

from limbeck import AutoModelForSequenceClassification
from limbeck.cli import main
from limbeck.errors import SettingsError
from limbeck.export import load_target, write_export
from limbeck.recipes.prune import PruneSettings, plan, prepare_model, run, summarise
from limbeck.report import figures
from limbeck.sparsity import measure_density
from limbeck.train import SilentProgress

FAST = {"max_length": 16, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu"}
COFI = {"method": "cofi", "density": 0.5, "epochs": 3, "sparsify": {"learning_rate": 0.5}}
HEAD, NEURON, LAYERS = 8 * 4 * 16, 2 * 16, 3
"""Weights of a head and of a neuron of the tiny teacher, which has 2 and 32 in each layer."""


def make_settings(model, data, out, **changes):
    values = {"model": str(model), "data": data, "out": str(out), "measure": False}
    return PruneSettings.from_values(values | FAST | changes)


def load(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder)


@pytest.fixture(scope="module")
def gated(deep_teacher, data, tmp_path_factory):
    settings = make_settings(deep_teacher, data, tmp_path_factory.mktemp("gated") / "run", **COFI)
    return settings, run(settings, progress=SilentProgress())


def test_what_gates_closed_is_gone(gated, deep_teacher):
    settings, result = gated
    masked, cut = (load(settings.out / "rounds" / name) for name in ("1/run/model", "2/cut"))
    ids = torch.randint(5, 20, (4, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(cut(ids).logits, masked(ids).logits, rtol=0, atol=1e-6)
    assert measure_density(masked) <= 0.5
    heads, neurons = sum(result.after.num_heads), sum(result.after.num_neurons)
    assert 0 < heads * HEAD + neurons * NEURON <= 0.5 * LAYERS * (2 * HEAD + 32 * NEURON)
    small = load(result.model)
    shapes = [small.config.layer_shape(place) for place in range(LAYERS)]
    assert tuple(len(shape.heads) for shape in shapes) == result.after.num_heads
    assert tuple(shape.neurons for shape in shapes) == result.after.num_neurons
    assert result.after.num_parameters == small.num_parameters < result.before.num_parameters
    first, last = result.rounds
    assert (first.num_heads, first.num_neurons) == ((2, 2, 2), (32, 32, 32))
    assert first.density == measure_density(masked)
    assert (last.num_heads, last.density) == (result.after.num_heads, None)
    assert (result.density, result.sparse_bytes) == (None, None)


def test_its_page_says_how(gated):
    page = (gated[0].out / "report/report.html").read_text(encoding="utf-8").replace("\xa0", " ")
    assert "pruned by method = cofi to at most 50.0 %, while it learned from labels and" in page
    assert "taken out, and what is left learned as long again." in page


def test_the_plan_of_gates(deep_teacher, data, tmp_path):
    settings = make_settings(deep_teacher, data, tmp_path / "run", **COFI)
    found = plan(settings)
    assert (found["method"], found["density"]) == ("cofi", 0.5)
    assert found["num_heads"] == "as many as earn it of 6"
    assert found["steps"] == {"round 1 of 2": 24, "round 2 of 2": 24}
    assert found["num_parameters"].startswith("about ")
    assert "importance" not in found
    prepare_model(settings)(tmp_path / "model")
    assert load(tmp_path / "model").num_parameters < load(deep_teacher).num_parameters


@pytest.mark.slow
def test_gates_go_on_where_they_were_stopped(gated, deep_teacher, data, tmp_path):
    out = tmp_path / "run"
    for stop_at in ("seed 0, epoch 2: ", "round 2 of 2: "):
        with pytest.raises(KeyboardInterrupt):
            run(make_settings(deep_teacher, data, out, **COFI), progress=Lines(stop_at))
    progress = Lines()
    result = run(make_settings(deep_teacher, data, out, **COFI), progress=progress)
    assert "round 1 of 2: finished before" in progress.lines
    assert result.after.scores == gated[1].after.scores
    assert_same_weights(out / "model", gated[0].out / "model")


def test_single_weights(deep_teacher, data, tmp_path):
    """The same shape, with zeros; the report says what it is without them."""
    out = tmp_path / "run"
    settings = make_settings(deep_teacher, data, out, method="movement", density=0.15, epochs=1)
    found = plan(settings)
    assert found["num_heads"] == "6 of 6"
    assert "0.0 % less" in found["num_parameters"]
    result = run(settings, progress=SilentProgress())
    model = load(result.model)
    assert result.density == measure_density(model) == pytest.approx(0.15, abs=0.001)
    assert result.after.num_parameters == result.before.num_parameters
    assert [one.density for one in result.rounds] == [result.density]
    write_export(Path(result.model), tmp_path / "sparse", load_target("sparse"))
    written = tmp_path / "sparse/model.sparse.safetensors"
    assert result.sparse_bytes == pytest.approx(written.stat().st_size, rel=0.02)
    left = figures.percent(result.density)
    assert f"{left} of its layers' weights are not zero; limbeck export" in summarise(result)
    page = (out / "report/report.html").read_text(encoding="utf-8").replace("\xa0", " ")
    assert "so that it is as fast as before; without zeros, in int8" in page


@pytest.mark.slow
def test_blocks_from_the_shell(deep_teacher, data, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--method", "block-movement", "--density", "0.3", "--sparsify.block", "8"]
    flags += ["--sparsify.learning_rate", "0.5", "--measure", "false", "--epochs", "2"]
    arguments = ["prune", deep_teacher, "--data", data, "--out", str(out), *flags]
    assert main([*arguments, "--batch_size", "8", "--device", "cpu"]) == 0
    assert "The score changed by" in capsys.readouterr().err
    small, whole = load(out / "model"), load(deep_teacher)
    assert small.num_parameters < whole.num_parameters


@pytest.mark.parametrize(
    ("family", "neurons"), [("albert", 2 * 2 * 32), ("mobilebert", 2 * 4 * 32)]
)
def test_single_weights_go_where_units_cannot(family, neurons, data, tmp_path):
    """ALBERT's groups may run several layers, MobileBERT's layers have several feed-forwards."""
    own = {"albert": {"inner_group_num": 2}, "mobilebert": {"num_feedforward_networks": 4}}[family]
    model = write_model(tmp_path / "model", model_type=family, head=LABELS, **own)
    settings = make_settings(model, data, tmp_path / "run", method="magnitude", density=0.5)
    planned = plan(settings)
    layers = 2 * own.get("inner_group_num", 1)
    heads = 2 * layers
    assert planned["num_layers"] == f"{layers} of {layers}"
    assert planned["num_heads"] == f"{heads} of {heads}"
    assert planned["num_neurons"] == f"{neurons} of {neurons}"
    assert " 0.0 % less, of the layers on a text of 10 tokens" in planned["operations"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "cofy", "density": 0.5}, r"method = 'cofy' is none; .*mean 'cofi'\?"),
        ({"method": "cofi"}, r"method = 'cofi' keeps a share of the weights; give density, such"),
        ({"method": "cofi", "density": 50}, r"density = 50: a share of 1, .* such as 0\.5"),
        ({"density": 0.5}, r"density = 0\.5 is for a method, but there is none; give method = 'co"),
        ({"sparsify": {"block": 8}}, r"sparsify is for a method, but there is none; give method"),
        (
            {"method": "cofi", "density": 0.5, "heads": 0.5},
            r"heads = 0\.5 ranks heads and neurons, and method = 'cofi' learns what stays",
        ),
        (
            {"method": "movement", "density": 0.5, "rounds": 3},
            r"rounds = 3 ranks heads and neurons, and method = 'movement' learns",
        ),
        (
            {"method": "cofi", "density": 0.5, "sparsify": {"scope": "global"}},
            r"sparsify: there is no setting 'scope'",
        ),
        (
            {"method": "cofi", "density": 0.5, "sparsify": {"density": 0.3}},
            r"sparsify\.density = 0\.3 is another word for density; accepted: density = 0\.3",
        ),
        (
            {"method": "cofi", "density": 0.5, "sparsify": {"method": "l0"}},
            r"sparsify\.method = 'l0' is another word for method; accepted: method = 'l0'",
        ),
        (
            {"method": "block_movement", "density": 0.5, "sparsify": {"block": 5}},
            r"block = 5 does not divide the 16 x 16 weights .*: a divisor of 16",
        ),
        (
            {"heads": 0.5, "finetune": {"sparsify": {"method": "l0"}}},
            r"finetune\.sparsify is not for you to set",
        ),
    ],
)
def test_what_is_refused(changes, message, deep_teacher, data, tmp_path):
    with pytest.raises(SettingsError, match=message):
        run(make_settings(deep_teacher, data, tmp_path / "run", **changes), progress=Lines())
    assert not (tmp_path / "run").exists()
