"""The folder of a run: what `run.json` holds, and what a second start in it does."""

from __future__ import annotations

import json
import math
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from limbeck.config import Settings
from limbeck.errors import DataError, FolderInUseError, SettingsError
from limbeck.files.typed import seal
from limbeck.runs import ResultRecord, RunFolder, RunRecord, describe_begun, start_run
from limbeck.runs.machine import describe_git
from limbeck.version import __version__


class Inner(Settings):
    rate: float = 0.5


class Heat(Settings):
    out: Path = Path("x")
    temperature: float = 2.0
    minutes: float | None = None
    seed: int = 7
    save_every: int = 10
    inner: Inner = Inner()


def begin(*arguments: Any, **more: Any) -> RunFolder:
    """Begins a run or goes on with one, and leaves it when something has come of it."""
    with start_run(*arguments, **more) as run:
        (run.path / "metrics.jsonl").touch()
        return run


class HeatRecord(ResultRecord):
    recipe: Literal["heat"] = "heat"
    score: float


def test_record_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    run = begin(folder, recipe="heat", settings=Heat(), command="limbeck heat")
    record = RunRecord.read(folder)
    assert record == run.record
    assert not run.resumed
    assert run.finished(HeatRecord) is None
    assert record.settings["inner"] == {"rate": 0.5}
    assert (record.recipe, record.seed, record.command) == ("heat", 7, "limbeck heat")
    assert record.limbeck_version == __version__
    assert {"python", "torch", "tokenizers", "safetensors"} <= set(record.versions)
    assert record.hardware.cpu
    assert record.hardware.num_cores >= record.hardware.num_usable_cores >= 1
    assert record.hardware.num_threads >= 1
    assert record.started_at.endswith("+00:00")
    assert json.loads((folder / "run.json").read_text())["format"] == 1
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "metrics.jsonl", "run.json"]


def test_same_settings_resume(tmp_path: Path) -> None:
    begin(tmp_path, recipe="heat", settings=Heat())
    again = begin(tmp_path, recipe="heat", settings=Heat())
    assert again.resumed
    assert again.finished(HeatRecord) is None
    assert len(again.record.resumed_at) == 1
    HeatRecord(score=1.5).write(tmp_path)
    finished = begin(tmp_path, recipe="heat", settings=Heat())
    assert finished.finished(HeatRecord) == HeatRecord(score=1.5)
    assert len(finished.record.resumed_at) == 2


def test_a_setting_that_came_up_later_has_its_default(tmp_path: Path) -> None:
    begin(tmp_path, recipe="heat", settings=Heat())
    record = json.loads((tmp_path / "run.json").read_text())
    del record["settings"]["minutes"]
    del record["settings"]["inner"]
    (tmp_path / "run.json").write_text(json.dumps(seal(record)))
    assert begin(tmp_path, recipe="heat", settings=Heat()).resumed
    (tmp_path / "run.json").write_text(json.dumps(seal(record)))
    with pytest.raises(SettingsError, match=r"inner.rate was 0.5, now 0.1"):
        begin(tmp_path, recipe="heat", settings=Heat(inner=Inner(rate=0.1)))


def test_other_settings_are_refused(tmp_path: Path) -> None:
    begin(tmp_path, recipe="heat", settings=Heat())
    other = Heat(temperature=3, minutes=1, inner=Inner(rate=0.25))
    with pytest.raises(SettingsError) as caught:
        begin(tmp_path, recipe="heat", settings=other, may_change={"minutes"})
    assert str(caught.value) == (
        f"{tmp_path} already holds a 'heat' run with other settings: temperature was 2.0, now 3.0; "
        "inner.rate was 0.5, now 0.25. To go on with it give the same settings; otherwise give "
        f"another out=..., or remove {tmp_path} to start over."
    )
    with pytest.raises(SettingsError, match="already holds a 'heat' run, not a 'cool' run"):
        begin(tmp_path, recipe="cool", settings=Heat())


def test_a_run_that_failed_before_anything_came_of_it_holds_nobody_to_it(tmp_path: Path) -> None:
    with start_run(tmp_path, "melt", Melt(), inputs={"model": "damaged"}):
        pass
    (tmp_path / "data").mkdir()
    with start_run(tmp_path, "melt", Melt(), inputs={"model": "damaged"}) as run:
        assert run.resumed
    with start_run(tmp_path, "melt", Melt(), inputs={"model": "mended"}) as run:
        assert (run.resumed, run.record.inputs) == (False, {"model": "mended"})
    with start_run(tmp_path, "heat", Heat(temperature=3)) as run:
        assert (run.resumed, RunRecord.read(tmp_path).recipe) == (False, "heat")


def test_may_change_updates_the_record(tmp_path: Path) -> None:
    begin(tmp_path, recipe="heat", settings=Heat())
    run = begin(tmp_path, recipe="heat", settings=Heat(minutes=3), may_change={"minutes"})
    assert run.record.settings["minutes"] == 3


