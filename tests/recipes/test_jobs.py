"""Jobs: what waits, what fails, and which GPU a process gets."""

from __future__ import annotations

import json
import subprocess
import sys

from tiny_task import finetune, make_settings

from limbeck.recipes._jobs import Failures, Job, run_jobs
from limbeck.recipes._jobs.pool import spread_over_gpus
from limbeck.recipes.evaluate import EvaluateSettings
from limbeck.train import SilentProgress


def make_job(folder, name, after=None):
    settings = EvaluateSettings(model=str(folder / "absent"), out=folder / name)
    return Job(name=name, recipe="evaluate", settings=settings, after=after)


def test_what_waits_for_a_failed_job_is_not_run(tmp_path):
    jobs = [make_job(tmp_path, "a"), make_job(tmp_path, "b", "a"), make_job(tmp_path, "c", "z")]
    wrong = jobs[0].settings.model_copy(update={"max_length": 0})  # which no check has seen
    jobs.append(Job(name="d", recipe="evaluate", settings=wrong))
    for num_workers in (1, 2):
        failures = run_jobs(jobs, num_workers=num_workers, progress=SilentProgress())
        assert failures["b"] == "not run, since 'a' failed"
        assert failures.keys() == {"a", "b", "c", "d"}  # z is none of the jobs: c was tried
        assert failures.of_settings == {"d"}
        assert failures["c"].startswith("there is no folder")
        assert not failures.are_of_settings


def test_workers_import_nothing_from_the_working_folder(tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    for name in ("multiprocessing", "limbeck", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(trace)!r}, 'w')")
    jobs = [make_job(tmp_path, "a"), make_job(tmp_path, "b")]
    monkeypatch.chdir(tmp_path)
    failures = run_jobs(jobs, num_workers=2, progress=SilentProgress())
    assert all(why.startswith("there is no folder") for why in failures.values())
    assert not trace.exists()


def test_a_job_says_all_that_another_process_needs(tmp_path):
    job = make_job(tmp_path, "a")
    assert not job.is_finished
    values = json.loads(job.to_json())
    assert values["recipe"] == "evaluate"
    assert EvaluateSettings.from_values(values["settings"]) == job.settings


def test_how_often_a_job_saved_does_not_make_it_another(encoder, data, tmp_path):
    finetune(encoder, data, tmp_path / "run", max_steps=1, save_every=500)
    for changes, is_finished in (({}, True), ({"log_every": 7}, True), ({"epochs": 5}, False)):
        settings = make_settings(encoder, data, tmp_path / "run", max_steps=1, **changes)
        assert Job(name="a", recipe="finetune", settings=settings).is_finished == is_finished


def test_failures_in_words():
    assert str(Failures(a="broken", b="late")) == "a: broken; b: late"


def test_workers_take_the_gpus_in_turns():
    """Seen by the worker itself, in a process as the pool starts it."""
    assert [e.get("CUDA_VISIBLE_DEVICES") for e in spread_over_gpus(["2", "GPU-5f"], 3)] == [
        "2",
        "GPU-5f",
        "2",
    ]
    assert spread_over_gpus(["0"], 2) == spread_over_gpus([], 2) == [{}, {}]
    script = f"""
import multiprocessing, os
from limbeck.recipes._jobs import pool
near, far = multiprocessing.Pipe()
near.close()
pool._work(far, {spread_over_gpus(["2", "GPU-5f"], 2)[1]}, 1)
print(os.environ["CUDA_VISIBLE_DEVICES"])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "GPU-5f\n"
