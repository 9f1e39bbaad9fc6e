"""The command line in-process: version, help, lists, and what help leaves unimported."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from limbeck import listing
from limbeck.cli import main
from limbeck.cli._outline import outline_settings
from limbeck.version import __version__

Captured = pytest.CaptureFixture[str]


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


COMMANDS = [
    *([name.replace("_", "-")] for name in listing.list_names("limbeck.recipes")),
    ["corpus"],
    ["corpus", "build"],
    ["corpus", "info"],
    ["report"],
    ["predict"],
    ["embed"],
    ["bench"],
    ["list"],
    ["init"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str], capsys: Captured) -> None:
    assert main([*command, "--help"]) == 0
    assert f"Usage: limbeck {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize("name", listing.list_names("limbeck.recipes"))
def test_help_shows_the_settings_that_are_marked(name: str, capsys: Captured) -> None:
    from limbeck.config import SHOWN

    fields = listing.load("limbeck.recipes", name).SettingsType.model_fields
    shown = {n: field for n, field in fields.items() if SHOWN in field.metadata}
    assert 3 <= len(shown) <= 12
    outlines = outline_settings(f"limbeck.recipes.{name}")
    assert [outline.name for outline in outlines] == list(shown)
    for outline, field in zip(outlines, shown.values(), strict=True):
        assert " ".join(field.description.split()).startswith(outline.about)
        assert (outline.default is None) == field.is_required()
        if outline.default is not None:
            default = field.get_default(call_default_factory=True)
            assert outline.default == str(default).lower().strip("(),").replace(", ", ",")
    command = name.replace("_", "-")
    assert main([command, "--help"]) == 0
    panel = capsys.readouterr().out.partition(" Settings ")[2]
    assert f"limbeck init {command}" in panel
    flags = re.findall(r"│ (--[\w-]+)", panel)
    assert flags == [f"--{setting.replace('_', '-')}" for setting in shown]


@pytest.mark.parametrize("kind", [*listing.ROOMS, "presets"])
def test_lists(kind: str, capsys: Captured) -> None:
    assert main(["list", kind, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)[kind]
    assert entries
    assert all(entry["summary"] for entry in entries)
    assert main(["list", kind]) == 0
    shown = capsys.readouterr().out
    assert all(f"{entry['name']} " in shown for entry in entries)


def test_names_are_shown_as_they_are_typed(capsys: Captured) -> None:
    assert main(["list", "targets"]) == 0
    assert "onnx-int8 " in capsys.readouterr().out
    assert main(["export", "no-such", "--to", "onnx_int9", "--out", "no-such-run"]) == 2
    said = capsys.readouterr().err
    assert "accepted: coreml, " in said
    assert said.rstrip().endswith("Did you mean 'onnx-int8'?")
    assert "onnx_int8" not in said


def test_help_says_how_several_are_given(capsys: Captured) -> None:
    assert main(["predict", "--help"]) == 0
    words = " ".join(re.sub(r"[│╭╰─]", " ", capsys.readouterr().out).split())
    assert "Once for each: --choices A --choices B." in words


def test_list_alone_lists_what_there_is_to_list(capsys: Captured) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = [line.split()[2] for line in lines]
    assert kinds == [*listing.ROOMS, "presets"]
    assert "soft_targets" in lines[0]
    assert "distilbert-squad" in lines[-1]
    assert main(["list", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["kinds"]) == kinds


@pytest.mark.parametrize("words", [[], ["finetune"], ["compress"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, limbeck, limbeck.cli\n"
        f"assert limbeck.cli.main([*{words}, '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'datasets', 'huggingface_hub', 'pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_module_is_the_command() -> None:
    command = [sys.executable, "-m", "limbeck", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == __version__
