"""The wheel, installed clean and used from outside the source tree."""

from __future__ import annotations

import os
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
        return run(*command, folder=self.folder)


def run(*command: str | Path, folder: Path | None = None) -> str:
    # What is set here for the tests, such as another tree to import from, is not for the installed.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str | Path) -> None:
    run(sys.executable, "-m", "pip", *arguments)


def copy_source(to: Path) -> None:
    """Copies what is packaged, since a build leaves files beside it and picks up old ones."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "limbeck", to / "limbeck", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, to)


def make_environment(folder: Path, wheel: Path) -> Path:
    """Makes an environment, installs a wheel into it and returns its interpreter."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    # The dependencies come from this environment. A .pth file of a .pth file is not read, so an
    # editable Limbeck in this environment stays out of sight.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("wheel")
    source = base / "source"
    copy_source(source)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", base, source)
    (wheel,) = base.glob("*.whl")
    python = make_environment(base / "venv", wheel)
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
    peers = [line for line in required if line.startswith("transformers")]
    assert all('extra == "transformers"' in line for line in peers)  # an extra, never needed
    (torch,) = [line for line in required if line.startswith("torch>") or line == "torch"]
    from packaging.requirements import Requirement

    for version in ("2.11.0", "2.13.0", "2.13.0+cpu"):
        assert Requirement(torch).specifier.contains(version)


def test_beside_an_editable_clone_the_package_is_imported(tmp_path: Path) -> None:
    """A clone's folder is named like the package, and Python looks in the working folder first."""
    clone = tmp_path / "limbeck"
    copy_source(clone)
    # What `pip install --editable` asks of the build backend, without isolation and an index.
    code = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    run(sys.executable, "-c", code, tmp_path, folder=clone)
    (wheel,) = tmp_path.glob("*.whl")
    python = make_environment(tmp_path / "venv", wheel)
    code = "import limbeck; print(limbeck.__file__, *dir(limbeck), sep='\\n')"
    for folder in (tmp_path, clone, clone / "limbeck", tmp_path / "venv"):
        place, *names = run(python, "-c", code, folder=folder).splitlines()
        assert Path(place).samefile(clone / "limbeck" / "__init__.py")
        assert {"AutoModel", "DataError", "finetune", "pipeline", "__version__"} <= set(names)
