"""What a dry run says of steps and time, and the same steps for all where a time is asked for."""

import pytest
import tiny_compress
from tiny_task import Lines

from limbeck.errors import SettingsError
from limbeck.recipes import compress
from limbeck.recipes.finetune.forecast import Pace, describe_time
from limbeck.recipes.finetune.shared_steps import SharedSteps, share_steps
from limbeck.runs import FinetuneRecord
from limbeck.train import SilentProgress


def test_a_dry_run_of_compress_says_steps_and_time(deep_teacher, data, tmp_path):
    given = {"epochs": 3, "seeds": (0, 1), "finetune": {"evaluations_per_epoch": 2}}
    settings = tiny_compress.make_settings(deep_teacher, data, tmp_path / "run", **given)
    planned = compress.plan(settings)
    assert planned["steps"] == {"2 layers": 3 * 8, "1 layer": 3 * 8}
    assert planned["time"].keys() == planned["steps"].keys()
    assert planned["seconds"] >= 0
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
    compress.run(settings, progress=progress)
    made = {
        FinetuneRecord.read(folder).seeds[0].num_steps for folder in (out / "students").iterdir()
    }
    assert len(made) == 1
    assert made == set(SharedSteps.read(out).num_steps.values())
    assert any("the same for every model" in line for line in progress.lines)
    again = Lines()
    compress.run(settings.model_copy(update={"retain": 0.02}), progress=again)
    assert not any("the same for every model" in line for line in again.lines), "decided once"


def test_times_are_as_rough_as_they_are_known():
    pace = Pace(seconds_per_step=1.0, seconds_per_row=0.1, tokens_per_row=20.0)
    assert pace.over(40.0) == Pace(seconds_per_step=2.0, seconds_per_row=0.2, tokens_per_row=40.0)
    assert share_steps(0.001, seconds_per_step=10.0) == 1
    assert describe_time(3 * 3600) == "about 3.0 hours"
