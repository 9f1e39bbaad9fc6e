"""Compression: the smallest student that is enough, or plain words that none is."""

import html
import json
import re
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
import torch
from huggingface_hub import ModelCard
from tiny_task import make_rows, write_data, write_model

from limbeck.checkpoints import read_safetensors
from limbeck.cli import main
from limbeck.errors import (
    CheckpointError,
    ContractError,
    DataError,
    MissingHeadError,
    SettingsError,
    TrainingError,
)
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes._tasks.folders import share_folder
from limbeck.recipes.compress import CompressSettings, plan, run, summarise
from limbeck.recipes.finetune import FinetuneSettings
from limbeck.recipes.finetune import run as finetune
from limbeck.runs import CompressRecord, FinetuneRecord
from limbeck.train import SilentProgress

FAST = {"max_length": 16, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "task")


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    """A fine-tuned model of three layers that has learned the task."""
    base = tmp_path_factory.mktemp("teacher")
    model = write_model(base / "encoder", num_hidden_layers=3)
    settings = FinetuneSettings(model=model, data=data, out=base / "run", epochs=6, **FAST)
    result = finetune(settings, progress=SilentProgress())
    assert result.seeds[0].validation["accuracy"] >= 0.9
    return str(base / "run/model")


def make_settings(model, data, out, **changes):
    return CompressSettings(**({"model": model, "data": data, "out": out} | FAST | changes))


