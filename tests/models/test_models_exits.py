"""Early exits: the model itself is as it was, and a row leaves with what its exit says alone."""

import json
import math

import pytest
import torch
import transformers
from model_oracle import FAMILIES, draw_wide, make_inputs, our_class, our_config

from limbeck.checkpoints import ExitInfo, read_safetensors, write_safetensors
from limbeck.errors import CheckpointError, DataError, ExportError, SettingsError
from limbeck.export import load_graph
from limbeck.inference.engines.torch import TorchEngine
from limbeck.models import (
    AutoModelForSequenceClassification,
    EarlyExitModel,
    find_architecture,
)
from limbeck.models._exits.uncertainty import MEASURES, to_answers
from limbeck.models._kinds import MASKED_LM, SEQUENCE_CLASSIFICATION

CLASSIFIERS = [f for f in FAMILIES if SEQUENCE_CLASSIFICATION in find_architecture(f).kinds]
EXACT = {"rtol": 0.0, "atol": 1e-10}
SINGLE, MULTI, NUMBERS = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


def make(family="bert", *, layers=(1, 2), uncertainty="entropy", bound=0.0, **changes):
    """A model in float64 with exits that differ from its own head, all drawn wide."""
    config = our_config(family, **{"num_labels": 3, **changes})
    model = our_class(family, SEQUENCE_CLASSIFICATION)(config).double()
    found = EarlyExitModel(model, ExitInfo(layers=layers, uncertainty=uncertainty, bound=bound))
    draw_wide(found, seed=3)
    return found.double().eval()


