"""What makes a model folder the model that it is: some of its files, and a checksum over them."""

from __future__ import annotations

import fnmatch
from functools import lru_cache
from pathlib import Path

from limbeck.checkpoints.beside import SENTENCE_FILES
from limbeck.errors import CheckpointError
from limbeck.files import sha256_of, sha256_of_texts
from limbeck.system_errors import explain

_PATTERNS = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "exits.json",  # which says when an input leaves
    "export.json",  # which has the checksums of what an engine reads
)
"""Files of the configuration, the weights or the export, and the tokenizer; as Hugging Face names
them, where it does."""


def is_model_file(name: str) -> bool:
    """Tells whether a file of that name in a model folder is a part of the model.

    Example:
        >>> is_model_file("model-00001-of-00002.safetensors"), is_model_file("README.md")
        (True, False)
    """
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _PATTERNS)


def hash_model(folder: Path) -> str:
    """Returns the SHA-256 over a model folder's configuration, weights and tokenizer.

    A sentence model's poolings, layers and prompts count too.

    Where the folder lies and what else is in it, such as a card, does not count. A file is read
    once in a process, as long as its size, time and place on the disk stay.

    Raises:
        CheckpointError: If a file can't be read.
    """
    try:
        files = {path.name: path for path in folder.iterdir() if is_model_file(path.name)}
        if (folder / "modules.json").is_file():  # without it the others mean nothing
            for pattern in SENTENCE_FILES:
                files |= {p.relative_to(folder).as_posix(): p for p in folder.glob(pattern)}
        return sha256_of_texts(f"{name} {_hash_file(files[name])}\n" for name in sorted(files))
    except OSError as error:
        raise CheckpointError(explain(error, writes=False)) from error


def _hash_file(path: Path) -> str:
    state = path.stat()
    return _hash_once(path.resolve(), state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=4096)
def _hash_once(path: Path, _size: int, _time_ns: int, _inode: int) -> str:
    return sha256_of(path)