@pytest.fixture(scope="module")
def finished(teacher, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("compress") / "run"
    settings = make_settings(teacher, data, out, retain=0.8, seeds=(0, 1), epochs=4)
    return settings, run(settings, progress=SilentProgress())


class Lines(SilentProgress):
    def __init__(self):
        self.lines = []

    def log(self, message):
        self.lines.append(message)


def test_the_smallest_that_is_enough_is_chosen(finished):
    settings, result = finished
    assert [model.name for model in result.models] == ["teacher", "2 layers", "1 layer"]
    own, *students = result.models
    for student in students:
        assert student.score == median(student.scores)
        assert student.retained == student.score / own.score
        assert student.reached == (student.score >= 0.8 * own.score)
        assert student.retained_interval[0] <= student.retained_interval[1]
        assert student.latency_ms > 0
    enough = [student for student in students if student.reached]
    smallest = min(enough, key=lambda student: student.num_parameters)
    assert result.reached is True
    assert result.chosen == smallest.name
    model = AutoModelForSequenceClassification.from_pretrained(result.model)
    assert model.config.num_hidden_layers == smallest.num_layers
    assert model.num_parameters == smallest.num_parameters < own.num_parameters
    theirs = read_safetensors(f"{smallest.folder}/model/model.safetensors")
    ours = read_safetensors(settings.out / "model/model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert CompressRecord.read(settings.out) == result
    # Both students learned from one pass of the teacher.
    (shard,) = (settings.out / "teacher/cache").glob("*/*.safetensors")
    assert len(read_safetensors(shard)["shapes"]) == 64


def test_what_is_written_says_it_all(finished):
    settings, result = finished
    shown = summarise(result)
    assert result.headline in shown
    assert re.search(r"^2 layers +2 +[\d.]+ k +0\.\d\d MB +[\d.]+ +[\d.]+ % +yes ", shown, re.M)
    assert "On test (n = 16), which had no part in the choice" in shown
    for kind in ("md", "html"):
        text = (settings.out / f"compress.{kind}").read_text(encoding="utf-8")
        text = text.replace("\u00a0", " ")
        assert re.search(
            r"is the smallest student that keeps 80 % of the teacher's accuracy on sst2 "
            rf"\(validation, n = {result.num_examples}\): it keeps [\d.]+ % "
            r"\(95 % interval [\d.]+ to [\d.]+\), "
            r"has [\d.]+ k parameters instead of [\d.]+ k and is ",
            html.unescape(text),
        )
        assert "flatters the choice" in text
        assert all(model.name in text for model in result.models)
    assert "Up and left is better; on or above the line it is enough." in text
    assert "Of the models on or above the line, the leftmost is chosen." in text
    assert not re.search(r"(src|href)=.(?!#)", text)  # the page loads nothing
    drawing = (settings.out / "compress.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawing


def test_the_card_has_the_proof(finished):
    settings, result = finished
    card = ModelCard.load(settings.out / "model/README.md")
    chosen = next(model for model in result.models if model.name == result.chosen)
    found = {(r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert found["validation", "accuracy"] == round(max(chosen.scores), 6)
    assert f"| Retained on validation | {chosen.retained:.4f} |" in card.text
    assert "| Latency at batch 1 |" in card.text
    assert str(settings.out) not in card.content


def test_every_fine_tuned_model_has_a_card(finished):
    result = finished[1]
    student = Path(result.models[1].folder)
    for seed, score in enumerate(result.models[1].scores):
        card = ModelCard.load(student / f"seed-{seed}/model/README.md")
        first = card.data.eval_results[0]
        assert (first.metric_name, first.metric_value) == ("accuracy", round(score, 6))
        assert f"| Seed | {seed} |" in card.text
        assert "distilled from run" in card.text
        assert "| Layers kept | 2 (keep_layers = 2) |" in card.text
        assert "| Losses | soft_targets |" in card.text
    both = ModelCard.load(student / "model/README.md").text
    scores = result.models[1].scores
    assert f"| 2 | {median(scores):.4f} | {min(scores):.4f} to {max(scores):.4f} |" in both


def test_a_card_that_somebody_wrote_stays(finished, tmp_path):
    source = Path(finished[1].models[1].folder, "model")
    written = (source / "README.md").read_text()
    share_folder(source, tmp_path / "model")
    assert (tmp_path / "model/README.md").read_text() == written
    (tmp_path / "model/README.md").unlink()
    (tmp_path / "model/README.md").write_text("# My model\n")
    share_folder(source, tmp_path / "model")
    assert (tmp_path / "model/README.md").read_text() == "# My model\n"
    assert (source / "README.md").read_text() == written


def test_the_chosen_model_remembers_its_task(finished):
    settings, _ = finished
    memory = json.loads((settings.out / "model/limbeck.json").read_text(encoding="utf-8"))
    assert memory == {"task": "sst2", "task_options": {}, "max_length": settings.max_length}


def test_a_finished_run_is_not_repeated(finished):
    settings, result = finished
    progress = Lines()
    assert run(settings, progress=progress) == result
    assert progress.lines[-1] == f"{settings.out} is already complete"


def test_an_easier_contract_takes_the_students_there_are(teacher, data, tmp_path):
    changes = {"depths": (1,), "epochs": 0.1, "learning_rate": 1e-7}
    settings = make_settings(teacher, data, tmp_path / "run", retain=1.0, **changes)
    with pytest.raises(ContractError) as raised:
        run(settings, progress=SilentProgress())
    result = raised.value.result
    own, student = result.models
    short = own.score - student.score
    where = "(validation, n = "
    assert f"does not keep 100 % of the teacher's accuracy on sst2 {where}" in str(raised.value)
    assert f"keeps {100 * student.retained:.1f} %" in str(raised.value)
    assert f"{100 * short:.1f} points short" in str(raised.value)
    assert "What would help: more epochs" in str(raised.value)
    assert result.model is None
    assert not (tmp_path / "run/model").exists()
    assert (tmp_path / "run/compress.html").exists()
    assert CompressRecord.read(tmp_path / "run") == result
    with pytest.raises(ContractError, match="does not keep 100 %"):  # without doing it all again
        run(settings, progress=SilentProgress())
    progress = Lines()
    easier = settings.model_copy(update={"retain": 0.9 * student.retained})
    found = run(easier, progress=progress)
    assert found.chosen == "1 layer"
    assert "seed 0: finished before" in progress.lines
    assert "the speed of all was measured before" in progress.lines
    for name in ("latency_ms", "speed_up"):
        assert [getattr(m, name) for m in found.models] == [getattr(m, name) for m in result.models]
    speeds = tmp_path / "run/speeds.json"
    measured = json.loads(speeds.read_text())
    elsewhere = measured | {"machine": measured["machine"] | {"cpu": "another"}}
    not_of_all = measured | {"speeds": {"teacher": measured["speeds"]["teacher"]}}
    for other, again in ((elsewhere, settings), (not_of_all, easier)):
        speeds.write_text(json.dumps(other))
        progress = Lines()
        with suppress(ContractError):
            run(again, progress=progress)
        assert "measuring the speed of all, side by side" in progress.lines
        assert json.loads(speeds.read_text())["machine"] == measured["machine"]
    with pytest.raises(ContractError, match="does not keep 100 %"):
        run(settings, progress=SilentProgress())
    assert not (tmp_path / "run/model").exists()


def test_it_goes_on_where_it_was_interrupted(teacher, data, tmp_path, finished):
    class Interrupted(SilentProgress):
        def log(self, message):
            if message.startswith("run 2 of 2"):
                raise KeyboardInterrupt

    settings = make_settings(teacher, data, tmp_path / "run", retain=0.8, seeds=(0, 1), epochs=4)
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=Interrupted())
    assert not (tmp_path / "run/result.json").exists()
    progress = Lines()
    result = run(settings, progress=progress)
    assert progress.lines.count("seed 0: finished before") == 1
    expected = finished[1]
    for name in ("score", "scores", "retained", "retained_interval"):
        assert [getattr(m, name) for m in result.models] == [
            getattr(m, name) for m in expected.models
        ]


def test_a_given_student_gets_a_new_head(teacher, data, tmp_path):
    student = write_model(tmp_path / "general", num_hidden_layers=1)
    settings = make_settings(teacher, data, tmp_path / "run", student=student, retain=0.3)
    described = plan(settings)
    assert described["students"] == {"general": "general with a new head, distilled on the task"}
    assert described["num_train_examples"] == 64
    assert not (tmp_path / "run").exists()
    result = run(settings, progress=SilentProgress())
    assert [model.name for model in result.models] == ["teacher", "general"]
    both = plan(settings.model_copy(update={"depths": (2,)}))
    assert list(both["students"]) == ["general", "2 layers"]


def test_numbers_are_compressed_too(tmp_path):
    (tmp_path / "data").mkdir()
    for seed, (split, count) in enumerate({"train": 64, "validation": 24}.items()):
        rows = [
            {"text": row["sentence"], "label": row["label"] + 0.1 * len(row["sentence"].split())}
            for row in make_rows(count, seed=seed)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"data/{split}.jsonl").write_text(lines)
    task = {"task": "text-regression", "data": str(tmp_path / "data"), "epochs": 6, **FAST}
    model = write_model(tmp_path / "encoder")
    finetune(FinetuneSettings(model=model, out=tmp_path / "run", **task), progress=SilentProgress())
    settings = CompressSettings(
        model=str(tmp_path / "run/model"), out=tmp_path / "smaller", retain=0.5, **task
    )
    result = run(settings, progress=SilentProgress())
    assert (result.chosen, result.metric) == ("1 layer", "pearson_spearman")
    assert result.on_test is None
    assert result.models[1].retained_interval is not None
    text = (tmp_path / "smaller/compress.md").read_text(encoding="utf-8")
    assert "Mean of Pearson and Spearman correlation, median" in text


def test_what_cannot_work_is_refused(teacher, data, tmp_path):
    def refuse(error, match, model=teacher, data=data, **changes):
        with pytest.raises(error, match=match):
            plan(make_settings(model, data, tmp_path / "run", **changes))

    encoder = write_model(tmp_path / "encoder")
    refuse(
        MissingHeadError,
        r"encoder has no head that is fine-tuned for sst2\. Fine-tune it first: limbeck finetune ",
        model=encoder,
    )
    stars = write_model(tmp_path / "stars", head=["1 star", "2 stars", "3 stars"])
    refuse(DataError, r"labels \(1 star.*fine-tune the model on this task", model=stars)
    refuse(SettingsError, r"depths: 3 is not below the depth of .*, which has 3", depths=(3, 1))
    refuse(SettingsError, "give each depth once", depths=(1, 1))
    refuse(SettingsError, r"retain = 1\.2 is not accepted", retain=1.2)
    refuse(SettingsError, r"retain = 97: a share of 1, .*write 0\.97", retain=97)
    refuse(
        SettingsError, "finetune: there is no setting 'patients'.*'patience'", **further(patients=2)
    )
    refuse(SettingsError, r"finetune\.epochs is not for you to set", **further(epochs=2))
    shallow = write_model(tmp_path / "shallow", num_hidden_layers=1, head=["NEGATIVE", "POSITIVE"])
    refuse(SettingsError, "shallow has 1 layer, so no student", model=shallow)
    only = {"validation": f"{data}/validation.jsonl"}
    refuse(DataError, r"no train split, which the students need.*validation", data=only)


def further(**settings):
    return {"finetune": settings}


def test_a_teacher_without_a_score_is_refused(teacher, data, tmp_path):
    lines = Path(data, "validation.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    wrong = [{**row, "label": 1 - row["label"]} for row in rows if "good" in row["sentence"]]
    path = tmp_path / "wrong.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in wrong))
    only = {"train": f"{data}/train.jsonl", "validation": str(path)}
    options = {"metric": "f1"}
    settings = make_settings(teacher, only, tmp_path / "run", task_options=options)
    with pytest.raises(DataError, match=r"has f1 0\.0000 on validation: no share of that"):
        run(settings, progress=SilentProgress())


def test_from_the_command_line(teacher, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["compress", teacher, "--task", "sst2", "--data", data, "--retain", "0.9"]
    command += ["--max-length", "16", "--depths", "2", "--out=run", "--device", "cpu"]
    assert main([*command, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["settings"]["retain"] == 0.9
    assert planned["plan"]["students"] == {
        "2 layers": "2 of the teacher's 3 layers, distilled on the task"
    }
    hopeless = [*command, "--learning-rate=1e-7", "--epochs", "0.1", "--json"]
    hopeless[hopeless.index("0.9")] = "1.0"
    code = main(hopeless)
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert code == 1
    assert answer["error"]["type"] == "ContractError"
    assert answer["result"]["reached"] is False
    assert answer["result"]["models"][1]["name"] == "2 layers"
    assert "model     layers" in err
    assert "limbeck: The one student does not keep 100 %" in err
    assert main(["compress", "--help"]) == 0
    assert "limbeck compress [MODEL] key=value ..." in capsys.readouterr().out


def test_students_learn_from_unlabelled_text_too(teacher, data, tmp_path):
    files = {split: f"{data}/{split}.jsonl" for split in ("train", "validation")}
    files["transfer"] = str(tmp_path / "more.jsonl")
    rows = [{"sentence": row["sentence"]} for row in make_rows(40, seed=5)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    Path(files["transfer"]).write_text(lines, encoding="utf-8")
    settings = make_settings(teacher, files, tmp_path / "run", depths=(1,), epochs=1, retain=0.1)
    result = run(settings, progress=SilentProgress())
    student = FinetuneRecord.read(Path(result.models[1].folder))
    assert student.seeds[0].num_steps == (64 + 40) // 8


def test_a_teacher_that_says_always_the_same_is_named(data, tmp_path):
    """Any student of it keeps all, by saying the same."""
    model = write_model(tmp_path / "stuck", head=["NEGATIVE", "POSITIVE"], initializer_range=1e-4)
    settings = make_settings(
        model, data, tmp_path / "run", depths=(1,), retain=0.5, learning_rate=1e-9, epochs=1
    )
    run(settings, progress=SilentProgress())
    page = (tmp_path / "run/compress.html").read_text(encoding="utf-8")
    assert "On sst2, the teacher predicts the same for every example" in page


def test_a_teacher_whose_score_may_be_0_is_named(teacher, tmp_path):
    data = write_data(tmp_path / "data", test=0)
    path = tmp_path / "data/validation.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for same in [[row for row in rows if row["label"] == label] for label in (0, 1)]:
        for row in same[: len(same) * 2 // 5]:
            row["label"] = 1 - row["label"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = make_settings(
        teacher,
        data,
        tmp_path / "run",
        depths=(1,),
        retain=0.01,
        task="cola",
        task_options={"labels": ["NEGATIVE", "POSITIVE"]},
    )
    with suppress(ContractError):
        run(settings, progress=SilentProgress())
    result = CompressRecord.read(tmp_path / "run")
    assert result.metric == "matthews_correlation"
    assert 0 < result.models[0].score < 0.3
    assert result.models[1].retained_interval is None
    text = (tmp_path / "run/compress.md").read_text(encoding="utf-8")
    assert "The teacher's own score may be 0, by its 95 % interval: what a student keeps" in text


def test_a_finished_run_does_not_answer_for_other_examples(teacher, tmp_path):
    data = write_data(tmp_path / "data")
    settings = make_settings(teacher, data, tmp_path / "run", depths=(1,), retain=0.1)
    result = run(settings, progress=SilentProgress())
    for split in ("train", "validation"):
        path = tmp_path / f"data/{split}.jsonl"
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole.replace('"label": 1', '"label": 0', 1), encoding="utf-8")
        with pytest.raises(DataError, match=r"run was begun with other examples than data = '"):
            run(settings, progress=SilentProgress())
        path.write_text(whole, encoding="utf-8")
    assert run(settings, progress=SilentProgress()) == result


def write_damaged(folder):
    """Writes a model whose configuration is whole and whose weights are not."""
    write_model(folder, num_hidden_layers=1)
    (folder / "model.safetensors").write_bytes(b"cut short")
    return str(folder)


def test_a_failed_student_costs_the_others_nothing(teacher, data, tmp_path):
    damaged, out = write_damaged(tmp_path / "damaged"), tmp_path / "run"
    changes = {"depths": (1,), "student": damaged, "epochs": 1, "retain": 0.1}
    settings = make_settings(teacher, data, out, **changes)
    with pytest.raises(TrainingError) as caught:
        run(settings, progress=SilentProgress())
    message = str(caught.value)
    assert message.startswith(f"1 of 2 students failed: damaged: {damaged}/model.safetensors (9 ")
    assert "“1 layer” is the smallest student that keeps 10 % of the teacher's" in message
    assert message.endswith(f"{out / 'compress.html'}; the same command tries again what failed")
    text = (out / "compress.md").read_text(encoding="utf-8")
    assert "Not among these, since they failed: damaged: " in text
    assert (out / "model/model.safetensors").exists()
    assert not (out / "result.json").exists()
    write_model(tmp_path / "damaged", num_hidden_layers=1)
    result = run(settings, progress=SilentProgress())
    assert [model.name for model in result.models] == ["teacher", "damaged", "1 layer"]


def test_no_student_at_all(teacher, data, tmp_path):
    student = write_damaged(tmp_path / "damaged")
    settings = make_settings(teacher, data, tmp_path / "run", student=student)
    with pytest.raises(TrainingError, match=r"no student could be made: damaged: .* is damaged"):
        run(settings, progress=SilentProgress())


def test_a_student_that_is_none_is_refused_before_anything_is_trained(teacher, data, tmp_path):
    absent = str(tmp_path / "absent")
    settings = make_settings(teacher, data, tmp_path / "run", student=(teacher, absent))
    for act in (plan, lambda given: run(given, progress=SilentProgress())):
        with pytest.raises(CheckpointError, match=f"student = '{absent}': there is no folder"):
            act(settings)
    assert not (tmp_path / "run").exists()


def test_processes_make_the_same_students(teacher, data, tmp_path, finished):
    settings, expected = finished
    out, progress = tmp_path / "run", Lines()
    result = run(settings.model_copy(update={"out": out, "workers": 2}), progress=progress)
    assert any(line.startswith("[1 layer] seed 1, epoch 2: ") for line in progress.lines)
    for model, other in zip(result.models, expected.models, strict=True):
        assert (model.name, model.scores, model.retained) == (
            other.name,
            other.scores,
            other.retained,
        )
