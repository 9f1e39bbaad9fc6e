"""Run folders by the names of what is run, and model folders that share their files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from limbeck.checkpoints import CARD_NAME, has_foreign_card, is_model_file
from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import SettingsError
from limbeck.files import is_leftover, replace_folder
from limbeck.recipes._tasks.memory import MEMORY_NAME


def folder_name(name: str) -> str:
    """Returns a name as that of a folder.

    Raises:
        SettingsError: If nothing is left of it.

    Example:
        >>> folder_name("3 layers, distilled")
        '3-layers-distilled'
    """
    found = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")
    if not found:
        raise SettingsError(
            f"'{name}' gives no name for a folder; accepted: a name with letters (A to Z), digits "
            "or _, such as 'half'"
        )
    return found


def require_own_folders(names: Iterable[str], *, where: str) -> None:
    """Refuses names of which two would give one folder, or one would give none.

    Args:
        names: All that get a folder beside each other.
        where: The setting that has them.

    Raises:
        SettingsError: If so.
    """
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(folder_name(name), name)
        if other != name:
            raise SettingsError(
                f"{where}: '{other}' and '{name}' would share the folder '{folder_name(name)}'; "
                "accepted: names that differ in their letters and digits"
            )


def share_folder(source: Path, target: Path) -> None:
    """Makes `target` the same model as `source`, with hard links where the file system can.

    What somebody put into `target` stays, and so does a model card that somebody wrote there.
    """
    with replace_folder(target) as partial:
        _copy(_list_contents(source), partial)
        foreign = _list_foreign(target)
        if target / CARD_NAME in foreign:
            (partial / CARD_NAME).unlink(missing_ok=True)  # a link: not to be written through
        _copy((path for path in foreign if not (partial / path.name).exists()), partial)


def unshare_folder(target: Path) -> None:
    """Removes the model in `target`, and the folder unless somebody put something into it."""
    if not target.is_dir():
        return
    foreign = _list_foreign(target)
    for path in _list_contents(target):
        if path in foreign:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not foreign:
        target.rmdir()


def _list_foreign(folder: Path) -> list[Path]:
    """Returns what stands in a model folder and neither is of the model nor was written with it."""
    if not folder.is_dir():
        return []
    own = {MEMORY_NAME} if has_foreign_card(folder) else {MEMORY_NAME, CARD_NAME}
    own |= _list_exported(folder)
    return [
        path
        for path in _list_contents(folder)
        if path.name not in own and (path.is_dir() or not is_model_file(path.name))
    ]


def _list_exported(folder: Path) -> set[str]:
    """Returns what an export wrote into its folder, but for what every model folder has."""
    if not ExportInfo.exists(folder):
        return set()
    return {PurePosixPath(name).parts[0] for name in ExportInfo.read(folder).files}


def _list_contents(folder: Path) -> list[Path]:
    """Returns what stands in a folder, but for what a killed process was just writing."""
    return [path for path in folder.iterdir() if not is_leftover(path)]


def _copy(paths: Iterable[Path], folder: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.copytree(path, folder / path.name, copy_function=_link_or_copy, symlinks=True)
        else:
            _link_or_copy(str(path), str(folder / path.name))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
