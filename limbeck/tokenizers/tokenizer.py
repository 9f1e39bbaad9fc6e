"""The tokenizer: texts to ids and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tokenizers import Encoding
from tokenizers import Tokenizer as Backend

from limbeck.checkpoints import resolve_folder
from limbeck.errors import DataError, SettingsError
from limbeck.tokenizers.backend import copy_pipeline, put_blanks_before_words
from limbeck.tokenizers.config import TokenizerConfig
from limbeck.tokenizers.encoding import BatchEncoding, TensorKind, as_tensors, collect, unbatch
from limbeck.tokenizers.long_texts import find_cuts, leave_out_unread, leave_out_unread_of_pairs
from limbeck.tokenizers.options import (
    Options,
    PaddingName,
    Request,
    Truncation,
    TruncationName,
    check_count,
    resolve_options,
)
from limbeck.tokenizers.pretrained import load_folder, save_folder
from limbeck.tokenizers.texts import (
    as_batch,
    check_pair_truncation,
    count_tokens,
    encode_batch,
    encode_ids,
    pair_up,
)
from limbeck.tokenizers.vocabulary import Vocabulary

_MAX_PIPELINES = 32


class TakesInputs(Protocol):
    """A model's configuration, as far as a tokenizer needs to know it."""

    @property
    def takes_token_types(self) -> bool:
        """Whether the model has token types."""

    @property
    def pad_token_id(self) -> int | None:
        """What it takes for padding, if anything."""


