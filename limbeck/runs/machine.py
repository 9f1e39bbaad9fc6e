"""The machine, the checkout and the versions that a run is made with."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from limbeck.cores import count_usable_cores
from limbeck.runs.run import GitState, Hardware

_PACKAGE = Path(__file__).resolve().parents[1]
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

    memory: int | None = None
    with suppress(AttributeError, ValueError, OSError):  # not on every system
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Hardware(
        cpu=_cpu_model(),
        num_cores=os.cpu_count(),
        num_usable_cores=count_usable_cores(),
        memory_bytes=memory,
        gpus=tuple(gpus),
        num_threads=torch.get_num_threads(),
        system=platform.platform(),
    )


def describe_git(package: Path = _PACKAGE) -> GitState | None:
    """Returns commit, branch and whether files differ from it, of a package's own checkout.

    Git runs programs that a checkout's own configuration names (`core.fsmonitor`), so it is asked
    about the tree whose code runs anyway, and never about the working folder.

    Args:
        package: Folder of the package, `src/` or the checkout's root above it.

    Returns:
        None where the package is not in a source tree, as an installed one isn't.
    """
    root = next((f for f in package.parents[:2] if _is_source_tree(f)), None)
    # Where the working folder stands on the search path, or is searched anyway, as on Windows.
    git = shutil.which("git", path=os.pathsep.join(filter(os.path.isabs, os.get_exec_path())))
    if root is None or git is None or not Path(git).is_absolute():
        return None
    command = [git, f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    command += ["-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]

    def ask(*arguments: str) -> str | None:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [*command, *arguments], cwd=root, capture_output=True, text=True, check=False
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


def _is_source_tree(folder: Path) -> bool:
    return (folder / ".git").exists() and (folder / "pyproject.toml").is_file()


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
