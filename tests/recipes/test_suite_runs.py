"""Runs of a suite: in one process and several, finished before, stopped, failed and killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_suite import FINETUNE, make_settings, read_report, scores_of
from tiny_task import Lines, write_data

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.config import dump_toml
from limbeck.errors import DataError, TrainingError
from limbeck.recipes.suite import plan, run
from limbeck.train import SilentProgress


def test_processes_give_the_same_figures(ground, finished_suite, tmp_path):
    progress = Lines()
    run(make_settings(ground, tmp_path / "run", workers=2), progress=progress)
    assert scores_of(tmp_path / "run") == scores_of(finished_suite[0])
    first, second = read_report(tmp_path / "run"), read_report(finished_suite[0])
    assert [m["retention"] for m in first["models"]] == [m["retention"] for m in second["models"]]
    assert any(line.startswith("[polarity, half] seed 1, epoch 2: ") for line in progress.lines)


def test_what_has_finished_is_not_run_again(ground, finished_suite):
    out, _, _ = finished_suite
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


def test_finished_runs_do_not_answer_for_another_model(ground, tmp_path):
    shutil.copytree(ground / "encoder", tmp_path / "encoder")
    models = {
        "whole": {"model": str(tmp_path / "encoder"), "role": "teacher"},
        "half": {"teacher": "whole", "finetune": {"keep_layers": 1}},
    }
    given = {"models": models, "only": ["sst2"], "seeds": [0]}
    out = tmp_path / "run"
    run(make_settings(ground, out, **given), progress=SilentProgress())
    out.rename(tmp_path / "moved")
    settings = make_settings(ground, tmp_path / "moved", **given)
    progress = Lines()
    run(settings, progress=progress)
    assert [line for line in progress.lines if "finished before" in line] == [
        "sst2, whole: finished before",
        "sst2, half: finished before",
    ]
    weights = tmp_path / "encoder/model.safetensors"
    tensors = read_safetensors(weights)
    write_safetensors(weights, {name: tensor / 2 for name, tensor in tensors.items()})
    message = (
        r'sst2/whole already holds a .finetune. run, and model = ".*encoder" has changed since'
    )
    with pytest.raises(DataError, match=message):
        run(settings, progress=SilentProgress())
    shutil.rmtree(tmp_path / "moved/runs/sst2/whole")  # as the message advises
    with pytest.raises(
        TrainingError, match=r"half: .*sst2/half already holds .*whole/model., which holds somethi"
    ):
        run(settings, progress=SilentProgress())


def test_interrupted_suite_goes_on(ground, finished_suite, tmp_path):
    settings = make_settings(ground, tmp_path / "run", only=["sst2"])
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=Lines(stop_at="seed 1, epoch 1: "))
    assert not (tmp_path / "run/result.json").exists()
    assert list((tmp_path / "run").glob("runs/sst2/whole/seed-1/checkpoints/step-*"))
    progress = Lines()
    run(settings, progress=progress)
    assert any("seed 1: going on after step" in line for line in progress.lines)
    wanted = {key: value for key, value in scores_of(finished_suite[0]).items() if key[0] == "sst2"}
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


def test_a_failure_costs_the_others_nothing(ground, tmp_path):
    encoder = str(ground / "encoder")
    models = {
        "whole": {"model": encoder, "role": "teacher"},
        "broken": {"model": encoder, "finetune": {"learning_rate": 1e30}},
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
    assert "sst2, broken: step 2: the loss is nan" in message
    assert "sst2, pupil: not run, since 'sst2, broken' failed" in message
    assert "train.jsonl, line 1: unknown label '7'" in message
    assert (tmp_path / "run/runs/sst2/whole/result.json").exists()
    assert not (tmp_path / "run/result.json").exists()


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
        "broken": {"model": encoder, "finetune": {"learning_rate": 1e30}},
        "whole": {"model": encoder, "role": "teacher"},
    }
    settings = make_settings(
        ground, tmp_path / "run", models=models, workers=2, only=["sst2"], seeds=[0]
    )
    with pytest.raises(DataError, match="no task has been run by every model") as caught:
        run(settings, progress=Killer())
    assert "sst2, broken: step 2: the loss is nan" in str(caught.value)
    assert "sst2, whole: its process ended with exit code -9" in str(caught.value)


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
