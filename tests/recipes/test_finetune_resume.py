"""A fine-tuning that is stopped, killed or interrupted ends with the bits of one left alone."""

import signal
import subprocess
import sys
import time

import pytest
import torch
from tiny_task import (
    Lines,
    assert_same_weights,
    finetune,
    make_settings,
    read_weights,
    write_data,
    write_model,
)

from limbeck.checkpoints import write_safetensors
from limbeck.errors import DataError
from limbeck.recipes.finetune import run
from limbeck.train import SilentProgress, read_metrics


class _StopError(Exception):
    pass


class StoppingProgress(SilentProgress):
    """Ends the run as abruptly as an exception can, when a line has been logged so often."""

    def __init__(self, after):
        self._left = after

    def log(self, message):
        self._left -= 1
        if not self._left:
            raise _StopError


INTERRUPTED = {"seeds": (0, 1), "save_every": 3, "epochs": 2, "evaluations_per_epoch": 2}


@pytest.fixture(scope="module")
def uninterrupted(encoder, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, finetune(encoder, data, out, **INTERRUPTED)


@pytest.mark.parametrize("after", [4, 5, 6, 8])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    uninterrupted, encoder, data, tmp_path, after
):
    out, expected = uninterrupted
    settings = make_settings(encoder, data, tmp_path / "stopped", **INTERRUPTED)
    with pytest.raises(_StopError):
        run(settings, progress=StoppingProgress(after))
    result = run(settings, progress=SilentProgress())
    for folder in ("seed-0", "seed-1"):
        whole, stopped = out / folder, tmp_path / "stopped" / folder
        assert_same_weights(whole / "model", stopped / "model")
        lines = [read_metrics(whole), read_metrics(stopped)]
        for first, second in zip(*lines, strict=True):
            assert (first.kind, first.step) == (second.kind, second.step)
            assert first.values["loss"] == second.values["loss"]
    for first, second in zip(expected.seeds, result.seeds, strict=True):
        same_time = first.model_copy(update={"elapsed_seconds": second.elapsed_seconds})
        assert same_time == second


def test_a_run_does_not_go_on_with_other_examples(encoder, tmp_path):
    data = write_data(tmp_path / "data")
    settings = make_settings(encoder, data, tmp_path / "stopped", save_every=3, epochs=3)
    with pytest.raises(_StopError):
        run(settings, progress=StoppingProgress(4))
    finetune(encoder, data, tmp_path / "finished", max_steps=2)
    path = tmp_path / "data/train.jsonl"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace('"label": 1', '"label": 0', 1), encoding="utf-8")
    message = r"{} already holds a 'finetune' run, and data = \".*\" has changed since it was begun"
    with pytest.raises(DataError, match=message.format("stopped")):
        run(settings, progress=SilentProgress())
    with pytest.raises(DataError, match=message.format("finished")):
        finetune(encoder, data, tmp_path / "finished", max_steps=2)
    path.write_text(whole, encoding="utf-8")
    finetune(encoder, data, tmp_path / "finished", max_steps=2)
    run(settings, progress=SilentProgress())


def test_a_short_run_loses_no_validation(encoder, data, tmp_path):
    """Nobody said how often to save: two epochs of eight steps, stopped hard in the second."""
    settings = make_settings(encoder, data, tmp_path / "stopped")
    with pytest.raises(_StopError):
        run(settings, progress=StoppingProgress(5))
    assert (tmp_path / "stopped/seed-0/checkpoints/step-00000008").is_dir()
    run(settings, progress=SilentProgress())
    finetune(encoder, data, tmp_path / "whole")
    assert_same_weights(tmp_path / "whole/seed-0/model", tmp_path / "stopped/seed-0/model")


