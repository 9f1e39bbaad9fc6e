"""A recipe as a command: its words, its output and its exit codes."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path

import pytest

import limbeck.recipes
from limbeck.cli import main

RECIPE = '''"""Heats something up."""

from __future__ import annotations

import logging

from limbeck.config import Settings
from limbeck.errors import ContractError, TrainingError
from limbeck.runs import ResultRecord


class DeepSettings(Settings):
    """Nested settings."""

    how_long: int = 1
    """How long."""


class HeatSettings(Settings):
    """Settings of the test."""

    temperature: float
    """How hot."""
    how: str = "well"
    """What happens."""
    model: str | None = None
    """What is heated."""
    deep: DeepSettings = DeepSettings()
    """More."""


SettingsType = HeatSettings


class HeatRecord(ResultRecord):
    recipe: str = "heat"
    temperature: float
    scores: dict[str, float]


def plan(settings):
    return {"steps": 3, "sizes": {"tokens": 100}}


def run(settings, *, progress):
    with progress.stage("heating", total=3, unit="step") as stage:
        for _ in range(3):
            stage.advance()
            stage.update(loss=1.25)
            progress.log("hotter")
    if settings.how == "badly":
        raise TrainingError("the loss is nan at step 3")
    if settings.how == "short":
        raise ContractError("2 degrees short", result=HeatRecord(temperature=1, scores={"a": 0.5}))
    if settings.how == "interrupted":
        raise KeyboardInterrupt
    if settings.how == "unforeseen":
        raise IndexError("list index out of range")
    logging.getLogger("limbeck.recipes.heat").warning("a damaged checkpoint was passed over")
    return HeatRecord(temperature=settings.temperature, scores={"a": 0.5})
'''


@pytest.fixture
def heat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds a recipe the way a contributor does: one more file in the room."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "heat.py").write_text(RECIPE)
    paths = [*limbeck.recipes.__path__, str(room)]
    monkeypatch.setattr(limbeck.recipes, "__path__", paths)
    monkeypatch.delitem(sys.modules, "limbeck.recipes.heat", raising=False)
    monkeypatch.chdir(tmp_path)


Captured = pytest.CaptureFixture[str]


@pytest.mark.usefixtures("heat")
class TestRecipeCommand:
    def test_a_new_file_is_a_command(self, capsys: Captured) -> None:
        assert main(["--help"]) == 0
        assert "Heats something up." in capsys.readouterr().out
        assert main(["heat", "--help"]) == 0
        assert "limbeck heat RUN.toml [key=value ...]" in capsys.readouterr().out
        assert main(["list", "recipes"]) == 0
        shown = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        assert ["heat", "Heats something up."] in shown

    def test_people_read_stderr(self, capsys: Captured) -> None:
        assert main(["heat", "temperature=3"]) == 0
        out, err = capsys.readouterr()
        assert out == ""
        *logged, ended, warned, version, recipe, temperature, score = err.splitlines()
        assert logged == ["hotter"] * 3
        assert re.match(r"heating: 3 steps\b.*\bloss 1\.25$", ended)
        assert warned == "warning: a damaged checkpoint was passed over"
        assert (version, recipe) == ("format: 1", "recipe: heat")
        assert (temperature, score) == ("temperature: 3", "scores.a: 0.5")

    def test_programs_read_one_object(self, capsys: Captured) -> None:
        assert main(["heat", "temperature=3", "--json", "--quiet"]) == 0
        out, err = capsys.readouterr()
        values = {"temperature": 3.0, "scores": {"a": 0.5}}
        expected = {"format": 1, "recipe": "heat", **values}
        assert json.loads(out) == expected
        assert "heating" not in err

    def test_init_makes_a_file_that_runs(self, capsys: Captured, tmp_path: Path) -> None:
        assert main(["init", "heat"]) == 0
        text = capsys.readouterr().out
        assert "# How hot. Accepted: a number.\n# temperature =   # required\n" in text
        (tmp_path / "run.toml").write_text(text)
        assert main(["heat", "run.toml"]) == 2
        assert "'temperature' is required: a number (How hot)" in capsys.readouterr().err
        assert main(["heat", "run.toml", "temperature=4", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["temperature"] == 4
        assert main(["init", "heat", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"recipe": "heat", "toml": text}

    @pytest.mark.parametrize(
        "words",
        [
            ["temperature=-3", "deep.how_long=4", "how=so so"],
            ["--temperature=-3", "--deep.how_long", "4", "--how", "so so"],
            ["--how=so so", "temperature=-3", "--deep.how-long=4", "--quiet"],
        ],
    )
    def test_settings_are_also_flags(self, words: list[str], capsys: Captured) -> None:
        assert main(["heat", *words, "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["settings"] == {
            "temperature": -3.0,
            "how": "so so",
            "model": None,
            "deep": {"how_long": 4},
        }

    def test_a_plain_argument_that_is_no_file_is_the_model(
        self, capsys: Captured, tmp_path: Path
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "run.toml").write_text("temperature = 2\n")
        for name in ("folder", "owner/name"):
            assert main(["heat", name, "--temperature", "1", "--dry-run", "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["settings"]["model"] == name
        assert main(["heat", "run.toml", "--model=folder", "--dry-run", "--json"]) == 0
        settings = json.loads(capsys.readouterr().out)["settings"]
        assert (settings["model"], settings["temperature"]) == ("folder", 2)
        assert main(["heat", "folder", "model=other"]) == 2
        assert "'folder'" not in capsys.readouterr().out
        assert main(["heat", "run.tom", "temperature=1"]) == 2
        assert "no settings file or preset 'run.tom'. Did you mean 'run.toml'?" in (
            capsys.readouterr().err
        )

    def test_a_broken_contract_shows_what_was_found(self, capsys: Captured) -> None:
        command = ["heat", "--temperature", "1", "--how", "short", "--json"]
        assert main(command) == 1
        out, err = capsys.readouterr()
        assert json.loads(out) == {
            "error": {"type": "ContractError", "message": "2 degrees short", "code": 1},
            "result": {"format": 1, "recipe": "heat", "temperature": 1.0, "scores": {"a": 0.5}},
        }
        assert err.endswith("scores.a: 0.5\nlimbeck: 2 degrees short\n")

    def test_dry_run(self, capsys: Captured) -> None:
        assert main(["heat", "temperature=3", "--dry-run"]) == 0
        out, err = capsys.readouterr()
        assert out.splitlines() == [
            "This would be done, and nothing is done now:",
            "  steps:         3",
            "  sizes.tokens:  100",
            "Settings that are not the defaults (--settings shows all):",
            "  temperature = 3.0",
        ]
        assert err == ""
        assert main(["heat", "temperature=3", "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "dry_run": True,
            "recipe": "heat",
            "settings": {
                "temperature": 3.0,
                "how": "well",
                "model": None,
                "deep": {"how_long": 1},
            },
            "plan": {"steps": 3, "sizes": {"tokens": 100}},
        }

    def test_settings_are_written_as_a_file_that_runs(
        self, capsys: Captured, tmp_path: Path
    ) -> None:
        given = ["temperature=3", "deep.how_long=4", 'how=so "so"']
        assert main(["heat", *given, "--settings"]) == 0
        text = capsys.readouterr().out
        assert text.startswith('recipe = "heat"\n\n# How hot. Accepted: a number.\ntemperature')
        (tmp_path / "run.toml").write_text(text)
        shown = []
        for words in (given, ["run.toml"]):
            assert main(["heat", *words, "--dry-run", "--json"]) == 0
            shown.append(json.loads(capsys.readouterr().out)["settings"])
        assert shown[0] == shown[1]

    @pytest.mark.parametrize(
        ("how", "code", "words"),
        [
            ("badly", 1, "limbeck: the loss is nan at step 3"),
            ("interrupted", 130, "limbeck: interrupted\n"),
            ("unforeseen", 1, "limbeck: IndexError: list index out of range"),
        ],
    )
    def test_exit_codes(self, how: str, code: int, words: str, capsys: Captured) -> None:
        command = ["heat", "temperature=1", f"how={how}"]
        handler = signal.getsignal(signal.SIGINT)
        assert main(command) == code
        # The next Ctrl-C of a process that goes on still interrupts, and does not end it.
        assert signal.getsignal(signal.SIGINT) is handler
        out, err = capsys.readouterr()
        assert out == ""
        assert words in err
        assert "Traceback" not in err
        assert main([*command, "--debug", "--json"]) == code
        out, err = capsys.readouterr()
        assert "Traceback" in err
        assert json.loads(out)["error"]["code"] == code

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["heat", "--temprature", "1"], "Did you mean 'temperature'?"),
            (["heat", "--temperature"], "'--temperature' has no value. Accepted: --temperature V"),
            (["heat", "--how", "--temperature", "1"], "'--how' has no value."),
            (["heat", "-t", "1"], "'-t' is not understood; accepted: --NAME VALUE, --NAME=VALUE"),
            (["heat", "--temperature", "1", "x"], "'x' comes after the setting 'temperature=1'"),
            (["heat", "temperature=hot"], "command line: temperature = 'hot' is not accepted."),
            (["heat", "temprature=1"], "Did you mean 'temperature'?"),
            (["heat", "run.tml"], "there is no settings file or preset 'run.tml'."),
            (
                ["heat", "a.toml", "b.toml"],
                "2 settings files given (a.toml, b.toml); accepted: one",
            ),
            (["heat", "temperature=1", "2"], "'2' comes after the setting 'temperature=1'"),
            (
                ["heat", "temperature=1", "--dri-run"],
                "'--dri-run' has no value. Did you mean '--dry-run'?",
            ),
            (["heet"], 'Unknown command "heet". Did you mean "heat"?'),
            (
                ["init", "heet"],
                "there is no recipe, preset, task or method 'heet'. Did you mean 'heat'? Recipes:",
            ),
            (["list", "loses"], 'Invalid value "loses" for KIND.'),
        ],
    )
    def test_wrong_commands(self, words: list[str], expected: str, capsys: Captured) -> None:
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert expected in err
