"""Settings of a corpus build."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from limbeck.config import Settings


class CorpusSettings(Settings):
    """How texts are read, divided, de-duplicated and stored."""

    format: Literal["auto", "csv", "jsonl", "parquet", "text", "tsv"] = "auto"
    """Format of the files; `auto` goes by the file's name, `.gz` at its end or not."""

    documents: Literal["block", "line", "file"] = "block"
    """What one document is in a plain text file: a block between blank lines, a line, the file."""

    text_field: str = Field(default="text", min_length=1)
    """Column that holds the text: field of a JSON line, column of a table or of a Hub data set."""

    hub_config: str | None = None
    """Configuration of a Hub data set (`hf://NAME`), such as `20231101.en`."""

    hub_split: str = "train"
    """Split of a Hub data set."""

    hub_revision: str | None = None
    """Branch, tag or commit of a Hub data set."""

    deduplicate: bool = False
    """Keep only the first of documents whose text is exactly the same."""

    heldout_ratio: float = Field(default=0.01, ge=0.0, lt=1.0)
    """Share of the documents kept out of training; a hash of a document's text decides, so that
    neither order nor other documents matter and equal documents stay on one side."""

    on_error: Literal["raise", "skip"] = "raise"
    """What happens at a malformed line: stop with its file and number, or skip and count it."""

    max_document_characters: int = Field(default=16_000_000, ge=1_000)
    """A longer text is divided into several documents, so that memory stays bounded."""

    shard_tokens: int = Field(default=64 * 2**20, ge=16)
    """Tokens in a shard file; the last one of a split may hold fewer."""

    batch_characters: int = Field(default=2**20, ge=1_000)
    """Text tokenised in one call, in characters. Changes speed and memory, not the result."""

    save_every_seconds: float = Field(default=15.0, ge=0.0)
    """Time between two points at which an interrupted build can continue."""

    def identity(self) -> dict[str, Any]:
        """Returns the settings that decide the corpus, by name."""
        return self.model_dump(exclude=set(_WITHOUT_EFFECT))


_WITHOUT_EFFECT: Final = ("batch_characters", "save_every_seconds", "on_error")
"""Settings that may change when a build continues. `on_error` is among them because a build that
stopped at a malformed line has met none before it."""
