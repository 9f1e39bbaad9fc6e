"""Suites: what several tiny models on several tiny tasks come to, and what the report says."""

import html
import json
import re
import statistics

import pytest
import torch
from tiny_suite import FINETUNE, make_settings, read_report, scores_of

from limbeck import AutoModelForSequenceClassification
from limbeck.errors import TrainingError
from limbeck.recipes.suite import SuiteSettings, plan, run, summarise
from limbeck.recipes.suite.jobs import make_plan
from limbeck.runs import SuiteRecord
from limbeck.train import SilentProgress


def test_report_gives_the_figures_of_the_runs(finished_suite):
    """Medians, averages and retention, computed here from the runs' own results."""
    out, result, _ = finished_suite
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
            share = model["retention"]
            is_shown = model["beats_constant"] and task["models"][0]["beats_constant"]
            assert (share is not None) == (is_shown and model["label"] != "whole")
            if share is not None:
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
        if label == "half":
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


def test_page_holds_every_task_and_loads_nothing(finished_suite):
    out, _, _ = finished_suite
    page = (out / "report/report.html").read_text()
    markdown = (out / "report/report.md").read_text()
    assert page.count("<figure") == 4
    assert "http" not in page
    assert "<script" not in page
    for text in (page, markdown):
        for expected in ("Retention on each task", "sst2, accuracy", "polarity, macro F1"):
            assert expected in text
    assert "Published: BERT-base" in markdown
    assert "| sst2, accuracy | 60 |" in markdown


def test_published_averages_are_over_the_same_tasks_or_not_given(finished_suite):
    out, _, _ = finished_suite
    by_name = {entry["name"]: entry for entry in read_report(out)["published"]}
    assert by_name["DistilBERT"]["scores"] == {"sst2": 0.913}
    assert by_name["DistilBERT"]["average"] is None  # nobody has published "polarity"


def test_students_learn_from_the_suites_own_teacher(finished_suite):
    out, _, lines = finished_suite
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
    (shown,) = found["runs"]["sst2"].values()
    assert shown == "finetune, to run: 1 steps a seed, less than a minute"
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
                "finetune": {"learning_rate": 1e30},
            },
        },
    )
    with pytest.raises(TrainingError, match=r"3 of the suite's runs failed: long, whole: step 2"):
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
    assert "The student “half”, with half the layers" in report["headline"]
    page = (tmp_path / "run/report/report.html").read_text()
    assert "Not in the averages: sts" in page
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
    assert found["stuck"]["models"][1]["retention"] is None
    assert report["remarks"][0].startswith(
        "The average takes in stuck and hopeless and with a name that is long, where the teacher "
    )
    hopeless = found["hopeless and with a name that is long"]["models"][1]
    assert (hopeless["scores"]["mean"], hopeless["retention"]) == (0.0, None)
    assert report["absent"] == ["rte", "sts"]
    page = (tmp_path / "run/report/report.html").read_text()
    for text in (page, (tmp_path / "run/report/report.md").read_text()):
        assert "Not in the averages: rte, sts" in text
        assert "Nearly always the same is predicted by whole on stuck (“" in text
        assert "None is given on stuck, hopeless and with a name that is long, where the" in (
            html.unescape(text)
        )
        assert "“whole” and “pupil” on 4 tasks" in text
    shown = r'<svg[^>]*class="(\w+)"[^>]*>\s*<title>Share of the teacher.*?</svg>'
    plots = {found[1]: found[0] for found in re.finditer(shown, page, re.DOTALL)}
    assert set(plots) == {"wide", "narrow"}  # the second one is for a phone
    for plot in plots.values():
        assert (plot.count(">no share to give<"), plot.count(">not run<")) == (2, 1)
        assert "hopeless and with a name" not in plot  # it has three lines
    assert '<td class="words">there is no folder' in page


def test_a_model_starts_from_another_and_learns_from_labels_alone(ground, tmp_path):
    """BERT-of-Theseus in a suite: the layers of what the teacher became on the task."""
    models = {
        "whole": {"model": str(ground / "encoder"), "role": "teacher"},
        "theseus": {
            "starts_from": "whole",
            "finetune": {"keep_layers": 1, "replacing": {"epochs": 1}},
        },
    }
    tasks = {"sst2": {}}
    settings = make_settings(ground, tmp_path / "run", models=models, tasks=tasks, seeds=(0,))
    planned = plan(settings)
    assert "teacher" not in planned["runs"]["sst2"]["theseus"]
    run(settings, progress=SilentProgress())
    (job,) = [job for job in make_plan(settings).jobs if job.label == "theseus"]
    assert job.settings.teacher is None
    assert job.settings.model == str(tmp_path / "run/runs/sst2/whole/model")
    labels = [model["label"] for model in read_report(tmp_path / "run")["models"]]
    assert labels == ["whole", "theseus"]