def make_rows(family="bert", *, rows=12):
    given = make_inputs(family, SEQUENCE_CLASSIFICATION)
    torch.manual_seed(5)
    inputs = {name: value.repeat(rows // 3, 1) for name, value in given.items()}
    ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
    inputs["input_ids"] = torch.where(mask, torch.randint(2, 50, ids.shape), ids)
    return inputs


def separately(model, inputs, layer):
    """An exit's scores of the hidden states that the model itself collects."""
    states = model.model.encode(**inputs, collect={("hidden_states", layer)}).hidden_states[0]
    norm, part = model.model.encoder.norm, model.exits[str(layer)]
    assert (norm is None) == (part.norm is None)
    states = states if norm is None else part.norm(states)
    first = states[:, 0]
    if part.pooler is not None:
        first = part.pooler(states, inputs["input_ids"], inputs["attention_mask"])
    return part.head(first)


def middle(values):
    """A number between two of the values, about half of which are below it."""
    values = values.sort().values
    place = len(values) // 2
    return float((values[place - 1] + values[place]) / 2)


@pytest.mark.parametrize("family", CLASSIFIERS)
@torch.no_grad()
def test_a_bound_that_nobody_meets_leaves_the_model_as_it_is(family):
    model, inputs = make(family), make_rows(family)
    output = model(**inputs)
    assert torch.equal(output.logits, model.model(**inputs).logits)
    assert output.num_layers_run.tolist() == [model.model.encoder.num_layers] * 12


@pytest.mark.parametrize("family", CLASSIFIERS)
@torch.no_grad()
def test_each_row_has_the_answer_of_its_exit(family):
    model, inputs = make(family), make_rows(family)
    expected = [separately(model, inputs, layer) for layer in (1, 2)]
    expected.append(model.model(**inputs).logits)
    for given, wanted in zip(model.score_all(**inputs), expected, strict=True):
        torch.testing.assert_close(given, wanted, **EXACT)
    probabilities = [each.softmax(-1) for each in expected[:2]]
    entropies = [-(p * p.log()).sum(-1) / math.log(3) for p in probabilities]
    bound = middle(torch.minimum(*entropies))
    output = model.with_bound(bound)(**inputs)
    last = model.model.encoder.num_layers
    depths = torch.where(entropies[0] < bound, 1, torch.where(entropies[1] < bound, 2, last))
    assert output.num_layers_run.tolist() == depths.tolist()
    assert last in depths
    assert len(set(depths.tolist())) > 1
    places = {1: 0, 2: 1, last: 2}
    rows = [expected[places[depth]][row] for row, depth in enumerate(depths.tolist())]
    torch.testing.assert_close(output.logits, torch.stack(rows), **EXACT)
    chosen = model.choose(model.score_all(**inputs), bound=bound)
    assert chosen.tolist() == [places[depth] for depth in depths.tolist()]


@pytest.mark.parametrize("family", CLASSIFIERS)
@torch.no_grad()
def test_a_batch_is_its_rows_one_by_one(family):
    model, inputs = make(family), make_rows(family)
    model = model.with_bound(middle(torch.minimum(*model.doubts(model.score_all(**inputs)))))
    together = model(**inputs)
    for row in range(12):
        alone = model(**{name: value[row : row + 1] for name, value in inputs.items()})
        assert alone.num_layers_run.item() == together.num_layers_run[row].item()
        torch.testing.assert_close(alone.logits[0], together.logits[row], **EXACT)


@torch.no_grad()
def test_one_list_of_positions_serves_all_rows():
    model, inputs = make(bound=0.999), make_rows()
    inputs["position_ids"] = inputs["position_ids"][:1]
    full = {**inputs, "position_ids": inputs["position_ids"].expand(12, -1)}
    assert torch.equal(model(**inputs).logits, model(**full).logits)


@torch.no_grad()
def test_what_has_left_is_not_computed():
    model, inputs = make(bound=1.0, layers=(1, 2)), make_rows()
    seen = []
    layers = model.model.encoder.layers
    handles = [layer.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
               for layer in layers]  # fmt: skip
    depths = model.with_bound(middle(model.doubts(model.score_all(**inputs))[0]))(**inputs)
    counts = seen[len(layers) :]
    for handle in handles:
        handle.remove()
    left = depths.num_layers_run
    assert counts == [int((left > place).sum()) for place in range(len(counts))]
    assert counts[0] == 12 > counts[1] > 0


@pytest.mark.parametrize("problem", [SINGLE, MULTI, NUMBERS])
@pytest.mark.parametrize("name", MEASURES)
def test_uncertainty(problem, name):
    if problem == NUMBERS and name != "change":
        return
    torch.manual_seed(1)
    scores, earlier = 3 * torch.randn(2, 50, 4, dtype=torch.float64)
    answers, before = to_answers(scores, problem), to_answers(earlier, problem)
    found = MEASURES[name](answers, before, problem)
    for row in range(50):
        p, q = answers[row].tolist(), before[row].tolist()
        binary = [-(x * math.log(x) + (1 - x) * math.log(1 - x)) if 0 < x < 1 else 0 for x in p]
        wanted = {
            ("entropy", SINGLE): lambda p=p: -sum(x * math.log(x) for x in p) / math.log(4),
            ("entropy", MULTI): lambda b=binary: max(b) / math.log(2),
            ("probability", SINGLE): lambda p=p: 1 - max(p),
            ("probability", MULTI): lambda p=p: 1 - min(max(x, 1 - x) for x in p),
        }.get((name, problem), lambda p=p, q=q: max(abs(x - y) for x, y in zip(p, q, strict=True)))
        assert found[row].item() == pytest.approx(wanted(), abs=1e-12)
    if name != "change":
        assert 0 <= found.min() <= found.max() <= 1
    else:
        assert torch.isinf(MEASURES[name](answers, None, problem)).all()


@torch.no_grad()
def test_numbers_leave_where_they_no_longer_change():
    model, inputs = make(num_labels=1, uncertainty="change", bound=0.5), make_rows()
    first, second, last = model.score_all(**inputs)
    leaves = (second - first).abs()[:, 0] < 0.5
    expected = torch.where(leaves[:, None], second, last)
    output = model(**inputs)
    torch.testing.assert_close(output.logits, expected, **EXACT)
    assert output.num_layers_run.tolist() == torch.where(leaves, 2, 3).tolist()


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_a_folder_keeps_model_and_exits(family, tmp_path):
    model, inputs = make(family, bound=0.9).float(), make_rows(family)
    model.save_pretrained(tmp_path)
    again = EarlyExitModel.from_pretrained(tmp_path)
    with torch.no_grad():
        given, wanted = again(**inputs), model(**inputs)
        assert torch.equal(given.logits, wanted.logits)
        assert torch.equal(given.num_layers_run, wanted.num_layers_run)
        whole = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert torch.equal(whole(**inputs).logits, model.model(**inputs).logits)
    assert again.num_parameters == model.num_parameters > whole.num_parameters


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_transformers_loads_the_whole_model(family, tmp_path):
    model, inputs = make(family, bound=0.9).float(), make_rows(family)
    model.save_pretrained(tmp_path)
    theirs, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(info.values()), info
    given = {name: value for name, value in inputs.items() if name != "position_ids"}
    with torch.no_grad():
        torch.testing.assert_close(
            theirs.eval()(**given).logits, model.model(**given).logits, rtol=0, atol=1e-4
        )


def test_the_engine_takes_the_exits(tmp_path):
    model, inputs = make(bound=0.9).float(), make_rows()
    model.save_pretrained(tmp_path)
    inputs.pop("position_ids")
    engine = TorchEngine.load(tmp_path, device="cpu")
    assert engine.facts.class_name == "BertForSequenceClassification"
    given = engine.run(inputs)["logits"]
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(given), model(**inputs).logits)
        assert not torch.equal(torch.from_numpy(given), model.model(**inputs).logits)
    half = TorchEngine.load(tmp_path, device="cpu", precision="bf16")
    assert half.precision == "bf16"
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}
    assert half.run(inputs)["logits"].shape == given.shape


@pytest.mark.parametrize("layers", [(0,), (3,), (1, 7)])
def test_exits_stand_on_inner_layers(layers):
    model = our_class("bert", SEQUENCE_CLASSIFICATION)(our_config("bert"))
    with pytest.raises(SettingsError, match=r"no exit after layer [037]; accepted: 1 to 2, as the"):
        EarlyExitModel(model, ExitInfo.model_construct(layers=layers, uncertainty="entropy"))


