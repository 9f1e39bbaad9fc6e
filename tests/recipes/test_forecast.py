"""What a dry run says of steps and time, and the same steps for all where a time is asked for."""

from contextlib import suppress

import pytest
import tiny_compress
import tiny_suite
from tiny_task import Lines, make_settings, write_data, write_model

from limbeck.errors import ContractError, SettingsError
from limbeck.recipes import compress, suite
from limbeck.recipes.finetune.forecast import Pace, count_rows, describe_time, take_sample
from limbeck.recipes.finetune.shared_steps import SharedSteps, share_steps
from limbeck.runs import FinetuneRecord
from limbeck.tasks import read_task
from limbeck.train import SilentProgress

SLOW = {**tiny_suite.FINETUNE, "batch_size": 8}


def test_a_dry_run_of_compress_says_steps_and_time(deep_teacher, data, tmp_path):
    given = {"epochs": 3, "seeds": (0, 1), "finetune": {"evaluations_per_epoch": 2}}
    settings = tiny_compress.make_settings(deep_teacher, data, tmp_path / "run", **given)
    planned = compress.plan(settings)
    assert planned["steps"] == {"2 layers": 3 * 8, "1 layer": 3 * 8}
    assert planned["time"].keys() == planned["steps"].keys()
    assert planned["total_seconds"] >= 0
    assert "by two steps of each on this machine" in planned["time_of_all"]
    assert not (tmp_path / "run").exists()


def test_students_that_cannot_be_made_are_refused_before_anything_is_begun(
    deep_teacher, data, tmp_path
):
    for changes, message in (
        ({"finetune": {"accumulate": 9}}, r"accumulate = 9 .*batch_size = 8"),
        ({"device": "nowhere"}, r"device = 'nowhere' can't be used"),
        ({"losses": {"hidden_mse": {"teacher_layers": [9]}}}, r"student '2 layers': .*9"),
    ):
        settings = tiny_compress.make_settings(deep_teacher, data, tmp_path / "run", **changes)
        for go in (compress.plan, lambda s: compress.run(s, progress=SilentProgress())):
            with pytest.raises(SettingsError, match=message):
                go(settings)
    assert not (tmp_path / "run").exists()


def test_a_time_limit_gives_all_students_the_same_steps(deep_teacher, data, tmp_path):
    out = tmp_path / "run"
    limit = {"finetune": {"max_minutes": 0.002}, "epochs": 200, "retain": 0.01}
    settings = tiny_compress.make_settings(deep_teacher, data, out, **limit)
    progress = Lines()
    with suppress(ContractError):  # whether so few steps teach anything is not the question
        compress.run(settings, progress=progress)
    made = {
        FinetuneRecord.read(folder).seeds[0].num_steps for folder in (out / "students").iterdir()
    }
    assert len(made) == 1
    assert made == set(SharedSteps.read(out).num_steps.values())
    assert any("the same for every model" in line for line in progress.lines)
    again = Lines()
    with suppress(ContractError):
        compress.run(settings.model_copy(update={"retain": 0.02}), progress=again)
    assert not any("the same for every model" in line for line in again.lines), "decided once"


def test_times_are_as_rough_as_they_are_known():
    pace = Pace(seconds_per_step=1.0, seconds_per_row=0.1, tokens_per_row=20.0)
    assert pace.over(40.0) == Pace(seconds_per_step=2.0, seconds_per_row=0.2, tokens_per_row=40.0)
    assert share_steps(0.001, seconds_per_step=10.0) == 1
    assert describe_time(3 * 3600) == "about 3.0 hours"


@pytest.mark.parametrize(("batch_size", "num_rows"), [(8, 256), (100, 300), (300, 900)])
def test_steps_are_timed_on_whole_batches(encoder, tmp_path, batch_size, num_rows):
    """A step on 256 rows where a batch has 300 would be too short, and minutes too many steps."""
    data = write_data(tmp_path / "data", train=1000)
    settings = make_settings(encoder, data, tmp_path / "run", batch_size=batch_size)
    sample = take_sample(settings, read_task("sst2", data))
    assert len(sample.examples["train"]) == num_rows
    assert count_rows(sample) == {"train": 1000, "validation": 24, "test": 16}


def test_a_dry_run_of_a_suite_says_steps_and_time(ground, tmp_path):
    settings = tiny_suite.make_settings(ground, tmp_path / "run", finetune=SLOW)
    planned = suite.plan(settings)
    shown = planned["runs"]["sst2"]
    assert shown["whole"].startswith("finetune, to run: 72 steps a seed, less than a minute")
    assert shown["half"].startswith("finetune with the teacher whole, to run: 72 steps a seed")
    assert shown["random weights"].startswith("finetune, to run: 6 steps a seed")
    assert planned["total_seconds"] >= 0
    assert not (tmp_path / "run").exists()


def test_a_suite_refuses_runs_that_cannot_be_made(ground, tmp_path):
    encoder = str(ground / "encoder")
    models = {
        "whole": {"model": encoder, "role": "teacher"},
        "half": {"teacher": "whole", "finetune": {"keep_layers": 1}},
    }
    wide = write_model(tmp_path / "wide", hidden_size=32)
    for changes, message in (
        (
            {"models": {**models, "third": {"teacher": "half", "finetune": {"keep_layers": 2}}}},
            r"models.third on sst2: start",
        ),
        ({"finetune": {**SLOW, "max_length": 64}}, r"models.whole on sst2: max_length = 64, but"),
        ({"finetune": {**SLOW, "device": "nowhere"}}, r"models.whole on sst2: device = 'nowhere'"),
        (
            {
                "models": {**models, "wide": {"model": wide, "teacher": "whole"}},
                "finetune": {**SLOW, "losses": {"cosine": {}}},
            },
            r"models.wide on sst2: losses.cosine .* hidden_size is 16 and the student's 32",
        ),
    ):
        settings = tiny_suite.make_settings(
            ground, tmp_path / "run", **{"models": models, **changes}
        )
        for go in (suite.plan, lambda s: suite.run(s, progress=SilentProgress())):
            with pytest.raises(SettingsError, match=message):
                go(settings)
    assert not (tmp_path / "run").exists()


def test_a_time_limit_gives_all_models_of_a_task_the_same_steps(ground, tmp_path):
    out = tmp_path / "run"
    limit = {**SLOW, "max_minutes": 0.002, "epochs": 200}
    models = {
        "whole": {"model": str(ground / "encoder"), "role": "teacher"},
        "half": {"teacher": "whole", "finetune": {"keep_layers": 1}},
    }
    given = {"finetune": limit, "models": models, "seeds": (0,), "only": ("sst2",)}
    settings = tiny_suite.make_settings(ground, out, **given)
    suite.run(settings, progress=SilentProgress())
    made = {FinetuneRecord.read(f.parent).seeds[0].num_steps for f in out.glob("runs/*/*/run.json")}
    assert made == set(SharedSteps.read(out).num_steps.values())
    planned = suite.plan(settings)
    assert [words.rpartition(", ")[2] for words in planned["runs"]["sst2"].values()] == [
        "finished"
    ] * 2
