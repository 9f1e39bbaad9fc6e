"""Model folders that share their files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from limbeck.checkpoints import CARD_NAME, has_foreign_card
from limbeck.files import replace_folder


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