def test_further_seeds_start_from_the_same_model(data, tmp_path):
    model = write_model(tmp_path / "encoder")
    finetune(model, data, tmp_path / "run", seeds=(0,), max_steps=2)
    kept = read_weights(model)
    write_safetensors(tmp_path / "encoder/model.safetensors", {n: t / 2 for n, t in kept.items()})
    message = rf'run already holds a .finetune. run, and model = "{model}" has changed since it was'
    with pytest.raises(DataError, match=message):
        finetune(model, data, tmp_path / "run", seeds=(0, 1), max_steps=2)
    write_safetensors(tmp_path / "encoder/model.safetensors", kept)
    both = finetune(model, data, tmp_path / "run", seeds=(0, 1), max_steps=2)
    assert [seed.seed for seed in both.seeds] == [0, 1]


def test_a_runs_folder_is_known_by_the_model_in_it(encoder, data, tmp_path):
    started, out = tmp_path / "started", tmp_path / "run"
    finetune(encoder, data, started, max_steps=1)
    finetune(str(started), data, out, max_steps=2)
    model = started / "model/model.safetensors"
    kept = read_weights(model.parent)
    write_safetensors(model, {name: tensor / 2 for name, tensor in kept.items()})
    with pytest.raises(DataError, match=rf'and model = "{started}" has changed since it was begun'):
        finetune(str(started), data, out, max_steps=2)
    write_safetensors(model, kept)
    finetune(str(model.parent), data, out, max_steps=2)  # the same model


def test_a_run_goes_on_where_it_was_moved_and_however_paths_are_written(
    data, tmp_path, monkeypatch
):
    model = write_model(tmp_path / "encoder")
    finetune(model, data, tmp_path / "whole", max_steps=10)
    settings = make_settings(model, data, tmp_path / "run", save_every=3, max_steps=10)
    with pytest.raises(_StopError):
        run(settings, progress=StoppingProgress(4))
    (tmp_path / "run").rename(tmp_path / "moved")
    (tmp_path / "encoder").rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path)
    progress = Lines()
    result = finetune("renamed", data, "moved", max_steps=10, progress=progress)
    assert any("going on after step" in line for line in progress.lines)
    assert result.model == "renamed"
    assert_same_weights(tmp_path / "whole/model", tmp_path / "moved/model")


def test_kill_minus_nine_and_start_again(encoder, data, tmp_path):
    changes = {"save_every": 1, "epochs": 3}
    settings = make_settings(encoder, data, tmp_path / "killed", **changes)
    code = (
        "import sys\n"
        "from limbeck.recipes.finetune import FinetuneSettings, run\n"
        "from limbeck.train import SilentProgress\n"
        "import torch; torch.set_num_threads(int(sys.argv[2]))\n"
        "run(FinetuneSettings.model_validate_json(sys.argv[1]), progress=SilentProgress())\n"
    )
    arguments = [settings.model_dump_json(), str(torch.get_num_threads())]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    checkpoints = tmp_path / "killed/seed-0/checkpoints"
    deadline = time.monotonic() + 60
    while not any(checkpoints.glob("step-*[5-9]")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert checkpoints.exists()
    run(settings, progress=SilentProgress())
    finetune(encoder, data, tmp_path / "whole", **changes)
    assert_same_weights(tmp_path / "whole/seed-0/model", tmp_path / "killed/seed-0/model")


@pytest.mark.parametrize(("epoch", "step"), [("1", 8), ("1.25", 10)])
def test_ctrl_c_saves_and_the_run_goes_on(encoder, data, tmp_path, epoch, step):
    """During a validation on the way, or during the last one, which no step follows."""

    class InterruptingProgress(SilentProgress):
        def log(self, message):
            if f"epoch {epoch}:" in message:
                signal.raise_signal(signal.SIGINT)

    finetune(encoder, data, tmp_path / "whole", max_steps=10)
    settings = make_settings(encoder, data, tmp_path / "interrupted", max_steps=10)
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=InterruptingProgress())
    assert (tmp_path / f"interrupted/seed-0/checkpoints/step-{step:08d}").is_dir()
    run(settings, progress=SilentProgress())
    assert_same_weights(tmp_path / "whole/seed-0/model", tmp_path / "interrupted/seed-0/model")
