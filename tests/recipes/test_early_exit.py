"""`limbeck early-exit`: a fine-tuned model in, the same with exits on inner layers out."""

import json
import re
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_task import (
    LABELS,
    WORDS,
    Lines,
    assert_same_weights,
    finetune,
    make_rows,
    read_lines,
    write_data,
    write_model,
)

from limbeck import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    listing,
)
from limbeck.checkpoints import read_safetensors
from limbeck.cli import main
from limbeck.errors import CheckpointError, DataError, ExportError, MissingHeadError, SettingsError
from limbeck.inference import pipeline
from limbeck.inference.bench import name_contestants, run_contest
from limbeck.methods._unit_costs import count_operations as count_units
from limbeck.methods._unit_costs import sum_costs
from limbeck.models import EarlyExitModel
from limbeck.recipes import compress, evaluate, export, prune, trim
from limbeck.recipes.early_exit import EarlyExitSettings, plan, prepare_model, run
from limbeck.recipes.early_exit.choosing import Outcome, choose_outcome
from limbeck.recipes.early_exit.costs import count_operations
from limbeck.train import SilentProgress

FAST = {"max_length": 16, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu", "epochs": 4}


def make_settings(model, data, out, **changes):
    values = {"model": str(model), "data": data, "out": str(out), "measure": False}
    return EarlyExitSettings.from_values(values | FAST | changes)


def give_exits(*arguments, progress=None, **changes):
    return run(make_settings(*arguments, **changes), progress=progress or SilentProgress())


def exits_file(result):
    return Path(result.model) / "exits.safetensors"


class StopsInTraining(SilentProgress):
    """Interrupts the training in its fifth step."""

    @contextmanager
    def stage(self, description, **_):
        self._left = 5 if "exits" in description else 0
        yield self

    def advance(self, amount=1):
        self._left -= 1
        if self._left == 0:
            signal.raise_signal(signal.SIGINT)

    def update(self, **fields):
        pass


@pytest.fixture(scope="module")
def finished(deep_teacher, data, tmp_path_factory):
    """Settings, result and lines of a run with all that there is, speed included."""
    out = tmp_path_factory.mktemp("exits") / "run"
    settings = make_settings(deep_teacher, data, out, measure=True, retain=0.8)
    progress = Lines()
    return settings, run(settings, progress=progress), progress.lines


def test_the_model_itself_stays_as_it_was(finished, deep_teacher):
    result = finished[1]
    assert_same_weights(result.model, deep_teacher)
    model = EarlyExitModel.from_pretrained(result.model)
    assert model.info.layers == (1, 2)
    assert model.info.bound == result.bound > 0
    head = model.model.head.state_dict()
    assert not any(
        torch.equal(weight, head[name])
        for exit_ in model.exits.values()
        for name, weight in exit_.head.state_dict().items()
    )


def test_it_says_where_inputs_leave(finished):
    settings, result, lines = finished
    assert (result.split, result.num_examples, result.num_layers) == ("test", 16, 3)
    assert sum(part.share for part in result.exits) == pytest.approx(1)
    assert [part.layer for part in result.exits] == [1, 2, 3]
    assert 1 <= result.mean_layers < 3
    assert result.mean_speed_up > 0
    chose = (
        r"bound [\d.]+, chosen on the 24 validation examples: accuracy \d+\.\d of \d+\.\d points, "
        r"[\d.]+ layers of 3"
    )
    assert any(re.fullmatch(chose, line) for line in lines)
    page = Path(result.files["md"]).read_text(encoding="utf-8")
    is_told = Path("/proc/self/status").exists()
    assert ("Loaded in torch it takes" in page) == is_told
    if is_told:
        assert result.peak_bytes > result.loaded_bytes
        assert result.full_peak_bytes > result.full_loaded_bytes
    assert result.waits_ms.p50 <= result.waits_ms.p95
    assert result.difference.value == pytest.approx(result.score - result.full_score)
    page = (settings.out / "report/report.md").read_text(encoding="utf-8")
    assert "Where inputs leave" in page
    assert "leaves by the first of the exits after layers 1 and 2 of 3 whose entropy" in page
    assert "of the score on the 24 validation examples. The report is on test." in page
    html = (settings.out / "report/report.html").read_text(encoding="utf-8")
    assert "layers run on average" in html
    card = (settings.out / "model/README.md").read_text(encoding="utf-8")
    assert "Exits are taken by limbeck.pipeline" in card
    assert "1 and 2 of 3" in card
    first, second = card.index("answer = limbeck.pipeline("), card.index("from transformers import")
    assert first < second  # what takes the exits first
    assert json.loads((settings.out / "model/limbeck.json").read_text())["task"] == "sst2"
    assert not (settings.out / "training/checkpoints").exists()


def test_the_figures_are_those_of_the_predictions(finished):
    settings, result, _ = finished
    model = EarlyExitModel.from_pretrained(result.model)
    tokenizer = AutoTokenizer.from_pretrained(result.model)
    rows = read_lines(settings.out / "early-exit/predictions.jsonl")
    texts = [row["sentence"] for row in read_lines(Path(settings.data) / "test.jsonl")]
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**inputs)
        entropies = [
            torch.distributions.Categorical(logits=scores).entropy() / np.log(2)
            for scores in model.score_all(**inputs)[:2]
        ]
    first, second = (each < result.bound for each in entropies)
    depths = torch.where(first, 1, torch.where(second, 2, 3))
    assert output.num_layers_run.tolist() == depths.tolist()
    assert result.mean_layers == pytest.approx(depths.double().mean().item())
    labels = [model.config.id2label[i] for i in output.logits.argmax(-1).tolist()]
    assert [row["prediction"] for row in rows] == labels
    right = [row["prediction"] == row["label"] for row in rows]
    assert result.score == pytest.approx(np.mean(right))


