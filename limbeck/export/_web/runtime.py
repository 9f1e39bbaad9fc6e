"""What runs a model in a browser: files of two npm packages, pinned, fetched once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limbeck.errors import ExportError, shorten
from limbeck.export._steps import begin_step
from limbeck.files import replace_file
from limbeck.system_errors import raised_as

VARIABLE: Final = "LIMBECK_WEB_RUNTIME"
_FETCH_SECONDS: Final = 900  # 35 MB, over a slow line


@dataclass(frozen=True)
class Package:
    """A release on npm.

    Attributes:
        name: Its name there.
        version: Its version.
        files: What the page needs of it: names in the archive, and SHA-256.
        megabytes: Size of what is fetched, and of the files.
    """

    name: str
    version: str
    files: Mapping[str, str]
    megabytes: tuple[int, int]

    @property
    def spec(self) -> str:
        """What npm calls this release."""
        return f"{self.name}@{self.version}"

    @property
    def archive(self) -> str:
        """Name of the file that `npm pack` writes."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES: Final = (
    Package(
        "@huggingface/transformers",
        "4.3.2",
        {
            "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
            "dist/transformers.min.js": (
                "8b5a3171f8876bab2b1820a7d65eb87628e3d30bb5ea85b9dd398e76eb34decb"
            ),
        },
        (2, 1),
    ),
    # The version that the other one names. Of its builds the one for CPUs alone: 14 MB instead of
    # the 27 MB of that with WebGPU, which transformers.js takes unless told.
    Package(
        "onnxruntime-web",
        "1.31.0-dev.20260914-8d85527a0",
        {
            "dist/ort-wasm-simd-threaded.mjs": (
                "c57ca56328877353a575e51bbca6f18450027d6c9bf2307a2cb2c41363b4de9f"
            ),
            "dist/ort-wasm-simd-threaded.wasm": (
                "06ba057753da3847e4c24f02d91ab133455b0817c69a44993a9a53a2146df9e3"
            ),
        },
        (33, 14),
    ),
)
COMMAND: Final = "npm pack " + " ".join(package.spec for package in PACKAGES)
"""Writes both archives into the folder where it is run."""


@dataclass(frozen=True)
class Runtime:
    """A folder with the archives that npm packs, or with the files that are needed of them.

    Attributes:
        folder: The folder.
        is_given: Whether the user named it; nothing is fetched into such a folder.
    """

    folder: Path
    is_given: bool

    def check(self) -> None:
        """Refuses what can't work, without asking the network.

        Raises:
            ExportError: If packages are missing, and npm too or the folder is the user's.
        """
        missing = self._missing()
        if not missing or (not self.is_given and shutil.which("npm") is not None):
            return
        names = " and ".join(package.archive for package in missing)
        if self.is_given:
            raise ExportError(
                f"{self.folder} has no {names}; run this there, or elsewhere and copy what it "
                f"writes: {COMMAND}"
            )
        raise ExportError(
            f"a web page is run by {names} from npm, which is not installed here; install npm, or "
            f"run this elsewhere: {COMMAND}; then set {VARIABLE} to the folder with what it wrote"
        )

    def describe(self) -> str:
        """Says for a dry run what would be fetched, or where it is already; asks no network."""
        missing = self._missing()
        if not missing:
            return f"in {self.folder}, nothing is fetched"
        fetched, kept = (sum(p.megabytes[i] for p in missing) for i in range(2))
        return (
            f"fetched from npm, once: {_name(missing)}, {fetched} MB, of which {kept} MB are kept "
            f"in {self.folder}"
        )

    def copy_to(self, folder: Path) -> None:
        """Puts the files that a page needs into a folder, which is made.

        Raises:
            ExportError: If a package can't be fetched, or is another than was published.
        """
        self.check()
        if missing := self._missing():
            self._fetch(missing)
        with raised_as(ExportError, folder, writes=True):
            folder.mkdir(parents=True, exist_ok=True)
            for package in PACKAGES:
                for name, content in self._read(package).items():
                    (folder / name).write_bytes(content)

    def _missing(self) -> list[Package]:
        return [p for p in PACKAGES if not (self._has_files(p) or self._archive(p).is_file())]

    def _has_files(self, package: Package) -> bool:
        return all((self.folder / Path(name).name).is_file() for name in package.files)

    def _archive(self, package: Package) -> Path:
        return self.folder / package.archive

    def _read(self, package: Package) -> dict[str, bytes]:
        """Returns a package's files by their names, each as it was published."""
        found = {}
        has_files = self._has_files(package)
        source = self.folder if has_files else self._archive(package)
        for name, expected in package.files.items():
            base = Path(name).name
            content = (source / base).read_bytes() if has_files else _extract(source, name)
            checksum = hashlib.sha256(content).hexdigest()
            if checksum != expected:
                raise ExportError(
                    f"{base} in {source} is not that of {package.spec} (SHA-256 {checksum}; "
                    f"accepted: {expected}); remove it, and fetch it again: {COMMAND}"
                )
            found[base] = content
        return found

    def _fetch(self, packages: list[Package]) -> None:
        begin_step(f"fetching {_name(packages)} from npm")
        npm = shutil.which("npm")
        assert npm is not None  # checked before
        with tempfile.TemporaryDirectory() as temporary:
            try:
                done = subprocess.run(  # noqa: S603 - the words are ours
                    [npm, "pack", "--silent", *(package.spec for package in packages)],
                    cwd=temporary,
                    capture_output=True,
                    text=True,
                    timeout=_FETCH_SECONDS,
                    check=False,
                )
                problem = None if done.returncode == 0 else done.stderr
            except subprocess.TimeoutExpired:
                problem = f"no answer within {_FETCH_SECONDS} s"
            if problem is not None:
                raise ExportError(
                    "npm could not fetch what runs a model in a browser "
                    f"({shorten(problem.strip(), length=200, quoted=False)}); without a network "
                    f"here, run this elsewhere: {COMMAND}; then set {VARIABLE} to the folder with "
                    "what it wrote"
                )
            fetched = Runtime(Path(temporary), is_given=True)
            for package in packages:
                for name, content in fetched._read(package).items():
                    with replace_file(self.folder / name, error=ExportError) as file:
                        file.write_bytes(content)


def _name(packages: Sequence[Package]) -> str:
    return " and ".join(package.spec for package in packages)


def find_runtime(folder: Path | None = None) -> Runtime:
    """Returns where the packages are: as given, as the environment says, or in the cache.

    Args:
        folder: A folder with both.

    Raises:
        ExportError: If there is no such folder.
    """
    given = folder or os.environ.get(VARIABLE)
    if not given:
        from huggingface_hub import cached_assets_path

        return Runtime(cached_assets_path("limbeck", namespace="web"), is_given=False)
    place = Path(given).expanduser()
    if not place.is_dir():
        raise ExportError(
            f"there is no folder {place}, which {'runtime=' if folder else VARIABLE} names; "
            f"accepted: a folder with what this writes: {COMMAND}"
        )
    return Runtime(place, is_given=True)


def _extract(archive: Path, name: str) -> bytes:
    try:
        with tarfile.open(archive, "r:gz") as packed:
            member = packed.extractfile(f"package/{name}")
            return b"" if member is None else member.read()
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise ExportError(
            f"{archive} can't be read ({error}); remove it, and fetch it again: {COMMAND}"
        ) from error