class Tokenizer(Vocabulary):
    """Turns texts into ids and back; immutable, so threads may share it.

    Make one with `from_pretrained` or `train_wordpiece`.

    Args:
        backend: The pipeline, which from now on belongs to this object.
        config: Special tokens, lengths and input names.

    Example:
        >>> from limbeck.tokenizers import train_wordpiece
        >>> tokenizer = train_wordpiece(["to be or not to be"], vocab_size=60, min_frequency=1)
        >>> tokenizer("to be")["input_ids"] == [
        ...     tokenizer.cls_token_id,
        ...     *tokenizer.convert_tokens_to_ids(["to", "be"]),
        ...     tokenizer.sep_token_id,
        ... ]
        True
    """

    def __init__(self, backend: Backend, config: TokenizerConfig) -> None:
        super().__init__(backend, config)
        self._pipelines: dict[Options, Backend] = {}

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        offline: bool = False,
    ) -> Tokenizer:
        """Loads a tokenizer from a folder or a Hub repository.

        Args:
            name_or_path: A folder, or the name of a repository such as `bert-base-uncased`.
            revision: Branch, tag or commit of the repository.
            token: Access token for a private repository.
            cache_dir: Where downloads are kept.
            offline: Whether to use only what is already downloaded.

        Raises:
            CheckpointError: If there are no tokenizer files, or they can't be used.
        """
        folder = resolve_folder(
            name_or_path,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            offline=offline,
            weights=False,
        )
        return cls(*load_folder(folder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the tokenizer's files into a folder, which is made if need be.

        `transformers.AutoTokenizer` loads it to the same ids.

        Raises:
            CheckpointError: If the folder can't be made or written.
        """
        save_folder(self._backend, self.config, Path(folder))

    def for_model(self, config: TakesInputs) -> Tokenizer:
        """Returns the same tokenizer giving the inputs that a model takes, with its padding."""
        fitting = self if config.takes_token_types else self.without_token_types()
        named = fitting.config.special_tokens
        padding = fitting.config.pad_token
        if "pad_token" in named or padding is None or config.pad_token_id != self.pad_token_id:
            return fitting
        return Tokenizer(
            copy_pipeline(fitting._backend),
            replace(fitting.config, special_tokens={**named, "pad_token": padding}),
        )

    def for_words(self) -> Tokenizer:
        """Returns the same tokenizer for texts given as words, each as if a blank stood before it.

        Calls with `is_split_into_words` give what those of `transformers` do: pieces of words
        without blanks, which a byte-level vocabulary has for the first word of a text alone.
        """
        backend = put_blanks_before_words(self._backend)
        return self if backend is None else Tokenizer(backend, self.config)

    def without_token_types(self) -> Tokenizer:
        """Returns the same tokenizer for a model that has no token types, such as DistilBERT."""
        names = tuple(n for n in self.config.model_input_names if n != "token_type_ids")
        if names == self.config.model_input_names:
            return self
        config = replace(self.config, model_input_names=names)
        if config.is_bert:
            config = replace(config, tokenizer_class="DistilBertTokenizer")
        return Tokenizer(copy_pipeline(self._backend), config)

    def with_max_length(self, length: int) -> Tokenizer:
        """Returns the same tokenizer for a model that takes inputs of so many tokens at most."""
        shortest = min(length, self.config.model_max_length)
        return Tokenizer(
            copy_pipeline(self._backend), replace(self.config, model_max_length=shortest)
        )

    def __call__(
        self,
        text: str | Sequence[str] | Sequence[Sequence[str]],
        text_pair: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        *,
        add_special_tokens: bool = True,
        truncation: bool | TruncationName | None = False,
        max_length: int | None = None,
        padding: bool | PaddingName = False,
        pad_to_multiple_of: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        return_overflowing_tokens: bool = False,
        return_offsets_mapping: bool = False,
        return_tensors: TensorKind | None = None,
    ) -> BatchEncoding:
        """Encodes a text or a batch, or pairs of texts; batches use all cores.

        Args:
            text: A text, or a list of texts.
            text_pair: The second text of each pair. An empty string is an empty second text.
            add_special_tokens: Whether to frame the inputs, as `[CLS] text [SEP]` in BERT.
            truncation: What to cut where an input is longer than `max_length`: tokens of the
                longer text of a pair (`longest_first`, or True), or of one text only.
            max_length: Length in tokens, special ones included; default `model_max_length`.
            padding: Fill up to the longest input (`longest`, or True) or to `max_length`.
            pad_to_multiple_of: Round the padded length up to a multiple of this.
            stride: Number of tokens that a window repeats from the one before it.
            is_split_into_words: Whether each text is a list of words.
            return_overflowing_tokens: Whether to return what was cut off as further windows;
                `overflow_to_sample_mapping` tells which text each window is from.
            return_offsets_mapping: Whether to return each token's start and end character.
            return_tensors: `pt` or `np` for tensors with a batch axis; default lists.

        Raises:
            DataError: If a text is not a str, or a pair can't be cut as asked.
            SettingsError: If the options are wrong or contradict each other.
        """
        inputs, batched = as_batch(text, name="text", words=is_split_into_words)
        pair = text_pair is not None
        if pair:
            seconds, both = as_batch(text_pair, name="text_pair", words=is_split_into_words)
            inputs = pair_up(inputs, seconds, batched=(batched, both))
        request = Request(
            truncation=truncation,
            padding=padding,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            overflow=return_overflowing_tokens,
        )
        batch = collect(
            self._encode(
                inputs, request, pair=pair, framed=add_special_tokens, words=is_split_into_words
            ),
            names=self.config.model_input_names,
            overflow=return_overflowing_tokens,
            offsets=return_offsets_mapping,
        )
        if return_tensors is not None:
            return as_tensors(batch, return_tensors)
        return batch if batched or return_overflowing_tokens else unbatch(batch)

    def encode_rows(
        self,
        texts: Sequence[str],
        seconds: Sequence[str] | None = None,
        *,
        max_length: int,
        truncation: bool | TruncationName = True,
    ) -> list[Encoding]:
        """Encodes texts, or pairs of them, as a call does, without making lists of the tokens.

        Args:
            texts: The texts.
            seconds: The second text of each.
            max_length: Where they are cut, in tokens, special ones included.
            truncation: Which text of a pair is cut, as in a call.

        Raises:
            DataError: If a text is not a str, or a pair can't be cut as asked.
            SettingsError: If the options are wrong.
        """
        inputs, _ = as_batch(texts, name="texts", words=False)
        if seconds is not None:
            others, _ = as_batch(seconds, name="seconds", words=False)
            inputs = pair_up(inputs, others, batched=(True, True))
        request = Request(truncation=truncation, max_length=max_length)
        return self._encode(inputs, request, pair=seconds is not None)

    def _encode(
        self,
        inputs: list[Any],
        request: Request,
        *,
        pair: bool,
        framed: bool = True,
        words: bool = False,
    ) -> list[Encoding]:
        """Encodes checked texts.

        Args:
            inputs: Texts, pairs, or lists of words.
            request: What is to become of their length.
            pair: Whether they are pairs.
            framed: Whether special tokens are put around them.
            words: Whether each is a list of words.
        """
        num_special = self.num_special_tokens(pair=pair) if framed else 0
        options = resolve_options(
            request,
            self.config,
            pad_token_id=None if self.config.pad_token is None else self.pad_token_id,
            num_special=num_special,
            framed=self.num_special_tokens(),
            pair=pair,
        )
        if pair and options.truncation:
            check_pair_truncation(
                self._backend, inputs, options.truncation, num_special=num_special, words=words
            )
        if options.truncation and not words and not request.overflow:
            inputs = self._leave_out_unread(
                inputs, options.truncation, num_special=num_special, pair=pair
            )
        return encode_batch(self._pipeline(options), inputs, add_special_tokens=framed, words=words)

    def encode(self, text: str, text_pair: str | None = None, **options: Any) -> list[int]:
        """Returns the ids of a text or pair alone; options and errors are those of a call."""
        ids: list[int] = self(text, text_pair, **options)["input_ids"]
        return ids

    def pad(
        self,
        rows: Sequence[Mapping[str, Sequence[int]]] | Mapping[str, Sequence[Sequence[int]]],
        *,
        padding: bool | PaddingName = True,
        pad_to_multiple_of: int | None = None,
        return_tensors: TensorKind | None = None,
    ) -> BatchEncoding:
        """Fills encoded texts up to the longest, as a collate function does.

        Args:
            rows: What calls gave for single texts, or a call for a list of them; of each the
                model's inputs are taken. All of a row without `attention_mask` is text.
            padding: True or `longest`, which is the only way.
            pad_to_multiple_of: Fill up further, to a multiple of this.
            return_tensors: `pt` or `np` for tensors; default lists.

        Raises:
            DataError: If there is no row, or one has no `input_ids`.
            SettingsError: If another padding is asked for, or the multiple is below 1.
        """
        if padding not in (True, "longest"):
            raise SettingsError(
                f"padding={padding!r}: rows are filled up to the longest; accepted: True. To one "
                "length, give padding='max_length' when texts are encoded"
            )
        check_count(pad_to_multiple_of, "pad_to_multiple_of", least=1)
        if isinstance(rows, Mapping):
            columns = zip(*rows.values(), strict=True)
            rows = [dict(zip(rows, values, strict=True)) for values in columns]
        for number, row in enumerate(rows):
            if "input_ids" not in row:
                raise DataError(f"row {number} has no input_ids; it has: {', '.join(row)}")
        if not rows:
            raise DataError("there is no row to pad; accepted: what calls of the tokenizer gave")
        longest = max(len(row["input_ids"]) for row in rows)
        width = longest + -longest % (pad_to_multiple_of or 1)
        fillings = {
            "input_ids": self.pad_token_id,
            "token_type_ids": self.config.pad_token_type_id,
            "attention_mask": 0,
        }
        is_left = self.config.padding_side == "left"

        def fill(ids: Sequence[int], value: int) -> list[int]:
            filling = [value] * (width - len(ids))
            return [*filling, *ids] if is_left else [*ids, *filling]

        # Without a mask the model would take what is filled in for text.
        rows = [{"attention_mask": [1] * len(row["input_ids"]), **row} for row in rows]
        names = [name for name in self.model_input_names if all(name in row for row in rows)]
        batch = BatchEncoding(
            {name: [fill(row[name], fillings[name]) for row in rows] for name in names}
        )
        return batch if return_tensors is None else as_tensors(batch, return_tensors)

    def encode_batch_ids(
        self, texts: Sequence[str], *, add_special_tokens: bool, num_at_ends: int | None = None
    ) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
        """Encodes texts to ids alone on all cores: the fast path for building a corpus.

        Args:
            texts: The texts.
            add_special_tokens: Whether to frame them.
            num_at_ends: How many ids at each end of a text matter: of one far longer, some of those
                between may be left out, which are then not read. By default all do.

        Raises:
            DataError: If an item is not a str or has a lone surrogate.
        """
        inputs, batched = as_batch(texts, name="texts", words=False)
        if not batched:
            raise DataError("texts is a single str; encode_batch_ids takes a list of str.")
        if num_at_ends is not None and self._cuts is not None:
            count = partial(count_tokens, self._backend)
            inputs = leave_out_unread(
                inputs, num_tokens=num_at_ends, cuts=self._cuts, count=count, with_end=True
            )
        return encode_ids(
            self._backend, inputs, add_special_tokens=add_special_tokens, cuts=self._cuts
        )

    def tokenize(self, text: str) -> list[str]:
        """Returns the pieces of a text, without special tokens."""
        inputs, _ = as_batch([text], name="text", words=False)
        return list(encode_batch(self._backend, inputs, add_special_tokens=False)[0].tokens)

    @cached_property
    def _cuts(self) -> re.Pattern[str] | None:
        return find_cuts(self._backend)

    def _leave_out_unread(
        self, inputs: list[Any], truncation: Truncation, *, num_special: int, pair: bool
    ) -> list[Any]:
        """Leaves out what truncation would, and what need not be read for it."""
        # A text that is cut on the left would have its characters counted from another place.
        if self._cuts is None or truncation.direction != "right":
            return inputs
        room = truncation.max_length - num_special
        count = partial(count_tokens, self._backend)
        if not pair:
            return leave_out_unread(inputs, num_tokens=room, cuts=self._cuts, count=count)
        if truncation.strategy == "longest_first":
            return list(
                leave_out_unread_of_pairs(inputs, num_tokens=room, cuts=self._cuts, count=count)
            )
        firsts, seconds = (list(texts) for texts in zip(*inputs, strict=True))
        if truncation.strategy == "only_first":
            firsts = leave_out_unread(firsts, num_tokens=room, cuts=self._cuts, count=count)
        else:
            seconds = leave_out_unread(seconds, num_tokens=room, cuts=self._cuts, count=count)
        return list(zip(firsts, seconds, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes get the tokenizer without the pipelines, which are cheap to make again.
        return self.__dict__ | {"_pipelines": {}}

    def _pipeline(self, options: Options) -> Backend:
        """Returns a pipeline with these options, which is never changed once it can be seen."""
        if options == Options():
            return self._backend
        pipeline = self._pipelines.get(options)
        if pipeline is None:
            pipeline = options.apply(copy_pipeline(self._backend))
            if len(self._pipelines) >= _MAX_PIPELINES:
                self._pipelines.clear()
            # Two threads may both get here; either pipeline is right.
            self._pipelines[options] = pipeline
        return pipeline


class AutoTokenizer:
    """The name under which users of `transformers` look for `from_pretrained`."""

    from_pretrained = Tokenizer.from_pretrained
