"""Finds a model folder: on this machine, or on the Hugging Face Hub by its id."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is its base's
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from limbeck.checkpoints.folder import CONFIG_NAME
from limbeck.errors import CheckpointError, did_you_mean, shorten
from limbeck.system_errors import explain
from limbeck.version import __version__

_MADE = "model"
"""Where a run's folder has the model that it made."""
# Nothing else is fetched: neither pickles, nor code, nor other formats of the same weights, nor the
# other models that some repositories keep in folders. Those with a number, such as `2_Dense`, hold
# layers of sentence-transformers.
_TEXT_PATTERNS = ["*.json", "*.txt"]
_WEIGHTS_PATTERN = "*.safetensors"
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
_OTHER_MODELS_PATTERN = "[!0-9]*/*.safetensors"


def resolve_folder(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    weights: bool = True,
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
    try:
        return Path(
            snapshot_download(
                name_or_path,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                local_files_only=offline,
                allow_patterns=[*_TEXT_PATTERNS, _WEIGHTS_PATTERN] if weights else _TEXT_PATTERNS,
                ignore_patterns=_OTHER_MODELS_PATTERN,
            )
        )
    except HFValidationError:
        raise CheckpointError(f"there is no folder '{path}'.{_nearest_folder(path)}") from None
    except (OSError, EntryNotFoundError, HTTPError) as error:
        # EntryNotFoundError is also what the Hub library raises without a network or offline.
        reason = _explain(error, name=name_or_path, revision=revision, offline=offline)
        raise CheckpointError(reason + _nearest_folder(path)) from error


def push_folder(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    commit_message: str | None = None,
) -> str:
    """Uploads a model folder to the Hub, as one commit.

    Args:
        folder: The folder.
        repo_id: Where to, such as `me/small`; made if it does not exist.
        private: Whether a new repository is private; None is the owner's default.
        token: Access token with the right to write; if absent, the one that `hf auth login` stored.
        commit_message: What the commit says.

    Returns:
        The commit's address.

    Raises:
        CheckpointError: If the Hub refuses or can't be reached.
    """
    hub = HfApi(token=token)
    try:
        made = hub.create_repo(repo_id, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=made.repo_id,
            folder_path=folder,
            commit_message=commit_message or f"Upload a model with limbeck {__version__}",
        )
    except (OSError, ValueError, HTTPError) as error:
        reason = _explain_refusal(error, repo_id=repo_id)
        # Whatever the library or the server says, no token gets into a message or a log.
        raise CheckpointError(reason if not token else reason.replace(token, "***")) from None
    return str(commit.commit_url)


def _explain_refusal(error: Exception, *, repo_id: str) -> str:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    rights = "pass token= one that may write there (https://huggingface.co/settings/tokens)"
    if isinstance(error, HFValidationError):
        return (
            f"repo_id = '{repo_id}' is no name on the Hub; accepted: owner/name, such as me/small"
        )
    if status == 401:
        return f"the Hub does not know who pushes to '{repo_id}': {rights}, or run 'hf auth login'"
    if status == 403:
        return f"the Hub refuses to write to '{repo_id}': the token has no right to; {rights}"
    reason = " ".join(str(error).split())
    return f"'{repo_id}' could not be pushed to the Hub: {reason}"


def _nearest_folder(path: Path) -> str:
    if not path.parent.is_dir():
        return f" Nor is there '{path.parent}'." if path.parent.is_absolute() else ""
    near = did_you_mean(path.name, [p.name for p in path.parent.iterdir() if p.is_dir()])
    return f"{near} (folders in '{path.parent}')" if near else ""


def _explain(error: Exception, *, name: str, revision: str | None, offline: bool) -> str:
    where = f"'{name}'" if revision is None else f"'{name}' at revision '{revision}'"
    if isinstance(error, GatedRepoError):
        return (
            f"{where} is gated: ask for access on https://huggingface.co/{name}, then pass token= "
            "or run 'hf auth login'."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"the Hub's '{name}' has no revision '{revision}'."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"there is no folder {where} here and no such model on the Hub; if it is private, pass "
            "token= or run 'hf auth login'."
        )
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return f"{where} can't be kept: {explain(error)}; cache_dir=... or HF_HOME says where"
    if offline:
        return (
            f"there is no folder {where} here, and the Hub cache does not have it; offline=True "
            "fetches nothing: fetch it once with offline=False, or give a folder."
        )
    reason = " ".join(str(error).split())
    return f"there is no folder {where} here, and it could not be fetched from the Hub: {reason}"


def short_name(name_or_path: str | Path) -> str:
    """Returns what to call a model in tables: the last part of its name, or its run's.

    Example:
        >>> short_name("google-bert/bert-base-uncased"), short_name("runs/distill/model")
        ('bert-base-uncased', 'distill')
    """
    path = Path(name_or_path)
    return path.parent.name if path.name == "model" and path.parent.name else path.name
