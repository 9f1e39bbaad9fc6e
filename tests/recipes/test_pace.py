"""The pace of a fine-tuning, measured without a trace."""

import time

from tiny_task import make_settings, write_data, write_model

from limbeck.recipes.finetune.pace import measure_pace


def test_a_step_takes_its_time_and_leaves_no_folder(tmp_path):
    data = write_data(tmp_path / "data")
    settings = make_settings(write_model(tmp_path / "model"), data, tmp_path / "run")
    began = time.perf_counter()
    seconds = measure_pace(settings, num_steps=5)
    assert 0 < 5 * seconds < time.perf_counter() - began
    assert not (tmp_path / "run").exists()


def test_a_slow_machine_is_measured_on_two_steps(tmp_path):
    data = write_data(tmp_path / "data")
    settings = make_settings(write_model(tmp_path / "model"), data, tmp_path / "run")
    began = time.perf_counter()
    seconds = measure_pace(settings, num_steps=10**6, max_seconds=0.0)
    assert 0 < 2 * seconds < time.perf_counter() - began
