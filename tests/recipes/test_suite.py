"""Suites: several tiny models on several tiny tasks, in one process and in several."""

import html
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_task import write_data, write_model

from limbeck import AutoModelForSequenceClassification
from limbeck.cli import main
from limbeck.config import dump_toml, read_settings
from limbeck.errors import CheckpointError, DataError, SettingsError, TrainingError
from limbeck.recipes.suite import SuiteSettings, plan, run, summarise
from limbeck.recipes.suite.jobs import make_plan
from limbeck.runs import FinetuneRecord, SuiteRecord
from limbeck.train import SilentProgress

FINETUNE = {"epochs": 2, "learning_rate": 3e-3, "max_length": 16, "log_every": 1, "device": "cpu"}


class Lines(SilentProgress):
    """Keeps what is logged, and interrupts at a line that holds `stop_at`."""

    def __init__(self, stop_at=None):
        self.lines, self._stop_at = [], stop_at

    def log(self, message):
        self.lines.append(message)
        if self._stop_at is not None and self._stop_at in message:
            self._stop_at = None
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """An encoder and a folder with a subfolder for each of two tasks."""
    folder = tmp_path_factory.mktemp("suite")
    write_model(folder / "encoder")
    for name, size in (("SST-2", 48), ("polarity", 40)):
        write_data(folder / "data" / name, train=size, validation=20, test=0)
    return folder


def make_settings(ground, out, **changes):
    encoder = str(ground / "encoder")
    values = {
        "suite": "custom",
        "data": str(ground / "data"),
        "out": out,
        "tasks": {
            "sst2": {},
            "polarity": {
                "task": "text-classification",
                "task_options": {"text_column": "sentence", "metric": "macro_f1"},
            },
        },
        "models": {
            "whole": {"model": encoder, "role": "teacher"},
            "half": {"model": encoder, "teacher": "whole", "finetune": {"keep_layers": 1}},
            "random weights": {
                "model": encoder,
                "role": "baseline",
                "finetune": {"initialise": "random", "epochs": 1},
            },
        },
        "seeds": (0, 1),
        "finetune": FINETUNE,
        "measure": False,
    }
    return SuiteSettings.from_values({**values, **changes})


