"""Trim the vocabulary: keep the pieces that a corpus uses, each with its embedding as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from limbeck.data import Corpus
from limbeck.errors import SettingsError
from limbeck.methods._method import MethodSettings
from limbeck.methods._rebuild import rebuild
from limbeck.models import Model, ModelConfig, find_class
from limbeck.tokenizers import Tokenizer
from limbeck.tokenizers.trimming import Ids, choose_pieces, keep_pieces


class TrimVocabularySettings(MethodSettings):
    """Settings of `trim_vocabulary`."""

    keeps_vocabulary: ClassVar[bool] = False

    method: Literal["trim_vocabulary"] = "trim_vocabulary"
    corpus: str | None = None
    """Corpus folder, built with the model's tokenizer, whose pieces are kept."""
    min_count: int = Field(default=1, ge=1)
    """A piece that occurs less often goes."""
    max_pieces: int | None = Field(default=None, ge=1)
    """Keep only so many pieces, the most frequent ones; None keeps all that occur."""


SettingsType = TrimVocabularySettings


def apply(model: Model, settings: TrimVocabularySettings) -> Model:
    """Makes a model of the pieces that a corpus uses; the model is left as it is.

    The tokenizer changes with it, which `limbeck trim` does, and `trim` in Python.

    Args:
        model: Any model that the corpus's tokenizer belongs to.
        settings: The corpus, and which of its pieces.

    Raises:
        DataError: If there is no such corpus.
        SettingsError: If none is given, its tokenizer has pieces that the model lacks, or too few
            pieces would be left.
    """
    if settings.corpus is None:
        raise SettingsError(
            "trim_vocabulary keeps the pieces of a corpus; give corpus=FOLDER, or use limbeck trim "
            "with texts of your own"
        )
    corpus = Corpus.open(settings.corpus)
    return trim(
        model,
        corpus.tokenizer,
        corpus.token_counts,
        min_count=settings.min_count,
        max_pieces=settings.max_pieces,
    )[0]


def trim(
    model: Model,
    tokenizer: Tokenizer,
    counts: Ids,
    *,
    min_count: int = 1,
    max_pieces: int | None = None,
) -> tuple[Model, Tokenizer]:
    """Returns a model and its tokenizer without the pieces that were not counted.

    Rows of embeddings, and of the decoder and its bias, are exact copies, so that hidden states of
    texts whose pieces are all kept stay as they were, to the bit.

    Args:
        model: Any model; it is left as it is.
        tokenizer: Its tokenizer; likewise.
        counts: How often each piece occurs, as `tokenizers.trimming.count_pieces` gives it.
        min_count: A piece that occurs less often goes.
        max_pieces: Only so many pieces stay, the most frequent ones.

    Raises:
        SettingsError: If the tokenizer has pieces that the model lacks, or too few would be left.
    """
    ids = choose_rows(
        model.config, tokenizer, counts, min_count=min_count, max_pieces=max_pieces
    ).tolist()
    return keep_rows(model, ids), keep_pieces(tokenizer, ids)


def choose_rows(
    config: ModelConfig,
    tokenizer: Tokenizer,
    counts: Ids,
    *,
    min_count: int = 1,
    max_pieces: int | None = None,
) -> Ids:
    """Returns the pieces that `trim` keeps of a model, which are its rows; see there."""
    if tokenizer.vocab_size > config.vocab_size:
        raise SettingsError(
            f"the tokenizer has {tokenizer.vocab_size} pieces, but the model embeds "
            f"{config.vocab_size}; use the tokenizer that the model was trained with"
        )
    ids = choose_pieces(tokenizer, counts, min_count=min_count, max_pieces=max_pieces)
    return np.union1d(ids, sorted(_find_named(config)))


@torch.no_grad()
def keep_rows(model: Model, ids: Sequence[int]) -> Model:
    """Returns a model of some rows of the vocabulary; everything else is copied as it is."""
    config, index = trimmed_config(model.config, ids), torch.tensor(ids, device=model.device)
    with torch.device("meta"):  # shapes alone: no weight is drawn
        shapes = find_class(config.model_type, model.kind)(config).state_dict()
    given = model.state_dict()
    rows = {n: _keep(given[n], tensor.shape, index) for n, tensor in shapes.items() if n in given}
    return rebuild(model, config, rows)


def _keep(tensor: Tensor, shape: torch.Size, index: Tensor) -> Tensor:
    """Selects along the dimension that is the vocabulary's, which is the one that differs."""
    for dim, (before, after) in enumerate(zip(tensor.shape, shape, strict=True)):
        if before != after:
            tensor = tensor.index_select(dim, index)
    return tensor


def trimmed_config(config: ModelConfig, ids: Sequence[int]) -> ModelConfig:
    """Returns a configuration of fewer pieces, special tokens by their new numbers."""
    new = {old: place for place, old in enumerate(ids)}
    renumbered = {name: new[old] for name, old in _token_ids(config).items()}
    return config.replace(vocab_size=len(ids), **renumbered)


def _find_named(config: ModelConfig) -> set[int]:
    """Returns the pieces that a configuration names, and those that keep its positions in place."""
    named, pad = _token_ids(config), config.pad_token_id
    if pad is not None:
        moved = config.replace(pad_token_id=pad + 1)
        if moved.reserved_positions != config.reserved_positions:
            # RoBERTa counts positions from the number of the padding token, which so has to stay.
            return {*named.values(), *range(pad)}
    return {*named.values()}


def _token_ids(config: ModelConfig) -> dict[str, int]:
    """Returns the pieces that a configuration names; a family's default may be of no piece."""
    ids = {n: v for n, v in vars(config).items() if n.endswith("_token_id")}
    return {n: index for n, index in ids.items() if index is not None and index < config.vocab_size}
