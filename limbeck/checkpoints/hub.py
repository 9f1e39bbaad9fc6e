"""Finds a model folder: on this machine, or on the Hugging Face Hub by its id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from limbeck.checkpoints.folder import CONFIG_NAME
from limbeck.errors import CheckpointError, did_you_mean, shorten

_MADE = "model"
"""Where a run's folder has the model that it made."""


def resolve_folder(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    weights: bool = True,
    files: Sequence[str] = (),
) -> Path:
    """Returns the folder of a model: itself if it is one, else a snapshot from the Hub.

    A run's folder stands for the model that the run left in it.

    Args:
        name_or_path: A folder, or a Hub id such as `bert-base-uncased` or `organisation/name`.
        revision: Branch, tag or commit on the Hub; its main branch if absent.
        token: Access token for the Hub; if absent, the one that `hf auth login` stored.
        cache_dir: Where snapshots are kept; the Hub library's own place if absent.
        offline: Uses only what the cache has.
        weights: Whether the weights are wanted too; a tokenizer or a configuration needs none.
        files: What else is wanted of the Hub's, such as `onnx/model.onnx`.

    Raises:
        CheckpointError: If there is neither such a folder nor such a model, or it can't be
            fetched.
    """
    if name_or_path == "" or not isinstance(name_or_path, str | os.PathLike):
        raise CheckpointError(
            f"{shorten(name_or_path)} names no model; accepted: a folder or a Hub id"
        )
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        made = path / _MADE
        is_run = not (path / CONFIG_NAME).exists() and (made / CONFIG_NAME).is_file()
        return made if is_run else path
    if path.is_file():
        raise CheckpointError(f"'{path}' is a file; give its folder, '{path.parent}'.")
    if isinstance(name_or_path, Path):
        raise CheckpointError(f"there is no folder '{path}'.{_nearest_folder(path)}")
    from limbeck.checkpoints.download import download_folder  # the Hub's library is slow to import

    return download_folder(
        name_or_path,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        offline=offline,
        weights=weights,
        files=files,
        nearest=_nearest_folder(path),
    )


def _nearest_folder(path: Path) -> str:
    if not path.parent.is_dir():
        return f" Nor is there '{path.parent}'." if path.parent.is_absolute() else ""
    near = did_you_mean(path.name, [p.name for p in path.parent.iterdir() if p.is_dir()])
    return f"{near} (folders in '{path.parent}')" if near else ""


def short_name(name_or_path: str | Path) -> str:
    """Returns what to call a model in tables: the last part of its name, or its run's.

    Example:
        >>> short_name("google-bert/bert-base-uncased"), short_name("runs/distill/model")
        ('bert-base-uncased', 'distill')
    """
    path = Path(name_or_path)
    return path.parent.name if path.name == "model" and path.parent.name else path.name