def test_models_that_can_have_none():
    one = our_class("bert", SEQUENCE_CLASSIFICATION)(our_config("bert", num_hidden_layers=1))
    info = ExitInfo(layers=(1,), uncertainty="entropy", bound=0.1)
    with pytest.raises(SettingsError, match="the model has one layer alone"):
        EarlyExitModel(one, info)
    other = our_class("bert", MASKED_LM)(our_config("bert"))
    with pytest.raises(SettingsError, match="a BertForMaskedLM can't have early exits; accepted"):
        EarlyExitModel(other, info)
    numbers = our_class("bert", SEQUENCE_CLASSIFICATION)(our_config("bert", num_labels=1))
    with pytest.raises(SettingsError, match="'entropy' is of probabilities, and the model predict"):
        EarlyExitModel(numbers, info)
    with pytest.raises(SettingsError, match="'change' compares an exit with the one before"):
        EarlyExitModel(numbers, info.model_copy(update={"uncertainty": "change"}))
    with pytest.raises(SettingsError, match=r"bound = 1.5; accepted for entropy: 0 to 1"):
        make().with_bound(1.5)
    with pytest.raises(SettingsError, match=r"bound = -1; accepted for change: 0 or more"):
        make(uncertainty="change").with_bound(-1)


@pytest.fixture
def folder(tmp_path):
    make(bound=0.5).float().save_pretrained(tmp_path)
    return tmp_path


def change_info(folder, **changes):
    values = json.loads((folder / "exits.json").read_text())
    del values["checksum"]
    (folder / "exits.json").write_text(json.dumps(values | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"layers": [2, 1]}, DataError, r"exits.json is damaged: layers: \[2, 1\]; accepted: lay"),
        ({"layers": []}, DataError, "exits.json is damaged: layers: "),
        (
            {"layers": [1, 5]},
            CheckpointError,
            "exits.json is not of the model beside it: .*layer 5",
        ),
        ({"layers": [1]}, CheckpointError, "exits.safetensors does not fit .*'2.*' is of no exit"),
        ({"bound": 1.5}, DataError, "bound = 1.5; accepted for entropy: 0 to 1"),
        ({"bound": -0.5}, DataError, "exits.json is damaged: bound: "),
        ({"uncertainty": "mood"}, DataError, "exits.json is damaged: uncertainty: "),
        ({"weights_checksum": "00000000"}, CheckpointError, "trained on other weights than model."),
    ],
)
def test_a_folder_whose_exits_are_wrong(folder, changes, error, message):
    change_info(folder, **changes)
    with pytest.raises(error, match=message):
        EarlyExitModel.from_pretrained(folder)


def test_a_bound_may_be_changed_by_hand(folder):
    change_info(folder, bound=0.25)
    assert EarlyExitModel.from_pretrained(folder).info.bound == 0.25
    text = (folder / "exits.json").read_text()
    make(bound=0.5).float().save_pretrained(folder)
    sealed = (folder / "exits.json").read_text().replace('"bound": 0.5', '"bound": 0.25')
    assert sealed != text
    (folder / "exits.json").write_text(sealed)
    with pytest.raises(DataError, match="remove its line 'checksum'"):
        EarlyExitModel.from_pretrained(folder)


def test_exits_of_another_head(folder):
    weights = read_safetensors(folder / "exits.safetensors")
    name = "1.head.output.weight"
    write_safetensors(folder / "exits.safetensors", {**weights, name: torch.zeros(5, 24)})
    with pytest.raises(CheckpointError, match=rf"'{name}' has shape \(5, 24\), not \(3, 24\)"):
        EarlyExitModel.from_pretrained(folder)
    broken = {**weights, name: torch.full((3, 24), math.nan)}
    write_safetensors(folder / "exits.safetensors", broken)
    with pytest.raises(CheckpointError, match=f"'{name}' has numbers that are NaN or infinite"):
        EarlyExitModel.from_pretrained(folder)
    del weights[name]
    write_safetensors(folder / "exits.safetensors", weights)
    with pytest.raises(CheckpointError, match=f"'{name}' is missing. Copy both again"):
        EarlyExitModel.from_pretrained(folder)


@pytest.mark.parametrize("name", ["exits.json", "exits.safetensors"])
def test_half_of_the_exits(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"but no {name}, and only both are early exits"):
        TorchEngine.load(folder, device="cpu")


def test_no_export_loses_the_exits(folder):
    with pytest.raises(
        ExportError, match=r"early exits, and an exported file runs all layers .*ex"
    ):
        load_graph(folder)


def test_a_model_without_exits(folder):
    for name in ("exits.json", "exits.safetensors"):
        (folder / name).unlink()
    assert TorchEngine.load(folder, device="cpu").run({"input_ids": torch.ones(1, 3).long()})
    with pytest.raises(CheckpointError, match=r"has no early exits .*limbeck early-exit gives a"):
        EarlyExitModel.from_pretrained(folder)
