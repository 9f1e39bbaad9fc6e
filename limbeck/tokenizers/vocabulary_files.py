"""Vocabularies in files of their own, beside which the class says how texts are split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers.models import BPE, Model, WordPiece

from limbeck.errors import CheckpointError
from limbeck.tokenizers.classes import TokenizerClass, names_of_kind
from limbeck.tokenizers.config import TokenizerConfig
from limbeck.tokenizers.files import read_vocab


@dataclass(frozen=True)
class VocabularyFile:
    """A vocabulary as it was read.

    Attributes:
        model: The vocabulary.
        path: The file with its pieces.
        charsmap: The character map that came with it, as base64.
    """

    model: Model
    path: Path
    charsmap: str | None = None


def read_vocabulary(
    folder: Path, known: TokenizerClass | None, config: TokenizerConfig
) -> tuple[TokenizerClass, VocabularyFile]:
    """Reads the vocabulary of a folder without `tokenizer.json`, and says whose it is.

    Raises:
        CheckpointError: If there is none, or it isn't one of the class.
    """
    present = {
        kind: folder / names[0]
        for kind, names in _FILES.items()
        if all((folder / name).is_file() for name in names)
    }
    if not present:
        _refuse_sentencepiece(folder)
        every = ", ".join(" with ".join(names) for names in _FILES.values())
        raise CheckpointError(
            f"{folder} has no tokenizer: neither tokenizer.json nor another ({every}) is there. "
            "Copy them from the model that this one comes from, or save one there with "
            "save_pretrained."
        )
    if known is None or known.model not in present:
        kind = next(iter(present))
        raise CheckpointError(
            f"{folder} has {' and '.join(_FILES[kind])} without tokenizer.json, and its "
            f"tokenizer_class is '{config.tokenizer_class}', of which Limbeck can't tell how it "
            f"splits texts with them; accepted: {', '.join(sorted(names_of_kind(kind)))}. Save the "
            "tokenizer with transformers, which writes a tokenizer.json."
        )
    return known, _READERS[known.model](present[known.model], config)


def _refuse_sentencepiece(folder: Path) -> None:
    for path in map(folder.joinpath, _SENTENCEPIECE_FILES):
        if path.is_file():
            raise CheckpointError(
                f"{path} is a SentencePiece vocabulary, and Limbeck needs the tokenizer.json that "
                "transformers makes of it; write one beside it with:\n"
                "  pip install transformers sentencepiece protobuf\n"
                '  python -c "from transformers import AutoTokenizer as T; '
                f"T.from_pretrained('{folder}').save_pretrained('{folder}')\""
            )


def _read_wordpiece(path: Path, config: TokenizerConfig) -> VocabularyFile:
    unk_token = config.special_tokens.get("unk_token", "")
    return VocabularyFile(WordPiece(read_vocab(path), unk_token=unk_token), path)


def _read_bpe(path: Path, _config: TokenizerConfig) -> VocabularyFile:
    merges = path.with_name("merges.txt")
    try:
        vocab, pairs = BPE.read_file(str(path), str(merges))
        model = BPE(vocab, pairs, continuing_subword_prefix="", end_of_word_suffix="")
    except Exception as error:
        # The library raises a bare Exception for files that it can't read or that don't fit.
        if type(error) is not Exception:
            raise
        raise CheckpointError(
            f"{path} and {merges.name} are no byte-level BPE vocabulary ({error}); copy them again "
            "from where the model came."
        ) from None
    return VocabularyFile(model, path)


_FILES = {"WordPiece": ("vocab.txt",), "BPE": ("vocab.json", "merges.txt")}
"""The files of a kind of vocabulary, that with the pieces first."""
_SENTENCEPIECE_FILES = ("spiece.model", "sentencepiece.bpe.model", "spm.model")
_READERS: dict[str, Callable[[Path, TokenizerConfig], VocabularyFile]] = {
    "WordPiece": _read_wordpiece,
    "BPE": _read_bpe,
}
