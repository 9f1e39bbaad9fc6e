"""The vocabulary side of a tokenizer: which ids there are and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
from tokenizers import Tokenizer as Backend

from limbeck.errors import SettingsError
from limbeck.tokenizers.backend import compute_fingerprint
from limbeck.tokenizers.config import TokenizerConfig
from limbeck.tokenizers.decoding import clean_up, read_ids
from limbeck.tokenizers.framing import Frame, read_frame, read_template
from limbeck.tokenizers.options import describe_lack
from limbeck.tokenizers.words import find_continuations

_PADDING = 8, 128
"""Models' vocabularies are filled up to multiples of 8 to 128, for the matrix product's sake."""


class Vocabulary:
    """Ids, pieces and special tokens of a pipeline; the base of `Tokenizer`.

    Args:
        backend: The pipeline, which from now on belongs to this object.
        config: Special tokens, lengths and input names.

    Raises:
        SettingsError: If the pipeline lacks a special token that the config names.
    """

    def __init__(self, backend: Backend, config: TokenizerConfig) -> None:
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = config.split_special_tokens
        self.config = config
        self._backend = backend
        self._ids = {
            role: _find_special(backend, content, role)
            for role, content in config.special_tokens.items()
        }

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        """Returns the text of a row of ids (a list, an array or a tensor of one axis).

        Raises:
            DataError: If an id is not in the vocabulary.
        """
        row = read_ids(ids, vocab_size=self.vocab_size)
        text = self._backend.decode(row, skip_special_tokens=skip_special_tokens)
        return clean_up(text) if self.config.clean_up_tokenization_spaces else text

    def batch_decode(
        self, rows: Iterable[Iterable[int]], *, skip_special_tokens: bool = False
    ) -> list[str]:
        """Returns the text of each row of ids."""
        return [self.decode(row, skip_special_tokens=skip_special_tokens) for row in rows]

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...  # type: ignore[overload-overlap]
    @overload
    def convert_tokens_to_ids(self, tokens: Sequence[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> int | list[int]:
        """Returns the id of a piece, or of each; one outside the vocabulary gets the unknown id.

        Raises:
            SettingsError: If there is none.
        """
        if isinstance(tokens, str):
            return self.convert_tokens_to_ids([tokens])[0]
        found = [self._backend.token_to_id(token) for token in tokens]
        return [self.unk_token_id if index is None else index for index in found]

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: int | Iterable[int]) -> str | list[str]:
        """Returns the piece of an id, or of each.

        Raises:
            DataError: If an id is not in the vocabulary.
        """
        if isinstance(ids, int):
            return self.convert_ids_to_tokens([ids])[0]
        row = read_ids(ids, vocab_size=self.vocab_size)
        return [self._backend.id_to_token(index) or "" for index in row]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Returns the text of pieces: those of a word joined, words and punctuation spaced."""
        decoder = self._backend.decoder
        return " ".join(tokens) if decoder is None else str(decoder.decode(list(tokens)))

    def num_special_tokens(self, *, pair: bool = False) -> int:
        """Returns how many special tokens a call adds to a text, or to a pair of texts."""
        return self._backend.num_special_tokens_to_add(pair)

    @cached_property
    def frame(self) -> Frame:
        """The special tokens that a call puts around a single text."""
        return read_frame(self._backend)

    def read_template(self, *, pair: bool = False) -> list[tuple[int | None, int]]:
        """Returns the special tokens around a text, or around two, each with its token type.

        In the place of each text stands one entry whose id is None.
        """
        return read_template(self._backend, pair=pair)

    def get_vocab(self) -> dict[str, int]:
        """Returns every piece with its id, added tokens included."""
        return self._backend.get_vocab()

    @cached_property
    def vocab_size(self) -> int:
        """Number of rows that an embedding table needs: the largest id plus one."""
        return max(self.get_vocab().values()) + 1

    def describe_shortage(self, num_embedded: int) -> str | None:
        """Says that a model embeds more pieces than there are here, as where a file was cut short.

        None where it does not, or the model's number is one that vocabularies are filled up to.

        Args:
            num_embedded: Pieces that the model embeds.
        """
        step, most = _PADDING
        missing = num_embedded - self.vocab_size
        if missing <= 0 or (num_embedded % step == 0 and missing < most):
            return None
        return (
            f"the tokenizer has {self.vocab_size:,} of the {num_embedded:,} pieces that the model "
            "embeds; unless that is meant so, its files were cut short or are another model's: "
            "copy them again from where the model came"
        )

    @cached_property
    def continuation_mask(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether a piece continues a word; nowhere true where the vocabulary marks no words.

        Shape:
            (vocab_size,), read-only.
        """
        mask = np.zeros(self.vocab_size, dtype=np.bool_)
        special = set(self.all_special_ids)
        continues = find_continuations(self._backend)
        for piece, index in self.get_vocab().items():
            mask[index] = continues is not None and continues(piece) and index not in special
        mask.setflags(write=False)
        return mask

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what decides ids: vocabulary, special tokens and normaliser settings."""
        return compute_fingerprint(self._backend, self.config)

    @cached_property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens, the named ones and any others, in ascending order."""
        added = self._backend.get_added_tokens_decoder()
        others = {index for index, token in added.items() if token.special}
        return sorted(others | set(self._ids.values()))

    @property
    def model_max_length(self) -> int:
        """Longest input of the model in tokens; about 1e30 where the files name none."""
        return self.config.model_max_length

    @property
    def model_input_names(self) -> tuple[str, ...]:
        """The keys that a call returns."""
        return self.config.model_input_names

    @property
    def pad_token_id(self) -> int:
        """Id of the padding token, or of the end of texts where there is none for padding alone.

        This and those below raise a SettingsError where the vocabulary has no such token.
        """
        return self._id_of("pad_token" if "pad_token" in self._ids else "eos_token", "pad_token")

    @property
    def cls_token_id(self) -> int:
        """Id of the token at the start of every input."""
        return self._id_of("cls_token")

    @property
    def sep_token_id(self) -> int:
        """Id of the token after every text."""
        return self._id_of("sep_token")

    @property
    def mask_token_id(self) -> int:
        """Id of the token that hides a piece in masked-language-model training."""
        return self._id_of("mask_token")

    @property
    def unk_token_id(self) -> int:
        """Id of the token for words that the vocabulary can't spell."""
        return self._id_of("unk_token")

    @property
    def bos_token_id(self) -> int:
        """Id of the token that begins texts in families that generate them."""
        return self._id_of("bos_token")

    @property
    def eos_token_id(self) -> int:
        """Id of the token that ends them."""
        return self._id_of("eos_token")

    @property
    def separator_id(self) -> int:
        """Id of the token between the documents of a corpus: `sep_token`, or else `eos_token`."""
        return self._id_of("sep_token" if "sep_token" in self._ids else "eos_token", "sep_token")

    @property
    def pad_token(self) -> str:
        """Padding, as the vocabulary has it; likewise the next six."""
        return self._token_of(self.pad_token_id)

    @property
    def cls_token(self) -> str:
        """First token of a text in BERT."""
        return self._token_of(self.cls_token_id)

    @property
    def sep_token(self) -> str:
        """Token between and after texts."""
        return self._token_of(self.sep_token_id)

    @property
    def mask_token(self) -> str:
        """Token in the place of a masked one."""
        return self._token_of(self.mask_token_id)

    @property
    def unk_token(self) -> str:
        """Token for what is not in the vocabulary."""
        return self._token_of(self.unk_token_id)

    @property
    def bos_token(self) -> str:
        """Token that begins a text."""
        return self._token_of(self.bos_token_id)

    @property
    def eos_token(self) -> str:
        """Token that ends a text."""
        return self._token_of(self.eos_token_id)

    def _id_of(self, role: str, wanted: str | None = None) -> int:
        if role not in self._ids:
            raise SettingsError(describe_lack(wanted or role, self.config.special_tokens))
        return self._ids[role]

    def _token_of(self, number: int) -> str:
        return self.convert_ids_to_tokens([number])[0]

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"Tokenizer(vocab_size={self.vocab_size}, {self.config.tokenizer_class})"


def _find_special(backend: Backend, content: str, role: str) -> int:
    index = backend.token_to_id(content)
    if index is None:
        raise SettingsError(
            f"the pipeline's vocabulary has no {content!r}, which the config names as {role}; add "
            "it to the vocabulary or name another."
        )
    return index
