"""The wheel, installed clean and used from outside the source tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from limbeck.version import __version__

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Installed:
    """A wheel, the environment it is installed in, and a folder outside of both."""

    wheel: Path
    python: Path
    folder: Path

    def run(self, *command: str) -> str:
        """Runs a command of the environment and returns what it printed."""
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("wheel")
    source = base / "source"
    # A copy, since a build leaves files beside what it builds and picks up old ones.
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "limbeck", source / "limbeck", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", base, source)
    (wheel,) = base.glob("*.whl")

    venv.create(base / "venv", with_pip=False)
    python = base / "venv" / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    # The dependencies come from this environment. A .pth file of a .pth file is not read, so an
    # editable Limbeck in this environment stays out of sight.
    (site,) = (base / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    folder = base / "elsewhere"
    folder.mkdir()
    return Installed(wheel, python, folder)


def test_the_command_runs(installed: Installed) -> None:
    command = str(installed.python.with_name("limbeck"))
    assert installed.run(command, "--version").strip() == __version__
    assert "distilbert" in installed.run(command, "list", "presets")
    assert "Usage: limbeck" in installed.run(command, "--help")


def test_every_module_and_name_imports(installed: Installed) -> None:
    code = (
        "import importlib, pkgutil, limbeck\n"
        "for module in pkgutil.walk_packages(limbeck.__path__, 'limbeck.'):\n"
        "    importlib.import_module(module.name)\n"
        "for name in limbeck.__all__:\n"
        "    getattr(limbeck, name)\n"
        "print(limbeck.__file__)\n"
    )
    place = installed.run(str(installed.python), "-c", code).strip()
    assert Path(place).is_relative_to(installed.python.parents[1])


def test_nothing_is_left_out_and_nothing_slips_in(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = [name for name in archive.namelist() if ".dist-info/" in name]
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "limbeck").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected
    assert {"limbeck/py.typed", "limbeck/recipes/presets/distilbert.toml"} <= names
    assert any(name.startswith("limbeck/recipes/quickstart/data/") for name in names)
    assert sum(name.endswith(("/LICENSE", "/NOTICE")) for name in metadata) == 2


def test_metadata(installed: Installed) -> None:
    code = (
        "from importlib.metadata import metadata, requires\n"
        "print(metadata('limbeck')['License-Expression'], *requires('limbeck'), sep='\\n')\n"
    )
    license_, *required = installed.run(str(installed.python), "-c", code).splitlines()
    assert license_ == "Apache-2.0"
    assert not [line for line in required if line.startswith("transformers")]
    (torch,) = [line for line in required if line.startswith("torch>") or line == "torch"]
    from packaging.requirements import Requirement

    for version in ("2.11.0", "2.13.0", "2.13.0+cpu"):
        assert Requirement(torch).specifier.contains(version)