def test_the_bound_keeps_what_was_asked_where_it_was_chosen(finished):
    result = finished[1]
    scores = {point.bound: point for point in result.tried}
    whole = result.tried[0]
    assert (whole.bound, whole.mean_layers) == (0, 3)
    assert scores[result.bound].score >= 0.8 * whole.score
    assert all(p.score >= 0.8 * whole.score for p in result.tried if p.bound <= result.bound)
    depths = [point.mean_layers for point in result.tried]
    assert depths == sorted(depths, reverse=True)
    assert scores[result.bound].reported_score == pytest.approx(result.score)
    assert scores[result.bound].reported_mean_layers == pytest.approx(result.mean_layers)


def test_none_is_better_than_one_that_loses_too_much():
    tried = [Outcome(0.0, 3.0, 0.9), Outcome(0.1, 2.0, 0.5), Outcome(0.2, 1.0, 0.9)]
    assert choose_outcome(tried, retain=0.99).bound == 0


def test_exits_learn(finished, deep_teacher, data, tmp_path):
    """Trained exits are right where untrained ones, copies of the last head, are not."""
    texts = make_rows(64, seed=8)
    tokenizer = AutoTokenizer.from_pretrained(deep_teacher)
    inputs = tokenizer([row["sentence"] for row in texts], padding=True, return_tensors="pt")
    labels = torch.tensor([row["label"] for row in texts])
    prepare_model(make_settings(deep_teacher, data, tmp_path / "run"))(tmp_path / "model")
    right = {}
    for name, folder in (("before", tmp_path / "model"), ("after", finished[1].model)):
        with torch.no_grad():
            scores = EarlyExitModel.from_pretrained(folder).score_all(**inputs)
        right[name] = (scores[1].argmax(-1) == labels).float().mean().item()
    assert right["after"] >= 0.9
    assert right["after"] >= right["before"]


def test_a_finished_run_is_not_repeated(finished):
    settings, result, _ = finished
    progress = Lines()
    assert run(settings, progress=progress) == result
    assert progress.lines[-1] == f"{settings.out} is already complete"