def test_an_infinite_setting_is_a_word_in_the_record(tmp_path: Path) -> None:
    unbounded = Heat(inner=Inner(rate=math.inf))
    record = begin(tmp_path, recipe="heat", settings=unbounded).record
    assert record.settings["inner"]["rate"] == "inf"
    assert begin(tmp_path, recipe="heat", settings=unbounded).resumed
    assert Heat.from_values(RunRecord.read(tmp_path).settings) == unbounded


def test_how_often_a_run_saves_may_always_change(tmp_path: Path) -> None:
    begin(tmp_path, recipe="heat", settings=Heat())
    run = begin(tmp_path, recipe="heat", settings=Heat(save_every=50))
    assert run.resumed
    assert run.record.settings["save_every"] == 50


def test_folders_that_are_no_run(tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    begin(tmp_path, recipe="heat", settings=Heat())
    holiday = tmp_path / "holiday"
    holiday.mkdir()
    (holiday / "photo.jpg").touch()
    with pytest.raises(SettingsError, match=r"holiday is not empty and holds no run; give a new"):
        begin(holiday, recipe="heat", settings=Heat())
    assert [entry.name for entry in holiday.iterdir()] == ["photo.jpg"]
    with pytest.raises(SettingsError, match=r"photo\.jpg is a file, not a folder for a run"):
        begin(holiday / "photo.jpg", recipe="heat", settings=Heat())
    (holiday / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json is not JSON"):
        begin(holiday, recipe="heat", settings=Heat())


class Melt(Settings):
    out: Path = Path("x")
    model: str = "models/a"
    data: str | dict[str, str] | None = None
    teacher_cache: Path | None = None


def test_an_input_is_known_by_its_content(tmp_path: Path) -> None:
    begin(tmp_path, "melt", Melt(), inputs={"model": "1", "data": "2"})
    moved = Melt(model="/elsewhere/a", data={"train": "t.csv"}, teacher_cache=Path("c"))
    record = begin(tmp_path, "melt", moved, inputs={"model": "1", "data": "2"}).record
    assert record.settings["model"] == "/elsewhere/a"
    with pytest.raises(DataError) as caught:
        begin(tmp_path, "melt", moved, inputs={"model": "3", "data": "4"})
    assert str(caught.value) == (
        f"{tmp_path} already holds a 'melt' run, and model = \"/elsewhere/a\" and data have "
        f"changed since it was begun, at {record.started_at}. To go on with it put back what was "
        f"there; otherwise give another out=..., or remove {tmp_path} to start over."
    )
    with pytest.raises(DataError, match=r'run, and model = "/elsewhere/a" has changed since it'):
        begin(tmp_path, "melt", moved, inputs={"model": "3", "data": "2"}, may_change={"model"})
    other = Melt(model="models/b", data={"train": "t.csv"})
    with pytest.raises(
        SettingsError,
        match=r'model was "/elsewhere/a", now "models/b", which holds something else\.',
    ):
        begin(tmp_path, "melt", other, inputs={"model": "3", "data": "2"}, may_change={"model"})


def test_an_input_that_one_start_does_not_know_is_compared_by_its_setting(tmp_path: Path) -> None:
    begin(tmp_path, "melt", Melt())
    with pytest.raises(SettingsError, match=r'model was "models/a", now "models/b"'):
        begin(tmp_path, "melt", Melt(model="models/b"), inputs={"model": "1"})
    begin(tmp_path, "melt", Melt(), inputs={"model": "1"})
    record = begin(tmp_path, "melt", Melt(), inputs={"data": "2"}).record
    assert record.inputs == {"model": "1", "data": "2"}


def test_a_run_that_was_moved_goes_on(tmp_path: Path) -> None:
    begin(tmp_path / "here", "melt", Melt(out=tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    run = begin(tmp_path / "there", "melt", Melt(out=tmp_path / "there"))
    assert run.resumed
    assert run.record.settings["out"] == str(tmp_path / "there")


def test_a_run_has_its_folder_for_itself(tmp_path: Path) -> None:
    with (
        start_run(tmp_path, recipe="heat", settings=Heat()),
        ThreadPoolExecutor(1) as other,
        pytest.raises(FolderInUseError, match=r"is in use .*limbeck heat, process \d+ on .*since"),
    ):
        other.submit(begin, tmp_path, recipe="heat", settings=Heat()).result()
    run = begin(tmp_path, recipe="heat", settings=Heat())
    assert len(run.record.resumed_at) == 1


def test_a_first_write_that_was_killed_does_not_block_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".run.json.0a1b2c3d.tmp").write_text('{"for')
    (tmp_path / ".partial-model").mkdir()
    begin(tmp_path, recipe="heat", settings=Heat())
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "metrics.jsonl", "run.json"]


def _git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("package", ["limbeck", "src/limbeck"])
def test_git_state_is_that_of_the_source_tree_around_the_package(
    tmp_path: Path, package: str
) -> None:
    folder = tmp_path / package
    folder.mkdir(parents=True)
    _git(tmp_path, "init", "--initial-branch", "trunk")
    _git(tmp_path, "commit", "--allow-empty", "--message", "first")
    assert describe_git(folder) is None  # the checkout of whoever keeps the package in it
    (tmp_path / "pyproject.toml").touch()
    _git(tmp_path, "add", "pyproject.toml")
    _git(tmp_path, "commit", "--message", "second")
    state = describe_git(folder)
    assert state is not None
    assert (state.branch, state.dirty, len(state.commit)) == ("trunk", False, 40)
    (tmp_path / "new").touch()
    assert describe_git(folder) == state.model_copy(update={"dirty": True})


def test_nothing_that_the_working_folder_names_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, trace = tmp_path / "git", tmp_path / "trace"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    _git(tmp_path, "init")
    _git(tmp_path, "config", "core.fsmonitor", str(program))
    _git(tmp_path, "commit", "--allow-empty", "--message", "first")
    (tmp_path / "pyproject.toml").touch()
    trace.unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([".", "", os.environ["PATH"]]))
    start_run(tmp_path / "run", recipe="heat", settings=Heat())
    assert describe_git(tmp_path / "limbeck") is not None  # even if it were our own tree
    assert not trace.exists()


def fail_after(folder: Path, write: dict[str, str]) -> None:
    """Begins a run that writes files and fails."""

    def run() -> None:
        with start_run(folder, "heat", Heat()):
            for name, text in write.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
            raise DataError("too late")

    with pytest.raises(DataError, match="too late"):
        run()


MEASURED = '{"kind": "evaluate", "step": 0, "loss": 1.0}\n'
TRAINED = '{"kind": "train", "step": 10, "loss": 1.0}\n'


@pytest.mark.parametrize(
    "write",
    [
        {},
        {"metrics.jsonl": ""},
        {"metrics.jsonl": MEASURED},
        {"seed-0/metrics.jsonl": "", "seed-0/tensorboard/events.out": "x", "seed-0/.owner": ""},
    ],
)
def test_a_run_that_fails_before_it_made_anything_leaves_no_folder(
    tmp_path: Path, write: dict[str, str]
) -> None:
    fail_after(tmp_path / "run", write)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "write",
    [
        {"metrics.jsonl": MEASURED + TRAINED},
        {"metrics.jsonl": "damaged\n"},
        {"augmented.jsonl": "{}"},
        {"seed-0/checkpoints/step-5/state.json": "{}"},
    ],
)
def test_what_a_failed_run_has_made_stays(tmp_path: Path, write: dict[str, str]) -> None:
    fail_after(tmp_path / "run", write)
    assert {name: (tmp_path / "run" / name).read_text() for name in write} == write
    assert RunRecord.exists(tmp_path / "run")


