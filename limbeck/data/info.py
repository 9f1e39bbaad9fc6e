"""What corpus.json says about a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from limbeck.errors import DataError
from limbeck.files import sha256_of_texts
from limbeck.files.typed import Part, TypedFile
from limbeck.sources import known_format

COUNTS_FILE: Final = "token_counts.npy"
STATE_FILE: Final = "build-state.json"


class ShardInfo(Part):
    """One shard: NAME.bin with the tokens, NAME.documents.bin with where documents end."""

    name: str = Field(pattern=r"^[a-z]+-[0-9]{5,}$")
    """Name of the shard's files without their endings: no path, which could lead anywhere."""
    num_tokens: int
    """Tokens in the shard, document separators included."""
    num_documents: int
    """Documents that end in the shard."""
    tokens_sha256: str
    """Checksum of the token file."""
    documents_sha256: str
    """Checksum of the document index."""


class SplitInfo(Part):
    """One split of a corpus."""

    num_tokens: int
    """Tokens in the split, one separator a document included."""
    num_documents: int
    """Documents in the split."""
    shards: tuple[ShardInfo, ...]
    """The shards in order."""

    @model_validator(mode="after")
    def _check_sums(self) -> Self:
        sums = (
            sum(shard.num_tokens for shard in self.shards),
            sum(shard.num_documents for shard in self.shards),
        )
        if sums != (self.num_tokens, self.num_documents):
            raise ValueError(
                f"the shards hold {sums[0]} tokens and {sums[1]} documents, not "
                f"{self.num_tokens} and {self.num_documents}"
            )
        return self


class WriterState(Part):
    """Where a split's writer stood at a point from which a build can continue."""

    num_tokens: int
    """Tokens written."""
    num_documents: int
    """Documents written."""
    open_documents: int
    """Documents that end in the shard that is not finished."""
    open_tokens_sha256: str
    """Checksum of what its token file held."""
    open_documents_sha256: str
    """Checksum of what its document index held."""
    shards: tuple[ShardInfo, ...]
    """The finished shards in order."""


class SourceInfo(Part):
    """One source that was read."""

    name: str
    """File name, or `hf://NAME`."""
    num_bytes: int | None
    """Size on disk; None for a Hub data set."""
    sha256: str | None = None
    """Of the file; None for what is no file, and in corpora of earlier versions."""

    def is_same(self, other: SourceInfo) -> bool:
        """Tells whether both give the same text; a file may lie elsewhere, in the same format."""
        if self.sha256 is None or other.sha256 is None:
            return (self.name, self.num_bytes) == (other.name, other.num_bytes)
        formats = [known_format(Path(source.name), reader="corpora") for source in (self, other)]
        return self.sha256 == other.sha256 and formats[0] == formats[1]


class CorpusInfo(TypedFile):
    """Contents of a corpus folder, as in its corpus.json."""

    FILE_NAME: ClassVar[str] = "corpus.json"
    FORMAT_KEY: ClassVar[str] = "format_version"
    REMEDY: ClassVar[str] = "build the corpus again"

    vocab_size: int
    """Size of the vocabulary that the token numbers belong to."""
    tokenizer_fingerprint: str
    """Fingerprint of the tokenizer."""
    separator_id: int
    """Token that stands after every document."""
    dtype: Literal["<u2", "<u4"]
    """NumPy name of the tokens' type: `<u2` or `<u4`."""
    splits: dict[str, SplitInfo]
    """The splits `train` and `heldout`."""
    num_characters: int
    """Characters of text in the documents kept."""
    num_duplicates: int
    """Documents left out because an equal one came before."""
    num_empty: int
    """Documents left out because they had no token."""
    num_malformed: int
    """Records skipped because they were malformed."""
    token_counts_sha256: str
    """Checksum of token_counts.npy."""
    sources: tuple[SourceInfo, ...]
    """What was read, in order."""
    settings: dict[str, Any]
    """The settings that decide the corpus."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what training reads of the corpus, wherever that came from or lies."""
        names = {"vocab_size", "tokenizer_fingerprint", "separator_id", "dtype", "splits"}
        decides = self.model_dump_json(include={*names, "token_counts_sha256"})
        return sha256_of_texts([decides])

    @property
    def num_tokens(self) -> dict[str, int]:
        """Tokens by split, one separator a document included."""
        return {name: split.num_tokens for name, split in self.splits.items()}

    @property
    def num_documents(self) -> dict[str, int]:
        """Documents by split."""
        return {name: split.num_documents for name, split in self.splits.items()}

    @property
    def num_bytes(self) -> int:
        """Bytes of the token files on disk."""
        return sum(self.num_tokens.values()) * int(self.dtype[-1])

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads a folder's corpus.json.

        Raises:
            DataError: If it is not there, not ours, or of another version.
        """
        if not cls.exists(folder):
            raise DataError(_why_missing(folder))
        return super().read(folder)


def _why_missing(folder: Path) -> str:
    if (folder / STATE_FILE).exists():
        return (
            f"the corpus in {folder} is not complete: its build was interrupted. Run the same "
            "`limbeck corpus build` again, it continues where it stopped"
        )
    if not folder.is_dir():
        return f"there is no corpus folder {folder}; make one with `limbeck corpus build`"
    return f"{folder} is not a corpus folder: it has no {CorpusInfo.FILE_NAME}"
