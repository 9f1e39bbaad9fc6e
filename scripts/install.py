"""Makes .venv and installs Limbeck into it, with the torch that fits the machine.

Needs Python's standard library only. Run again, it does nothing unless pyproject.toml changed.

On a machine with an NVIDIA GPU torch is installed as usual. On one without, the usual torch for
Linux would bring gigabytes of CUDA libraries, so a CPU build is looked for, first with uv, which
knows PyTorch's own index, then at a version whose packages are looked through before anything is
installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch>=2.11"
CPU_TORCH = "torch==2.13.0"
CUDA_PREFIXES = ("nvidia-", "cuda-", "triton")
TRY_SECONDS = 90

NO_CPU_TORCH = """
This machine has no NVIDIA GPU, and the package index offers torch only with CUDA libraries
({packages}), some gigabytes that would be of no use here.

Install a CPU build of torch into the environment yourself, then run the same command again; it
keeps a torch it finds. PyTorch's own index has CPU builds (pytorch.org, "Start locally", compute
platform CPU, gives its address for --index-url):

    {python} -m pip install "{torch}" --index-url ADDRESS

Or, to install the usual torch all the same:

    {rerun} --torch default
"""


def main() -> int:
    """Installs; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dev", action="store_true", help="also what the tests and linters need")
    parser.add_argument(
        "--venv", type=Path, default=ROOT / ".venv", help="the environment's folder"
    )
    parser.add_argument(
        "--torch",
        choices=["auto", "cpu", "default"],
        default="auto",
        help="auto goes by the hardware; default is what `pip install torch` gives",
    )
    options = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 - this script must say so itself
        version = ".".join(map(str, sys.version_info[:2]))
        return fail(f"Limbeck needs Python 3.11 or newer; {sys.executable} is {version}.")

    python = find_python(options.venv)
    stamp = options.venv / ("limbeck-dev.stamp" if options.dev else "limbeck.stamp")
    wanted = fingerprint()
    if python.exists() and is_fresh(options.venv, wanted, dev=options.dev):
        return 0
    try:
        if not python.exists():
            say(f"making {options.venv}")
            run(sys.executable, "-m", "venv", str(options.venv))
        pip(python, "--upgrade", "pip>=25.1")
        install_torch(python, options.torch)
        say("installing limbeck")
        groups = ["--group", f"{ROOT / 'pyproject.toml'}:dev"] if options.dev else []
        pip(python, "--editable", f"{ROOT}[quickstart]", *groups)
        if options.dev:
            install_litert(python)
    except subprocess.CalledProcessError as error:
        return fail(f"this command failed: {' '.join(map(str, error.cmd))}")
    except NoCpuTorchError as error:
        rerun = f"{sys.executable} scripts/install.py{' --dev' if options.dev else ''}"
        return fail(
            NO_CPU_TORCH.format(packages=error, python=python, torch=TORCH, rerun=rerun).strip()
        )
    stamp.write_text(wanted, encoding="utf-8")
    say(how_to_use(options.venv))
    return 0


def how_to_use(venv: Path) -> str:
    """Says how a shell finds the command that an environment holds."""
    if os.name == "nt":
        return f"done; {venv / 'Scripts' / 'activate'} puts limbeck on the PATH"
    return f"done; `. {venv / 'bin' / 'activate'}` puts limbeck on the PATH"


class NoCpuTorchError(Exception):
    """There is no torch without CUDA libraries; the message names some of them."""


def find_python(venv: Path) -> Path:
    """Returns where an environment's interpreter is."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint() -> str:
    """Returns a hash of what decides the environment."""
    content = (ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes() + bytes(ROOT)
    return hashlib.sha256(content).hexdigest()


def is_fresh(venv: Path, wanted: str, *, dev: bool) -> bool:
    """Returns whether an earlier call has installed the same; a dev environment serves for all."""
    names = ["limbeck-dev.stamp"] if dev else ["limbeck-dev.stamp", "limbeck.stamp"]
    stamps = [venv / name for name in names]
    return any(s.exists() and s.read_text(encoding="utf-8") == wanted for s in stamps)


def install_torch(python: Path, choice: str) -> None:
    """Installs torch if there is none yet."""
    if (
        subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode
        == 0
    ):
        return
    if choice == "default" or (choice == "auto" and has_nvidia_gpu()):
        say("installing torch")
        pip(python, TORCH)
    elif not install_cpu_torch_with_uv(python):
        say(f"installing {CPU_TORCH}")
        unwanted = find_cuda_packages(python, CPU_TORCH)
        if unwanted:
            raise NoCpuTorchError(", ".join(unwanted[:3]) + (", ..." if unwanted[3:] else ""))
        pip(python, CPU_TORCH)


def install_litert(python: Path) -> None:
    """Adds what exports to LiteRT are tested with, or says that they are not tested."""
    say("installing LiteRT, some 700 MB")
    try:
        pip(python, "--no-deps", "--group", f"{ROOT / 'pyproject.toml'}:litert")
    except subprocess.CalledProcessError:
        say("LiteRT can't be installed here; the tests of exports to it will skip")


def has_nvidia_gpu() -> bool:
    """Returns whether the driver's own tool sees a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listed = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def install_cpu_torch_with_uv(python: Path) -> bool:
    """Asks uv for a CPU build; returns False if it can't reach PyTorch's index."""
    try:
        pip(python, "uv")
    except subprocess.CalledProcessError:
        return False
    environment = {**os.environ, "UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "0"}
    command = [python, "-m", "uv", "pip", "install", "--python", python, "--torch-backend=cpu"]
    try:  # the first call only looks, so that a long download is not cut off by the time limit
        subprocess.run(
            [*command, "--dry-run", TORCH],
            env=environment,
            timeout=TRY_SECONDS,
            capture_output=True,
            check=True,
        )
        say("installing a CPU build of torch")
        subprocess.run([*command, TORCH], check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        say("PyTorch's own index can't be reached from here; trying the usual one")
        return False
    return True


def find_cuda_packages(python: Path, requirement: str) -> list[str]:
    """Returns the CUDA packages that installing a requirement would bring."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip(python, "--dry-run", "--report", str(report), requirement)
        planned = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = [item["metadata"]["name"].lower() for item in planned]
    return sorted(name for name in names if name.startswith(CUDA_PREFIXES))


def pip(python: Path, *arguments: str) -> None:
    """Runs `pip install`."""
    run(str(python), "-m", "pip", "--disable-pip-version-check", "install", "-qq", *arguments)


def run(*command: str) -> None:
    """Runs a command; its failure ends the script."""
    subprocess.run(command, check=True)


def say(message: str) -> None:
    """Tells what is going on."""
    print(f"install: {message}", file=sys.stderr, flush=True)


def fail(message: str) -> int:
    """Tells what went wrong."""
    say(message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
