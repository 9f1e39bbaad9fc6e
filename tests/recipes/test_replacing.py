"""BERT-of-Theseus: a student's layers stand in for groups of a fine-tuned model's, at random."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers
from tiny_task import (
    LABELS,
    assert_same_weights,
    finetune,
    make_settings,
    read_weights,
    write_model,
)

from limbeck import AutoModelForSequenceClassification, AutoTokenizer, listing
from limbeck.errors import SettingsError
from limbeck.methods import start_student
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.recipes.finetune import iterate, plan
from limbeck.recipes.finetune.replacing import MixedModel, draw_replaced, find_rate
from limbeck.recipes.finetune.settings import ReplacingSettings
from limbeck.runs import FinetuneRecord
from limbeck.train import SilentProgress, read_metrics

RUN = {"new_head": False, "keep_layers": 2, "epochs": 1}
PHASE = {"epochs": 1, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory):
    """Of four layers."""
    folder = tmp_path_factory.mktemp("theseus") / "model"
    return write_model(folder, head=LABELS, num_hidden_layers=4, initializer_range=0.3)


def halve(model):
    return start_student(copy.deepcopy(model), (KeepLayersSettings(layers=2),)).eval()


def scramble(model):
    """Gives a student layers of its own, as training does."""
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in model.encoder.layers.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)


@pytest.mark.parametrize("family", listing.list_names("limbeck.models"))
def test_in_every_family_none_is_the_model_and_all_is_the_student(family, tmp_path):
    folder = write_model(tmp_path / "model", model_type=family, head=LABELS, num_hidden_layers=4)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    student = halve(model)
    scramble(student)
    batch = AutoTokenizer.from_pretrained(folder)(["good film", "a bad story"], padding=True)
    inputs = {name: torch.tensor(batch[name]) for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        expected = {False: model(**inputs).logits, True: student(**inputs).logits}
        mixed = MixedModel.of(model, student)
        for is_replaced, logits in expected.items():
            mixed.replace([is_replaced] * 2)
            torch.testing.assert_close(mixed.model(**inputs).logits, logits)
        mixed.replace([True, False])
        between = mixed.model(**inputs).logits
    assert not torch.allclose(between, expected[True])
    assert not torch.allclose(between, expected[False])


@pytest.mark.parametrize("is_replaced", [[True, False], [False, True]])
def test_a_mixed_bert_is_that_of_transformers_with_its_layers_laid_by_hand(
    fine_tuned, tmp_path, is_replaced
):
    model = AutoModelForSequenceClassification.from_pretrained(fine_tuned).double()
    student = halve(model)
    scramble(student)
    student.save_pretrained(tmp_path / "student")
    oracle, other = (
        transformers.BertForSequenceClassification.from_pretrained(
            folder, dtype=torch.float64, attn_implementation="eager"
        ).eval()
        for folder in (fine_tuned, tmp_path / "student")
    )
    own, theirs = oracle.bert.encoder.layer, other.bert.encoder.layer
    laid = []
    for group, replaced in enumerate(is_replaced):
        laid += [theirs[group]] if replaced else [own[2 * group], own[2 * group + 1]]
    oracle.bert.encoder.layer = torch.nn.ModuleList(laid)
    ids = torch.tensor([[2, 5, 9, 7, 3, 0], [2, 8, 6, 3, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0]])
    mixed = MixedModel.of(model.eval(), student.double())
    mixed.replace(is_replaced)
    found = mixed.model(input_ids=ids, attention_mask=mask).logits
    expected = oracle(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
    found.sum().backward()
    expected.sum().backward()
    trained = {n for n, weight in mixed.model.named_parameters() if weight.grad is not None}
    assert trained
    assert all(int(name.split(".")[2]) >= 4 for name in trained)  # the student's layers alone
    for group, replaced in enumerate(is_replaced):
        if replaced:
            gradient = student.encoder.layers[group].feed_forward.up.weight.grad
            hers = theirs[group].intermediate.dense.weight.grad
            torch.testing.assert_close(gradient, hers, atol=1e-9, rtol=0)


def test_draws_are_a_function_of_seed_and_step():
    drawn = [draw_replaced(6, rate=0.5, seed=1, step=step) for step in range(2000)]
    assert drawn[:9] == [draw_replaced(6, rate=0.5, seed=1, step=step) for step in range(9)]
    assert drawn != [draw_replaced(6, rate=0.5, seed=2, step=step) for step in range(2000)]
    share = sum(map(sum, drawn)) / 12_000
    assert share == pytest.approx(0.5 / (1 - 0.5**6), abs=0.02)  # given that any is replaced
    assert all(any(of_step) for of_step in drawn)
    assert draw_replaced(6, rate=1.0, seed=0, step=3) == [True] * 6


def test_the_chance_is_constant_and_then_rises_to_one():
    constant = ReplacingSettings(rate=0.3, rise_ratio=0)
    assert {find_rate(constant, step, 10) for step in range(10)} == {0.3}
    rates = [find_rate(ReplacingSettings(rate=0.2, rise_ratio=1), step, 8) for step in range(8)]
    assert rates == pytest.approx([0.2 + 0.1 * step for step in range(1, 9)])


def test_only_the_students_layers_learn_and_then_all_of_it(fine_tuned, data, tmp_path):
    record = finetune(
        fine_tuned, data, tmp_path / "run", replacing=PHASE, max_steps=1, **RUN, learning_rate=1e-20
    )
    found, given = read_weights(tmp_path / "run/model"), read_weights(fine_tuned)
    same = {name for name in found if torch.allclose(found[name], given[name], atol=1e-9)}
    assert {name for name in found if ".layer." not in name} <= same
    assert not any(".layer." in name for name in same)
    assert record.num_layers == 2
    assert record.best.replacing_steps == 8
    lines = read_metrics(tmp_path / "run/seed-0/replacing")
    assert len([line for line in lines if line.kind == "train"]) == 8
    assert not (tmp_path / "run/seed-0/replacing/checkpoints").exists()
    card = (tmp_path / "run/model/README.md").read_text()
    assert "| Layers replaced first | 8 steps (BERT-of-Theseus) |" in card


def test_a_dry_run_tells_both_phases(fine_tuned, data, tmp_path):
    settings = make_settings(fine_tuned, data, tmp_path / "run", replacing=PHASE, **RUN)
    planned = plan(settings)
    assert (planned["num_layers"], planned["replacing"]) == (2, {"max_steps": 8})
    assert planned["max_steps"] == 8


@pytest.mark.slow
@pytest.mark.parametrize("num_steps", [3, 8, 11])
def test_a_stopped_run_goes_on_to_the_same_weights(fine_tuned, data, tmp_path, num_steps):
    values = {"replacing": PHASE, **RUN}
    finetune(fine_tuned, data, tmp_path / "whole", **values)
    steps = iterate(
        make_settings(fine_tuned, data, tmp_path / "run", **values), progress=SilentProgress()
    )
    phases = [next(steps).phase for _ in range(num_steps)]
    steps.close()
    assert phases == (["replacing"] * 8 + ["task"] * 8)[:num_steps]
    finetune(fine_tuned, data, tmp_path / "run", **values)
    assert_same_weights(tmp_path / "whole/model", tmp_path / "run/model")
    assert FinetuneRecord.read(tmp_path / "run").best.replacing_steps == 8


@pytest.mark.slow
def test_four_small_batches_are_a_large_one(data, tmp_path):
    sober = write_model(tmp_path / "sober", head=LABELS, num_hidden_layers=4, dropout=0.0)
    losses = []
    for accumulate in (1, 4):
        out = tmp_path / str(accumulate)
        finetune(sober, data, out, replacing=PHASE, accumulate=accumulate, **RUN)
        lines = read_metrics(out / "seed-0/replacing")
        losses.append([line.values["loss"] for line in lines if line.kind == "train"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_layers": 3}, r"student's 3 layers .* the 4 layers of .*keep_layers = 1, 2$"),
        ({"keep_layers": None}, "replacing .* there is no student; give keep_layers"),
        ({"new_head": True}, "replacing goes on from a model .*; give new_head = false"),
        ({"initialise": "random"}, "replacing goes on .* leave initialise at 'pretrained'"),
        ({"teacher": "runs/a/model"}, "replacing learns from the labels alone, but there is a tea"),
        ({"replacing": {"rate": 1e-12}}, r"replacing\.rate = 1e-12 .*a number >= 0\.01 and <= 1"),
        ({"replacing": {"rise_ratio": 2}}, r"replacing\.rise_ratio = 2"),
        (
            {
                "keep_layers": None,
                "start": [{"method": "keep_layers", "layers": 2, "model_type": "distilbert"}],
            },
            "replacing: the student is a distilbert of width 16, and .* a bert of 16",
        ),
    ],
)
def test_what_can_not_be_replaced(fine_tuned, data, tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        finetune(fine_tuned, data, tmp_path / "run", **{"replacing": PHASE, **RUN, **changes})
    assert not (tmp_path / "run").exists()
