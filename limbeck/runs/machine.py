"""The machine, the checkout and the versions that a run is made with."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from limbeck.runs.run import GitState, Hardware

_LIBRARIES = (
    "torch",
    "tokenizers",
    "safetensors",
    "numpy",
    "datasets",
    "huggingface_hub",
    "pydantic",
    "scikit-learn",
)


def describe_hardware() -> Hardware:
    """Returns the machine's processor, cores, memory and accelerators, and torch's threads."""
    import torch

    try:
        cores_usable = len(os.sched_getaffinity(0))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        cores_usable, memory = os.cpu_count() or 1, None
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Hardware(
        cpu=_cpu_model(),
        num_cores=os.cpu_count(),
        num_usable_cores=cores_usable,
        memory_bytes=memory,
        gpus=tuple(gpus),
        num_threads=torch.get_num_threads(),
        system=platform.platform(),
    )


def describe_git(folder: Path) -> GitState | None:
    """Returns commit, branch and whether files differ from it; None outside a git checkout."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    return GitState(
        commit=commit,
        branch=ask("rev-parse", "--abbrev-ref", "HEAD"),
        dirty=bool(ask("status", "--porcelain")),
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe_versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries that decide figures."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