@pytest.fixture(scope="module")
def finished(ground, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    progress = Lines()
    result = run(make_settings(ground, out), progress=progress)
    return out, result, progress.lines


def read_report(out):
    return json.loads((out / "report/report.json").read_text())


def scores_of(out):
    """Every seed's validation score, read from the runs themselves: task, model, seed."""
    found = {}
    for path in sorted(out.glob("runs/*/*/result.json")):
        result = FinetuneRecord.read(path.parent)
        for seed in result.seeds:
            score = seed.validation[result.metric]
            found[result.task, result.label, seed.seed] = score
    return found


def test_report_gives_the_figures_of_the_runs(finished):
    """Medians, averages and retention, computed here from the runs' own results."""
    out, result, _ = finished
    scores = scores_of(out)
    assert len(scores) == 2 * 3 * 2
    report = read_report(out)
    assert [task["name"] for task in report["tasks"]] == ["sst2", "polarity"]
    assert [model["label"] for model in report["models"]] == ["whole", "half", "random weights"]
    means, medians = {}, {}
    for task in report["tasks"]:
        for model in task["models"]:
            values = [scores[task["name"], model["label"], seed] for seed in (0, 1)]
            assert model["scores"]["values"] == values
            assert model["scores"]["median"] == statistics.median(values)
            assert [model["scores"][end] for end in ("lowest", "highest")] == sorted(values)
            means[task["name"], model["label"]] = statistics.fmean(values)
            medians[task["name"], model["label"]] = statistics.median(values)
            if model["label"] != "whole":
                share = model["retention"]
                teacher = means[task["name"], "whole"]
                assert share["estimate"] == pytest.approx(
                    means[task["name"], model["label"]] / teacher
                )
                assert share["low"] <= share["estimate"] <= share["high"]
    averages = {
        label: statistics.fmean(means[task, label] for task in ("sst2", "polarity"))
        for label in ("whole", "half", "random weights")
    }
    for model in report["models"]:
        label = model["label"]
        assert model["scores"]["mean"] == pytest.approx(averages[label])
        expected = statistics.fmean(medians[task, label] for task in ("sst2", "polarity"))
        assert model["scores"]["median"] == pytest.approx(expected)
        if label != "whole":
            share = model["retention"]["estimate"]
            assert share == pytest.approx(averages[label] / averages["whole"])
    kept = result.models[1].retention.estimate
    assert kept == pytest.approx(averages["half"] / averages["whole"])
    assert result == SuiteRecord.read(out)
    shown = summarise(result)
    assert report["headline"] in shown
    rows = [re.split("  +", line) for line in shown.splitlines()[1:4]]
    labels = ["whole", "half", "random weights"]
    names = {"sst2": "sst2, accuracy", "polarity": "polarity, macro F1"}
    assert rows == [
        ["median over seeds", *labels],
        *([names[t], *(f"{100 * medians[t, m]:.1f}" for m in labels)] for t in names),
    ]


def test_page_holds_every_task_and_loads_nothing(finished):
    out, _, _ = finished
    page = (out / "report/report.html").read_text()
    markdown = (out / "report/report.md").read_text()
    assert page.count("<figure") == 4
    assert "http" not in page
    assert "<script" not in page
    for text in (page, markdown):
        for expected in ("Retention on each task", "sst2, accuracy", "polarity, macro F1"):
            assert expected in text
    assert "Published: BERT-base" in markdown
    assert "| sst2, accuracy | 20 |" in markdown


def test_published_averages_are_over_the_same_tasks_or_not_given(finished):
    out, _, _ = finished
    by_name = {entry["name"]: entry for entry in read_report(out)["published"]}
    assert by_name["DistilBERT"]["scores"] == {"sst2": 0.913}
    assert by_name["DistilBERT"]["average"] is None  # nobody has published "polarity"


def test_students_learn_from_the_suites_own_teacher(finished):
    out, _, lines = finished
    record = json.loads((out / "runs/sst2/half/run.json").read_text())
    assert record["settings"]["teacher"] == str(out / "runs/sst2/whole/model")
    assert len(list((out / "teachers").iterdir())) == 2  # one pass a task for all seeds
    started = [line.partition(": ")[2] for line in lines if line.startswith("run ")]
    assert started.index("sst2, whole") < started.index("sst2, half")
    terms = (out / "runs/sst2/half/seed-0/metrics.jsonl").read_text()
    assert "soft_targets" in terms


def test_settings_on_learning_from_a_teacher_are_for_those_that_have_one(ground, tmp_path):
    settings = make_settings(
        ground,
        tmp_path / "run",
        finetune={**FINETUNE, "losses": {"logit_mse": {}}},
        tasks={"sst2": {"finetune": {"label_weight": 0.5}}},
    )
    losses = {"whole": {}, "half": {"logit_mse": {}}, "random weights": {}}
    weights = {"whole": 1.0, "half": 0.5, "random weights": 1.0}
    jobs = make_plan(settings).jobs
    assert {job.label: job.settings.losses for job in jobs} == losses
    assert {job.label: job.settings.label_weight for job in jobs} == weights


def test_a_student_may_start_from_its_teachers_layers_on_each_task(ground, tmp_path):
    models = {
        "whole": {"model": str(ground / "encoder"), "role": "teacher"},
        "its layers": {"teacher": "whole", "finetune": {"keep_layers": 1, "learning_rate": 1e-9}},
    }
    out = tmp_path / "run"
    run(make_settings(ground, out, models=models, seeds=(0,)), progress=SilentProgress())
    for task in ("sst2", "polarity"):
        teacher, student = (
            AutoModelForSequenceClassification.from_pretrained(out / f"runs/{task}/{name}/model")
            for name in ("whole", "its-layers")
        )
        assert student.config.num_hidden_layers == 1
        heads = teacher.head.state_dict(), student.head.state_dict()
        assert all(torch.allclose(heads[0][name], heads[1][name], atol=1e-6) for name in heads[0])


def test_processes_give_the_same_figures(ground, finished, tmp_path):
    progress = Lines()
    run(make_settings(ground, tmp_path / "run", workers=2), progress=progress)
    assert scores_of(tmp_path / "run") == scores_of(finished[0])
    first, second = read_report(tmp_path / "run"), read_report(finished[0])
    assert [m["retention"] for m in first["models"]] == [m["retention"] for m in second["models"]]
    assert any(line.startswith("[polarity, half] seed 1, epoch 2: ") for line in progress.lines)


def test_what_has_finished_is_not_run_again(ground, finished):
    out, _, _ = finished
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/seed-*/model/*")}
    progress = Lines()
    settings = make_settings(ground, out)
    run(settings, progress=progress)
    assert [line for line in progress.lines if line.endswith(": finished before")] == [
        f"{task}, {label}: finished before"
        for task in ("sst2", "polarity")
        for label in ("whole", "half", "random weights")
    ]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    row = {
        "whole": "finetune, finished",
        "half": "finetune with the teacher whole, finished",
        "random weights": "finetune, finished",
    }
    assert plan(settings)["runs"] == {"sst2": row, "polarity": row}


def test_finished_runs_do_not_answer_for_other_examples(ground, tmp_path):
    write_data(tmp_path / "data/SST-2", train=16, validation=8, test=0)
    models = {"whole": {"model": str(ground / "encoder"), "role": "teacher"}}
    settings = make_settings(
        ground,
        tmp_path / "run",
        data=str(tmp_path / "data"),
        tasks={"sst2": {}},
        models=models,
        seeds=[0],
    )
    run(settings, progress=SilentProgress())
    path = tmp_path / "data/SST-2/validation.jsonl"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace('"label": 1', '"label": 0', 1), encoding="utf-8")
    message = r"the validation examples of sst2 are others than those of its finished runs; .*sst2"
    with pytest.raises(DataError, match=message):
        run(settings, progress=SilentProgress())
    path.write_text(whole, encoding="utf-8")
    (path.parent / "transfer.jsonl").write_text(whole, encoding="utf-8")  # for a further student
    progress = Lines()
    run(settings, progress=progress)
    assert "sst2, whole: finished before" in progress.lines


def test_interrupted_suite_goes_on(ground, finished, tmp_path):
    settings = make_settings(ground, tmp_path / "run", only=["sst2"])
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=Lines(stop_at="seed 1, epoch 1: "))
    assert not (tmp_path / "run/result.json").exists()
    assert list((tmp_path / "run").glob("runs/sst2/whole/seed-1/checkpoints/step-*"))
    progress = Lines()
    run(settings, progress=progress)
    assert any("seed 1: going on after step" in line for line in progress.lines)
    wanted = {key: value for key, value in scores_of(finished[0]).items() if key[0] == "sst2"}
    assert scores_of(tmp_path / "run") == wanted


def test_interrupted_processes_save_and_go_on(ground, tmp_path):
    """Long enough that the request comes in time; whatever was running has its checkpoint."""
    models = {"whole": {"model": str(ground / "encoder"), "role": "teacher"}}
    changes = {
        "models": models,
        "seeds": [0],
        "finetune": {**FINETUNE, "epochs": 60},
    }
    settings = make_settings(ground, tmp_path / "run", workers=2, **changes)
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=Lines(stop_at="seed 0, epoch 1: "))
    assert list((tmp_path / "run").glob("runs/*/whole/seed-0/checkpoints/step-*"))
    assert not (tmp_path / "run/result.json").exists()
    progress = Lines()
    run(settings.model_copy(update={"workers": 1}), progress=progress)
    assert any("seed 0: going on after step" in line for line in progress.lines)


def test_tasks_without_data_are_named(ground, tmp_path):
    (tmp_path / "glue").mkdir()
    (tmp_path / "glue/sst2").symlink_to(ground / "data/SST-2")
    (tmp_path / "glue/rte").mkdir()
    encoder = str(ground / "encoder")
    settings = SuiteSettings.from_values(
        {
            "data": str(tmp_path / "glue"),
            "out": tmp_path / "run",
            "models": [encoder],
            "seeds": [0],
            "finetune": {**FINETUNE, "max_steps": 1},
            "measure": False,
        }
    )
    found = plan(settings)
    assert found["runs"] == {"sst2": {"encoder": "finetune, to run"}}
    assert list(found["missing"]) == ["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "stsb", "wnli"]
    assert "there is no folder 'cola'" in found["missing"]["cola"]
    assert "no train" in found["missing"]["rte"]
    result = run(settings, progress=SilentProgress())
    assert result.averaged_tasks == ("sst2",)
    report = read_report(tmp_path / "run")
    assert " macro average over 1 of GLUE's 9 tasks (validation, n = " in report["headline"]
    averages = {entry["name"]: entry["average"] for entry in report["published"]}
    assert averages["BERT-base"] == pytest.approx(0.927)  # over sst2 alone, as ours
    assert "cola" in (tmp_path / "run/report/report.md").read_text()


def test_a_failure_costs_the_others_nothing(ground, tmp_path):
    encoder = str(ground / "encoder")
    models = {
        "whole": {"model": encoder, "role": "teacher"},
        "broken": {"model": encoder, "finetune": {"max_length": 500}},
        "pupil": {"model": encoder, "teacher": "broken"},
    }
    (tmp_path / "bad").mkdir()
    for split in ("train", "validation"):
        (tmp_path / f"bad/{split}.jsonl").write_text('{"sentence": "good", "label": 7}\n')
    tasks = {"sst2": {}, "bad": {"task": "sst2", "data": str(tmp_path / "bad")}}
    settings = make_settings(ground, tmp_path / "run", models=models, tasks=tasks, seeds=[0])
    with pytest.raises((TrainingError, DataError)) as caught:
        run(settings, progress=SilentProgress())
    message = str(caught.value)
    assert "sst2, broken: max_length = 500, but the model has 32 positions" in message
    assert "sst2, pupil: not run, since 'sst2, broken' failed" in message
    assert "train.jsonl, line 1: unknown label '7'" in message
    assert (tmp_path / "run/runs/sst2/whole/result.json").exists()
    assert not (tmp_path / "run/result.json").exists()


def test_report_is_over_the_tasks_that_every_model_has(ground, tmp_path):
    """One model fails on one task: the average is over the other one."""
    settings = make_settings(
        ground,
        tmp_path / "run",
        seeds=[0],
        tasks={
            "sst2": {},
            "long": {
                "task": "sst2",
                "data": str(ground / "data/SST-2"),
                "finetune": {"max_length": 33},
            },
        },
    )
    with pytest.raises(TrainingError, match=r"3 of the suite's runs failed: long, whole: max_leng"):
        run(settings, progress=SilentProgress())
    report = read_report(tmp_path / "run")
    assert report["averaged"] == ["sst2"]
    assert list(report["failures"]) == ["long, whole", "long, half", "long, random weights"]


def write_pairs(folder):
    """Writes pairs of texts, the more alike the more words they share."""
    folder.mkdir()
    words = ["good", "film", "men", "seen", "twice"]
    others = ["awful", "rain", "is", "about", "story"]
    rows = [
        {
            "sentence1": " ".join(words),
            "sentence2": " ".join(words[:shared] + others[shared:][::step]),
            "label": shared,
        }
        for shared in range(6)
        for step in (1, -1)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "validation.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def test_zero_shot_tasks_are_evaluated_as_the_models_are(ground, tmp_path):
    """A model that only training makes has no run there, and the task no part in the average."""
    tasks = {"sst2": {}, "sts": {"data": write_pairs(tmp_path / "pairs")}}
    given = make_settings(ground, tmp_path / "run").model_dump()["models"]
    given["as given"] = {"model": str(ground / "encoder")}  # a second student
    settings = make_settings(
        ground, tmp_path / "run", tasks=tasks, seeds=[0], measure=True, models=given
    )
    evaluated = {"whole": "evaluate, to run", "as given": "evaluate, to run"}
    assert plan(settings)["runs"]["sts"] == evaluated
    result = run(settings, progress=SilentProgress())
    report = read_report(tmp_path / "run")
    assert report["averaged"] == ["sst2"]
    table = summarise(result).splitlines()
    assert re.split("  +", table[1])[1:] == ["whole", "half", "as given", "random weights"]
    assert re.fullmatch(r"sts, Spearman correlation +([\d.]+) +– +\1 +–", table[3])
    found = {task["name"]: [m["label"] for m in task["models"]] for task in report["tasks"]}
    assert found["sts"] == ["whole", "as given"]
    assert report["tasks"][1]["models"][1]["retention"]["estimate"] == pytest.approx(1.0)
    assert any("not every model was run on them: sts." in note for note in report["notes"])
    assert report["speed_task"] == "sst2"
    assert report["headline"].startswith("The student “half”, with half the layers, is ")
    page = (tmp_path / "run/report/report.html").read_text()
    assert "Not in the averages: sts; see below for why." in page
    assert report["models"][1]["speed_up"]["latency"]["median"] > 0


def test_teachers_that_learned_nothing_are_named(ground, tmp_path):
    """One predicts the same everywhere: full marks for whoever does too, unless it is said."""
    tasks = {
        "sst2": {"finetune": {"epochs": 8, "batch_size": 8}},
        "stuck": {
            "task": "sst2",
            "data": str(ground / "data/SST-2"),
            "finetune": {"learning_rate": 1e-9, "initialise": "random"},
        },
        "hopeless and with a name that is long": {
            "task": "cola",
            "data": str(ground / "data/SST-2"),
            "finetune": {"learning_rate": 1e-9, "initialise": "random"},
        },
        "rte": {},
        "sts": {"data": write_pairs(tmp_path / "pairs")},
    }
    models = {
        "whole": {"model": str(ground / "encoder"), "role": "teacher"},
        "pupil": {"model": str(ground / "encoder"), "finetune": {"keep_layers": 2}},
    }
    settings = make_settings(
        ground, tmp_path / "run", tasks=tasks, models=models, only=[*tasks], seeds=[0]
    )
    run(settings, progress=SilentProgress())
    report = read_report(tmp_path / "run")
    found = {task["name"]: task for task in report["tasks"]}
    assert [name for name, task in found.items() if task["is_learned"]] == ["sst2", "sts"]
    assert found["stuck"]["models"][1]["retention"]["estimate"] == pytest.approx(1.0)
    hopeless = found["hopeless and with a name that is long"]["models"][1]
    assert (hopeless["scores"]["mean"], hopeless["retention"]) == (0.0, None)
    assert report["absent"] == ["rte", "sts"]
    page = (tmp_path / "run/report/report.html").read_text()
    for text in (page, (tmp_path / "run/report/report.md").read_text()):
        assert "Not in the averages: rte, sts; see below for why." in text
        assert "On stuck, hopeless and with a name that is long, the teacher predicts" in text
        assert "None is given on hopeless and with a name that is long, where the teacher's" in (
            html.unescape(text)
        )
        assert "“whole” and “pupil” on 4 tasks" in text
    shown = r'<svg[^>]*class="(\w+)"[^>]*>\s*<title>Share of the teacher.*?</svg>'
    plots = {found[1]: found[0] for found in re.finditer(shown, page, re.DOTALL)}
    assert set(plots) == {"wide", "narrow"}  # the second one is for a phone
    for plot in plots.values():
        assert plot.count(">no share to give<") == plot.count(">not run<") == 1
        assert "hopeless and with a name" not in plot  # it has three lines
    assert '<td class="words">there is no folder' in page


def test_failing_and_killed_workers_are_named(ground, tmp_path):
    class Killer(Lines):
        """Kills the process that works on one run, as a machine short of memory does."""

        def log(self, message):
            super().log(message)
            if message.startswith("[sst2, whole] seed 0, epoch 1"):
                for child in children():
                    if child not in before:
                        os.kill(child, signal.SIGKILL)

    def children():
        path = Path(f"/proc/self/task/{os.getpid()}/children")
        return [int(text) for text in path.read_text().split()]

    before = children()
    encoder = str(ground / "encoder")
    models = {
        "broken": {"model": encoder, "finetune": {"max_length": 500}},
        "whole": {"model": encoder, "role": "teacher"},
    }
    settings = make_settings(
        ground, tmp_path / "run", models=models, workers=2, only=["sst2"], seeds=[0]
    )
    with pytest.raises(DataError, match="no task has been run by every model") as caught:
        run(settings, progress=Killer())
    assert "sst2, broken: max_length = 500, but the model has 32" in str(caught.value)
    assert "sst2, whole: its process ended with exit code -9" in str(caught.value)


def test_settings_survive_a_file(ground, tmp_path):
    settings = make_settings(ground, tmp_path / "run")
    path = tmp_path / "suite.toml"
    path.write_text(dump_toml(settings, recipe="suite"), encoding="utf-8")
    read = read_settings(
        SuiteSettings, path, ["models.half.finetune.keep_layers=2"], recipe="suite"
    )
    assert read.models["half"].finetune == {"keep_layers": 2}
    assert read.models["whole"] == settings.models["whole"]
    assert read.tasks == settings.tasks


@pytest.mark.parametrize("models", [["a/large", "a/small"], "a/large, a/small"])
def test_list_of_models_has_the_teacher_first(tmp_path, models):
    settings = SuiteSettings(models=models, out=tmp_path / "x")
    assert {k: (v.model, v.role) for k, v in settings.models.items()} == {
        "large": ("a/large", "teacher"),
        "small": ("a/small", "student"),
    }


def test_evaluate_takes_a_suite(ground, tmp_path, capsys):
    words = [f"models={ground / 'encoder'}", "--data", str(ground / "data"), "--only", '["sst2"]']
    words += ["--out", str(tmp_path / "run"), "--dry-run", "--json"]
    assert main(["evaluate", "--suite", "glue", *words]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["recipe"] == "suite"
    in_evaluate = planned["settings"]
    assert planned["plan"]["runs"] == {"sst2": {"encoder": "finetune, to run"}}
    assert main(["suite", "glue", *words]) == 0  # the preset, with its own seeds
    planned = json.loads(capsys.readouterr().out)
    assert planned["plan"]["seeds"] == [0, 1, 2, 3, 4]
    assert planned["settings"] == in_evaluate
    assert main(["suite", str(ground / "encoder")]) == 2
    error = capsys.readouterr().err
    assert "encoder is a folder; limbeck suite takes RUN.toml or a preset there" in error
    assert "and folders as models=..." in error


def test_a_preset_counts_before_a_folder_of_its_name(ground, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue").symlink_to(ground / "data")
    words = [f"models={ground / 'encoder'}", "data=glue", "out=run", "--dry-run", "--json"]
    for command in (["suite", "glue"], ["evaluate", "suite=glue"]):
        assert main([*command, *words]) == 0
        assert json.loads(capsys.readouterr().out)["plan"]["seeds"] == [0, 1, 2, 3, 4]
    assert main(["suite", "./glue", *words]) == 2
    assert "./glue is a folder" in capsys.readouterr().err
    (tmp_path / "distilbert-squad").symlink_to(ground / "encoder")
    assert main(["compress", "distilbert-squad", "task=sst2", "data=nowhere", "--dry-run"]) == 2
    assert "the model has 32 positions" in capsys.readouterr().err  # not a preset of compress


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": {"a": {"model": "m"}}}, r"exactly one .*role = 'teacher', but 0 have \(of a\)"),
        (
            {
                "models": {
                    "a": {"model": "m", "role": "teacher"},
                    "b": {"model": "m", "teacher": "c"},
                }
            },
            r"models\.b\.teacher = 'c' is not the label of a model.*Accepted: a, b",
        ),
        (
            {
                "models": {
                    "a": {"model": "m", "role": "teacher", "teacher": "b"},
                    "b": {"model": "m", "teacher": "a"},
                }
            },
            "teachers go in a circle: a, b, a",
        ),
        ({"only": ["sst3"]}, r"only: 'sst3' is no task of the suite.*Did you mean 'sst2'\?"),
        ({"finetune": {"seeds": [1]}}, r"'seeds' is for the suite to decide"),
        ({"tasks": {"a b": {}, "a-b": {}}}, "a b, a-b don't give different folder names"),
        (
            {"models": {"a": {"model": "m", "role": "teacher"}, "b": {}}},
            r"models\.b says neither which model it is nor which teacher's layers it starts from",
        ),
        ({"tasks": {}}, "suite = 'custom' needs its tasks in the table tasks"),
        (
            {
                "models": {"a": {"model": "m", "role": "teacher"}},
                "tasks": {"sst2": {"finetune": {"label_weight": 0.5}}},
            },
            r"tasks\.sst2\.finetune\.label_weight is for models that learn from a teacher",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(ground, tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        make_settings(ground, tmp_path / "run", **changes)


def test_a_label_in_place_of_a_model_is_answered_with_the_way_to_start_from_it(ground, tmp_path):
    models = {
        "the whole": {"model": str(ground / "encoder"), "role": "teacher"},
        "half": {"model": "the whole", "finetune": {"keep_layers": 1}},
    }
    with pytest.raises(CheckpointError) as caught:
        plan(make_settings(ground, tmp_path / "x", models=models))
    assert str(caught.value).startswith("models.half: there is no folder 'the whole'")
    assert "leave model out and set teacher = 'the whole'" in str(caught.value)
    models["half"]["model"] = "no where"
    with pytest.raises(CheckpointError) as caught:
        plan(make_settings(ground, tmp_path / "x", models=models))
    assert "leave model out" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "name"), [("models.half", "keep_layers"), ("tasks.sst2", "epochs"), ("", "patience")]
)
def test_a_setting_of_finetune_one_level_too_high(ground, tmp_path, place, name):
    settings = tmp_path / "suite.toml"
    settings.write_text(dump_toml(make_settings(ground, tmp_path / "x"), recipe="suite"))
    override = f"{place}.{name}=1".removeprefix(".")
    with pytest.raises(SettingsError) as caught:
        read_settings(SuiteSettings, settings, [override], recipe="suite")
    assert f"no setting '{name}' here" in str(caught.value)
    assert f"write finetune.{name}" in str(caught.value)
    assert place in str(caught.value)


def test_the_documents_show_a_student_of_its_teachers_layers(tmp_path, capsys):
    readme = Path(__file__).resolve().parents[2] / "README.md"
    blocks = re.findall(r"```toml\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    settings = tmp_path / "suite.toml"
    settings.write_text(next(block for block in blocks if 'suite = "custom"' in block))
    read = read_settings(SuiteSettings, settings, recipe="suite")
    assert (len(read.tasks), len(read.models)) == (2, 3)
    assert main(["init", "suite"]) == 0
    about = re.sub(r"\n# ", " ", capsys.readouterr().out)
    shown = "\n".join(re.findall(r"`(models\.\w+ = .*?)`", about))
    settings.write_text(f'out = "x"\n{shown}\n')
    in_help = read_settings(SuiteSettings, settings)
    assert list(in_help.models) == ["large", "general", "half"]
    for half in (read.models["half"], in_help.models["half"]):
        assert (half.model, half.teacher) == (None, "large")
        assert half.finetune == {"keep_layers": 3}


def test_wrong_settings_of_a_run_name_model_and_task(ground, tmp_path):
    settings = make_settings(ground, tmp_path / "run", finetune={"epochz": 2})
    with pytest.raises(SettingsError, match=r"models\.whole on sst2: .*'epochz'.*'epochs'"):
        plan(settings)
    settings = make_settings(ground, tmp_path / "run", data=str(tmp_path / "absent"))
    with pytest.raises(SettingsError, match=r"data = '.*absent' is not a folder"):
        plan(settings)
    lost = {"whole": {"model": str(tmp_path / "lost"), "role": "teacher"}}
    settings = make_settings(ground, tmp_path / "run", models=lost)
    with pytest.raises(CheckpointError, match=r"models\.whole: there is no folder '.*lost'"):
        run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()
    settings = make_settings(ground, tmp_path / "run", tasks={"mine": {"task": "sst2"}})
    with pytest.raises(DataError, match=r"none of the suite's tasks.*'mine'.*tasks\.mine\.data"):
        run(settings, progress=SilentProgress())


def test_workers_stop_when_the_suite_is_killed(ground, tmp_path):
    """Each saves its checkpoint first, so that nobody else works in the folders from then on."""
    models = {"whole": {"model": str(ground / "encoder"), "role": "teacher"}}
    settings = make_settings(
        ground,
        tmp_path / "run",
        workers=2,
        models=models,
        seeds=[0],
        finetune={**FINETUNE, "epochs": 2000},
    )
    path = tmp_path / "suite.toml"
    path.write_text(dump_toml(settings, recipe="suite"), encoding="utf-8")
    command = [sys.executable, "-m", "limbeck", "suite", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as suite:
        started = set()
        for line in suite.stderr:
            if "seed 0, epoch 1: " in line:
                started.add(line.partition(",")[0])
            if len(started) == 2:
                break
        children = Path(f"/proc/{suite.pid}/task/{suite.pid}/children").read_text().split()
        suite.kill()
    for _ in range(200):
        if not any(is_running(child) for child in children):
            break
        time.sleep(0.1)
    assert not any(is_running(child) for child in children)
    saved = {path.parts[-5] for path in tmp_path.glob("run/runs/*/whole/seed-0/checkpoints/step-*")}
    assert saved == {"sst2", "polarity"}


def is_running(process):
    """Whether there is such a process, and not only what is left of it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
