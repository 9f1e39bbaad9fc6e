"""Run folders by the names of what is run, and model folders that share their files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from limbeck.checkpoints import CARD_NAME, has_foreign_card
from limbeck.errors import SettingsError
from limbeck.files import replace_folder


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
    """Makes `target` the same folder as `source`, with hard links where the file system can.

    A model card that somebody wrote into `target` stays.
    """
    with replace_folder(target) as partial:
        shutil.copytree(source, partial, copy_function=_link_or_copy, dirs_exist_ok=True)
        if has_foreign_card(target):
            (partial / CARD_NAME).unlink(missing_ok=True)  # a link: not to be written through
            shutil.copy2(target / CARD_NAME, partial / CARD_NAME)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