def test_who_runs_a_folder_takes_the_exits(finished, deep_teacher, data, tmp_path):
    result = finished[1]
    texts = [row["sentence"] for row in make_rows(12, seed=4)]
    classify = pipeline("text-classification", result.model, device="cpu")
    assert isinstance(classify.model, EarlyExitModel)
    alone = [classify(text)[0] for text in texts]
    for together, one in zip(classify(texts), alone, strict=True):
        assert together["label"] == one["label"]
        assert together["score"] == pytest.approx(one["score"], abs=1e-5)
    model = EarlyExitModel.from_pretrained(result.model)
    inputs = AutoTokenizer.from_pretrained(result.model)(texts[:1], return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits.softmax(-1).max().item()
    assert alone[0]["score"] == pytest.approx(expected, abs=1e-6)
    values = {"model": result.model, "data": data, "split": "test", "device": "cpu"}
    judged = evaluate.run(
        evaluate.SettingsType.from_values({**values, "out": tmp_path / "judged"}),
        progress=SilentProgress(),
    )
    assert judged.scores["accuracy"] == pytest.approx(result.score)
    assert judged.num_parameters == model.num_parameters
    contest = run_contest(
        name_contestants([deep_teacher, result.model], [None], [None]),
        texts,
        repeats=3,
        device="cpu",
        with_memory=False,
    )
    assert {engine for engine, _ in contest.contestants.values()} == {"torch"}


@pytest.mark.parametrize("target", listing.list_names("limbeck.export"))
def test_no_target_loses_the_exits(target, finished, tmp_path):
    values = {"model": finished[1].model, "to": [target], "out": tmp_path / "run"}
    settings = export.SettingsType.from_values(values)
    with pytest.raises(ExportError, match="has early exits, and an exported file runs all layers"):
        export.run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        (trim, {"max_tokens": 16}),
        (prune, {"heads": 0.5}),
        (compress, {"depths": [1]}),
    ],
)
def test_no_recipe_loses_the_exits_without_a_word(recipe, changes, finished, data, tmp_path):
    of_task = {} if recipe is trim else {"data": data, "max_length": 16}
    values = {"model": finished[1].model, "out": tmp_path / "run", **of_task, **changes}
    settings = recipe.SettingsType.from_values(values)
    message = r"model has early exits, and .*; accepted: .* or a copy .* without exits\.json and ex"
    with pytest.raises(SettingsError, match=message):
        recipe.plan(settings)
    with pytest.raises(SettingsError, match=message):
        recipe.run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()


def test_exits_are_given_anew(finished, data, tmp_path):
    progress = Lines(stop_at="early exits, which are left aside for new ones")
    with pytest.raises(KeyboardInterrupt):
        give_exits(finished[1].model, data, tmp_path / "run", progress=progress)


def test_operations_are_those_of_the_layers(finished, deep_teacher):
    model = EarlyExitModel.from_pretrained(finished[1].model)
    first, second, last, whole = count_operations(model, num_tokens=9)
    of_layers = sum_costs(count_units(model.model, num_tokens=9))
    head = whole - of_layers
    assert head == 2 * 16 * 16 + 2 * 16 * 2  # the pooler and two labels
    assert first == of_layers / 3 + head
    assert second == 2 * of_layers / 3 + 2 * head
    assert last == of_layers + 3 * head


