"""What is fetched from the Hugging Face Hub, and pushed to it; what it refuses, in words."""

from __future__ import annotations

import errno
from collections.abc import Sequence
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

from limbeck.errors import CheckpointError
from limbeck.system_errors import explain
from limbeck.version import __version__

# Nothing else is fetched: neither pickles, nor code, nor other formats of the same weights, nor the
# other models that some repositories keep in folders. Those with a number, such as `2_Dense`, hold
# layers of sentence-transformers.
_TEXT_PATTERNS = ["*.json", "*.txt"]
_WEIGHTS_PATTERN = "*.safetensors"
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
_OTHER_MODELS_PATTERN = "[!0-9]*/*.safetensors"


def download_folder(
    name: str,
    *,
    revision: str | None,
    token: str | None,
    cache_dir: str | Path | None,
    offline: bool,
    weights: bool,
    files: Sequence[str],
    nearest: str,
) -> Path:
    """Returns the folder of a snapshot from the Hub.

    Args:
        name: The id.
        revision: As in `resolve_folder`.
        token: Likewise.
        cache_dir: Likewise.
        offline: Likewise.
        weights: Likewise.
        files: Likewise.
        nearest: What is said of folders with a name like it.

    Raises:
        CheckpointError: If there is no such model, or it can't be fetched.
    """
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                local_files_only=offline,
                allow_patterns=[*_TEXT_PATTERNS, *([_WEIGHTS_PATTERN] if weights else []), *files],
                ignore_patterns=_OTHER_MODELS_PATTERN,
            )
        )
    except HFValidationError:
        raise CheckpointError(f"there is no folder '{Path(name).expanduser()}'.{nearest}") from None
    except (OSError, EntryNotFoundError, HTTPError) as error:
        # EntryNotFoundError is also what the Hub library raises without a network or offline.
        reason = _explain(error, name=name, revision=revision, offline=offline)
        raise CheckpointError(reason + nearest) from error


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
