"""scripts/install.py, as far as it goes without installing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "install.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake_environment(folder: Path, pip_body: str) -> Path:
    """Makes a folder whose `python` is a script of ours: the package index is not ours to ask."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!{sys.executable}\nimport json, sys\n{pip_body}\n")
    python.chmod(0o755)
    return python


def test_an_installed_environment_is_left_alone(script: ModuleType, tmp_path: Path) -> None:
    fake_environment(tmp_path, "sys.exit('must not be called')")
    (tmp_path / "limbeck-dev.stamp").write_text(script.fingerprint())
    for arguments in ([], ["--dev"]):
        command = [sys.executable, SCRIPT, "--venv", tmp_path, *arguments]
        subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["--dev"]])
def test_the_end_says_how_to_get_at_the_command(tmp_path: Path, arguments: list[str]) -> None:
    fake_environment(tmp_path, "")
    command = [sys.executable, SCRIPT, "--venv", tmp_path, *arguments]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last == f"install: done; `. {tmp_path}/bin/activate` puts limbeck on the PATH"


def test_what_only_some_tests_need_may_fail(tmp_path: Path) -> None:
    fake_environment(tmp_path, "sys.exit(sys.argv[-1].endswith(':litert'))")
    command = [sys.executable, SCRIPT, "--venv", tmp_path, "--dev"]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    expected = "install: LiteRT can't be installed here; the tests of exports to it will skip"
    assert expected in done.stderr.splitlines()
    assert (tmp_path / "limbeck-dev.stamp").exists()


def test_a_user_environment_does_not_serve_for_tests(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "limbeck.stamp").write_text(script.fingerprint())
    assert script.is_fresh(tmp_path, script.fingerprint(), dev=False)
    assert not script.is_fresh(tmp_path, script.fingerprint(), dev=True)
    assert not script.is_fresh(tmp_path, "another pyproject.toml", dev=False)


def test_cuda_packages_are_noticed(script: ModuleType, tmp_path: Path) -> None:
    names = ["torch", "numpy", "nvidia-cublas", "NVIDIA-cudnn-cu13", "triton", "cuda-bindings"]
    report = {"install": [{"metadata": {"name": name}} for name in names]}
    body = f"open(sys.argv[sys.argv.index('--report') + 1], 'w').write({json.dumps(report)!r})"
    python = fake_environment(tmp_path, body)
    assert script.find_cuda_packages(python, "torch==2.13.0") == [
        "cuda-bindings",
        "nvidia-cublas",
        "nvidia-cudnn-cu13",
        "triton",
    ]


def test_without_a_cpu_torch_it_stops_and_says_what_to_do(tmp_path: Path) -> None:
    report = {"install": [{"metadata": {"name": n}} for n in ("torch", "nvidia-a", "nvidia-b")]}
    body = (
        "if '--report' in sys.argv:\n"
        f"    open(sys.argv[sys.argv.index('--report') + 1], 'w').write({json.dumps(report)!r})\n"
        "elif 'uv' in sys.argv or '-c' in sys.argv:\n"
        "    sys.exit(1)\n"
        "elif sys.argv[-1].startswith('torch'):\n"
        "    open('installed', 'w')\n"
    )
    fake_environment(tmp_path, body)
    command = [sys.executable, SCRIPT, "--venv", tmp_path, "--torch", "cpu"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "only with CUDA libraries\n(nvidia-a, nvidia-b)" in done.stderr
    assert '-m pip install "torch>=2.11" --index-url ADDRESS' in done.stderr
    assert "scripts/install.py --torch default" in done.stderr
    assert not (tmp_path / "installed").exists()
    assert not (tmp_path / "limbeck.stamp").exists()
