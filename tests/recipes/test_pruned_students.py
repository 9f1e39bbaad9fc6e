"""Students with fewer heads and neurons in their layers: trained, scored, run and told apart."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_task import LABELS, finetune, make_settings, read_loss, write_model

import limbeck
from limbeck.cli import main
from limbeck.inference import load_engine
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes import evaluate
from limbeck.recipes.finetune import plan
from limbeck.train import SilentProgress

pytestmark = pytest.mark.slow

UNEVEN = {"method": "prune_units", "heads": 0.5, "neurons": 0.5, "scope": "global"}
LOSSES = {
    "soft_targets": {},
    "hidden_mse": {},
    "attention_mse": {},
    "attention_kl": {},
    "relations": {"num_relation_heads": 1, "student_layers": [-1]},
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(
        tmp_path_factory.mktemp("models") / "teacher",
        head=LABELS,
        hidden_size=32,
        num_attention_heads=4,
        dropout=0.0,
    )


@pytest.fixture(scope="module")
def student(teacher, data, tmp_path_factory):
    """A run whose student learns all that a teacher's layers tell."""
    out = tmp_path_factory.mktemp("runs") / "student"
    changes = {"teacher": teacher, "losses": LOSSES, "new_head": False, "learning_rate": 1e-2}
    return finetune(teacher, data, out, start=[UNEVEN], epochs=4, **changes), out


def test_a_student_of_some_heads_and_neurons_learns(student):
    result, out = student
    losses = read_loss(out)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    model = AutoModelForSequenceClassification.from_pretrained(out / "model")
    shapes = model.config.layer_shapes
    assert sum(len(shape.heads) for shape in shapes) == 4
    assert sum(shape.neurons for shape in shapes) == 32
    assert model.num_parameters == result.seeds[0].num_parameters


def test_its_card_says_what_it_has_and_who_loads_it(student):
    out = student[1]
    shapes = limbeck.AutoConfig.from_pretrained(out / "model").layer_shapes
    card = (out / "model/README.md").read_text(encoding="utf-8")
    heads = ", ".join(str(len(shape.heads)) for shape in shapes)
    neurons = ", ".join(str(shape.neurons) for shape in shapes)
    assert f"| Heads of each layer | {heads} of 4 |" in card
    assert f"| Inner neurons of each layer | {neurons} of 32 |" in card
    assert "| Started by | prune_units |" in card
    assert "It has layers without some of their heads or inner neurons, which" in card
    assert "from limbeck import AutoModelForSequenceClassification, AutoTokenizer" in card
    assert "library_name" not in card


def test_its_layers_are_those_that_the_plan_says(teacher, data, tmp_path):
    """A dry run looks at the weights, draws nothing, and writes nothing."""
    settings = make_settings(
        teacher, data, tmp_path / "run", teacher=teacher, losses=LOSSES, start=[UNEVEN]
    )
    before = torch.get_rng_state()
    assert plan(settings)["num_layers"] == 2
    assert torch.equal(torch.get_rng_state(), before)
    assert not (tmp_path / "run").exists()


def test_it_is_pruned_by_random_weights_too(teacher, data, tmp_path):
    start = [{"method": "prune_units", "heads": 1, "neurons": 8}]
    changes = {"start": start, "initialise": "random", "max_steps": 1}
    finetune(teacher, data, tmp_path / "run", **changes)
    config = limbeck.AutoConfig.from_pretrained(tmp_path / "run/model")
    assert [(len(s.heads), s.neurons) for s in config.layer_shapes] == [(1, 8), (1, 8)]


def test_too_few_are_refused_before_anything_is_written(teacher, data, tmp_path):
    with pytest.raises(
        limbeck.SettingsError,
        match=r"start, of .*teacher: heads = 0.1 keeps 0 of the 4 heads of layer 0; accepted: 1 to",
    ):
        finetune(teacher, data, tmp_path / "run", start=[{"method": "prune_units", "heads": 0.1}])
    assert not (tmp_path / "run").exists()


def test_it_is_scored(student, data, tmp_path):
    result, out = student
    settings = evaluate.EvaluateSettings(
        model=str(out / "model"), data=data, out=tmp_path / "run", max_length=16, device="cpu"
    )
    scores = evaluate.run(settings, progress=SilentProgress()).scores
    assert scores == pytest.approx(result.seeds[0].scores["validation"])


def test_it_is_trimmed_and_halved_again(student, data, tmp_path):
    """Other methods, on a model that was pruned."""
    out = student[1]
    again = [{"method": "keep_layers", "layers": [1]}, {"method": "prune_units", "neurons": 0.5}]
    finetune(str(out / "model"), data, tmp_path / "run", start=again, new_head=False, max_steps=1)
    before = limbeck.AutoConfig.from_pretrained(out / "model").layer_shape(1)
    after = limbeck.AutoConfig.from_pretrained(tmp_path / "run/model").layer_shape(0)
    assert after.heads == before.heads
    assert after.neurons == (before.neurons + 1) // 2


def test_it_is_timed_beside_the_whole_one(student, teacher, capsys):
    out = student[1]
    given = ["bench", teacher, str(out / "model"), "--batch-size", "4", "--repeats", "2"]
    assert main([*given, "--no-memory", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models"].keys() == {"teacher", "student"}


def test_engines_know_it(student):
    engine = load_engine("torch", student[1] / "model")
    assert engine.facts.class_name == "BertForSequenceClassification"
    assert engine.facts.vocab_size > 0