def test_a_failed_run_takes_away_its_own_things_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "data").mkdir(parents=True)
    (folder / "data/train.jsonl").write_text("given")
    (folder / ".keep").write_text("hidden")
    fail_after(folder, {"metrics.jsonl": ""})
    assert (folder / "data/train.jsonl").read_text() == "given"
    assert (folder / ".keep").read_text() == "hidden"
    assert not RunRecord.exists(folder)
    begin(folder, "heat", Heat(temperature=3.0))  # with other settings
    with pytest.raises(SettingsError, match="already holds"):
        begin(folder, "heat", Heat(temperature=4.0))
    fail_with_same = Heat(temperature=3.0)
    with pytest.raises(DataError), start_run(folder, "heat", fail_with_same):
        raise DataError("gone on with, and failed")
    assert RunRecord.exists(folder)


def test_a_run_that_is_stopped_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), start_run(tmp_path / "run", "heat", Heat()):
        raise KeyboardInterrupt
    assert RunRecord.exists(tmp_path / "run")


def test_after_an_interruption_it_is_said_what_the_same_command_does(tmp_path: Path) -> None:
    anew = "nothing was made yet, and the same command begins anew"
    assert describe_begun(tmp_path / "run") == anew
    with start_run(tmp_path / "run", "heat", Heat()):
        (tmp_path / "run/data").mkdir()
        (tmp_path / "run/data/train.jsonl").touch()  # what it was given
    assert describe_begun(tmp_path / "run") == anew
    (tmp_path / "run/checkpoints").mkdir()
    (tmp_path / "run/checkpoints/step-1").touch()
    goes_on = f"the same command goes on with what stands in {tmp_path / 'run'}"
    assert describe_begun(tmp_path / "run") == goes_on