def test_the_plan_tells_the_truth(finished, deep_teacher, data, tmp_path):
    result = finished[1]
    planned = plan(make_settings(deep_teacher, data, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert planned["exits"] == "after layers 1, 2 of 3"
    assert planned["steps"] == result.num_steps == 32
    assert planned["bound"].startswith("keeps 99.0 % of the score on the 24 validation examples")
    more = sum(t.numel() for t in read_safetensors(exits_file(result)).values())
    assert planned["num_parameters"] == f"{more:,} more"
    assert plan(make_settings(deep_teacher, data, tmp_path / "r", bound=0.2))["bound"] == "0.2"


def test_without_a_labelled_test_half_of_validation_is_reported(deep_teacher, tmp_path):
    data = write_data(tmp_path / "data", validation=25, test_labelled=False)
    result = give_exits(deep_teacher, data, tmp_path / "run", retain=0.5, max_steps=2)
    assert (result.split, result.num_examples) == ("validation", 12)
    assert result.chosen_on == "on every second validation example (13)"
    page = Path(result.files["md"]).read_text(encoding="utf-8")
    said = "example (13). The report is on the others, since there is no labelled test."
    assert said in page
    assert result.headline.startswith("The model with early exits, with as many layers as the full")
    told = re.sub(r"\S*/(deep_)?teacher\d*/\S*", "", page)
    for word in ("teacher", "student", "baseline", "Every seed"):
        assert word not in told
    rows = read_lines(tmp_path / "data/validation.jsonl")
    judged = read_lines(tmp_path / "run/full-model/predictions.jsonl")
    assert [LABELS.index(row["label"]) for row in judged] == [row["label"] for row in rows[1::2]]


@pytest.mark.slow
def test_a_given_bound_and_some_layers(deep_teacher, data, tmp_path):
    changes = {"bound": 0.5, "layers": [2], "uncertainty": "probability", "max_steps": 3}
    result = give_exits(deep_teacher, data, tmp_path / "run", **changes)
    assert (result.bound, result.uncertainty) == (0.5, "probability")
    assert [part.layer for part in result.exits] == [2, 3]
    assert result.exits[0].share == 1  # of two labels one has at least a half
    page = (tmp_path / "run/report/report.md").read_text(encoding="utf-8")
    assert "lack to 1 is below 0.5, a bound that was given" in page


@pytest.mark.slow
def test_a_model_of_numbers(tmp_path):
    folder = tmp_path / "numbers"
    folder.mkdir()
    for seed, (name, count) in enumerate({"train": 96, "validation": 24, "test": 16}.items()):
        rows = make_rows(count, seed=seed)
        lines = (
            {
                "sentence1": row["sentence"],
                "sentence2": row["sentence"],
                "label": 5.0 * sum(w in row["sentence"] for w in WORDS[1]) / 3,
            }
            for row in rows
        )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    base = write_model(tmp_path / "encoder", num_hidden_layers=3)
    changes = {"task": "stsb", "max_length": 32}
    finetune(base, str(folder), tmp_path / "teacher", epochs=8, **changes)
    teacher = tmp_path / "teacher/model"
    result = give_exits(teacher, str(folder), tmp_path / "run", retain=0.5, **changes)
    assert result.uncertainty == "change"
    assert result.exits[0].share == 0  # there is no exit before it
    model = EarlyExitModel.from_pretrained(result.model)
    assert model.problem == "regression"


@pytest.mark.slow
def test_it_goes_on_where_it_was_interrupted(finished, deep_teacher, data, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        give_exits(deep_teacher, data, out, retain=0.8, save_every=2, progress=StopsInTraining())
    assert not (out / "result.json").exists()
    with pytest.raises(KeyboardInterrupt):
        give_exits(deep_teacher, data, out, retain=0.8, save_every=2, progress=Lines("bound "))
    assert not (out / "model").exists()
    progress = Lines()
    result = give_exits(deep_teacher, data, out, retain=0.8, save_every=2, progress=progress)
    assert any("going on after step" in line for line in progress.lines)
    first, again = (read_safetensors(exits_file(each)) for each in (finished[1], result))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert (result.bound, result.score) == (finished[1].bound, finished[1].score)


@pytest.mark.slow
def test_a_changed_file_is_noticed(finished, deep_teacher, data, tmp_path):
    out = tmp_path / "run"
    settings = {"retain": 0.5, "max_steps": 1}
    give_exits(deep_teacher, data, out, **settings)
    text = (out / "model/exits.json").read_text()
    (out / "model/exits.json").write_text(text.replace('"layers"', '"layer"'))
    with pytest.raises(CheckpointError, match=r"exits\.json is not the file that the run wrote"):
        give_exits(deep_teacher, data, out, **settings)


def test_what_is_fine_tuned_further_has_no_exits(finished, data, tmp_path):
    finetune(finished[1].model, data, tmp_path / "run", max_steps=1)
    assert not (tmp_path / "run/model/exits.json").exists()
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "run/model")


@pytest.mark.slow
def test_from_the_shell(deep_teacher, data, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--retain", "0.5", "--layers", "1,2", "--max_steps", "2", "--batch_size", "8"]
    arguments = ["early-exit", deep_teacher, "--data", data, "--out", str(out), *flags]
    arguments += ["--device", "cpu", "--measure", "false"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "after layers 1, 2 of 3" in capsys.readouterr().out
    assert not out.exists()
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(out / "model")
    assert main(arguments) == 0
    shown = capsys.readouterr().err
    assert "the end, layer 3" in shown
    assert f"The model:  {out / 'model'}" in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": [3]}, r"layers = \[3\]: there is no exit after layer 3; accepted: 1 to 2, as"),
        ({"layers": [0, 1]}, r"layers = \[0, 1\]: layers are counted from 1; accepted: 1 to 2"),
        ({"layers": [1, 1]}, r"layers = \[1, 1\]: give layers, each once"),
        ({"layers": []}, r"layers = \[\]: give layers, each once"),
        ({"bound": 1.5}, r"bound = 1\.5; accepted for entropy: 0 to 1"),
        ({"bound": -1}, r"bound = -1 is not accepted\. Accepted: a finite number >= 0"),
        ({"bound": 0.5, "retain": 0.9}, r"bound = 0\.5 says when .* retain = 0\.9 would"),
        ({"retain": 99}, r"retain = 99: a share of 1, not per cent, such as 0\.99"),
        ({"retain": 1.1}, r"retain = 1\.1 is not accepted\. Accepted: a number > 0 and <= 1"),
        ({"uncertainty": "mood"}, r"uncertainty = 'mood'.*'entropy'"),
        ({"uncertainty": "change", "layers": [1]}, r"'change' compares an exit with the one befo"),
        ({"losses": {"hidden_mse": {}}}, r"losses\.hidden_mse compares .*an exit gives logits alo"),
        ({"losses": {"masked_lm": {}}}, r"losses\.masked_lm compares with no teacher"),
    ],
)
def test_what_cannot_be(changes, message, deep_teacher, data, tmp_path):
    with pytest.raises(SettingsError, match=message):
        give_exits(deep_teacher, data, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_models_that_get_none(deep_teacher, encoder, data, tmp_path):
    with pytest.raises(MissingHeadError, match="encoder has no head, and nothing says for which"):
        give_exits(encoder, data, tmp_path / "run")
    one = write_model(tmp_path / "one", head=["NEGATIVE", "POSITIVE"], num_hidden_layers=1)
    with pytest.raises(SettingsError, match="the model has one layer alone, and an exit stands on"):
        give_exits(one, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    untaught = write_model(tmp_path / "untaught", head=["NEGATIVE", "POSITIVE"])
    with pytest.raises(DataError, match=r"there is nothing to keep|Was it fine-tuned on this task"):
        give_exits(untaught, data, tmp_path / "run")


def test_tasks_with_more_than_one_answer_a_text(encoder, tmp_path):
    tagger = AutoModelForTokenClassification.from_pretrained(
        encoder, new_head=True, id2label={0: "O", 1: "B-X", 2: "I-X"}
    )
    tagger.save_pretrained(tmp_path / "tagger")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(tmp_path / "tagger")
    folder = tmp_path / "tags"
    folder.mkdir()
    row = {"tokens": ["good", "film"], "ner_tags": ["B-X", "O"]}
    for name in ("train", "validation"):
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(SettingsError, match=r"task = 'ner' has no one answer a text .*classify or"):
        give_exits(tmp_path / "tagger", str(folder), tmp_path / "run", task="ner")


def test_data_that_choose_nothing(deep_teacher, tmp_path):
    one = write_data(tmp_path / "one", validation=1, test=0)
    with pytest.raises(DataError, match="has one validation example and no labelled test"):
        give_exits(deep_teacher, one, tmp_path / "run")
