"""Factorise the embeddings: the words' table as a narrow one and a projection."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from limbeck.data import Corpus
from limbeck.errors import SettingsError
from limbeck.methods._method import MethodSettings
from limbeck.methods._rebuild import rebuild
from limbeck.models import Model
from limbeck.tokenizers import Tokenizer
from limbeck.tokenizers.trimming import Ids

_ROWS_AT_A_TIME = 2**15  # in float64, of which a table of 250,000 rows would take 1.5 GB


class FactoriseEmbeddingsSettings(MethodSettings):
    """Settings of `factorise_embeddings`."""

    method: Literal["factorise_embeddings"] = "factorise_embeddings"
    rank: int | float = Field(default=0.25, gt=0, allow_inf_nan=False)
    """Width of the narrow table: a number of columns, or below 1 a share of the table's width."""
    corpus: str | None = None
    """Corpus folder, built with the model's tokenizer: the error of a piece counts as often as it
    occurs there. By default all pieces count alike."""

    @field_validator("rank")
    @classmethod
    def _check_columns(cls, rank: float) -> float:
        return require_columns(rank)


SettingsType = FactoriseEmbeddingsSettings


def apply(model: Model, settings: FactoriseEmbeddingsSettings) -> Model:
    """Makes a model with a factorised table of words; the model is left as it is.

    Args:
        model: Any model.
        settings: The rank, and by what pieces are weighted.

    Raises:
        DataError: If there is no such corpus.
        SettingsError: If the factors would be no smaller, the table is factorised already, or the
            corpus's tokenizer has pieces that the model lacks.
    """
    counts = None
    if settings.corpus is not None:
        corpus = Corpus.open(settings.corpus)
        rows = model.config.vocab_size
        counts = weigh_pieces(corpus.tokenizer, corpus.token_counts, num_rows=rows)
    return factorise(model, settings.rank, counts=counts)


def factorise(model: Model, rank: float, *, counts: Ids | None = None) -> Model:
    """Returns a model with its words' table E, of size (words, width), as a product T P.

    Of all products of this rank it has the least `sum_i n_i |E_i - T_i P|^2`, where `n_i` says how
    much piece i counts: P has the `rank` first eigenvectors of `E' diag(n) E` for its rows, which
    are the right singular vectors of `diag(n)^(1/2) E`, and T = E P'. A row that counts for nothing
    is so still as near to its own as P allows. A table whose own rank is no higher stays as it is.

    What comes after the table stays: positions and token types are added to vectors of the full
    width, and these are normalised. A masked LM scores by the same factors. The rows of P are
    orthonormal, so that training moves T as it would move E within what P spans.

    Args:
        model: Any model; it is left as it is.
        rank: The width of T, or below 1 its share of the table's.
        counts: How much each piece counts, as `weigh_pieces` gives it; all alike if absent.

    Shape:
        counts: (words,).

    Raises:
        SettingsError: If the factors would be no smaller, or the table is factorised already.

    Source:
        Eckart and Young 1936, "The approximation of one matrix by another of lower rank"; the
        shape: Lan et al., "ALBERT", 2020, section 3.1, "Factorized embedding parameterization".
    """
    table = model.encoder.embeddings.word.weight
    if model.config.embedding_rank is not None:
        raise SettingsError(
            f"rank = {rank:g}: the words' table is factorised already, with a rank of "
            f"{model.config.embedding_rank}; accepted: the model that it was made of"
        )
    columns = choose_rank(rank, num_rows=len(table), width=table.shape[1])
    weights = None if counts is None else torch.from_numpy(counts).to(table.device)
    narrow, projection = split_table(table, columns, weights=weights)
    return rebuild(
        model,
        model.config.replace(embedding_rank=columns),
        {
            "encoder.embeddings.word.weight": narrow,
            "encoder.embeddings.word.projection.weight": projection,
        },
    )


def require_columns(rank: float) -> float:
    """Returns a rank that is a share below 1 or a whole number of columns.

    Raises:
        ValueError: If it is neither.
    """
    if rank > 1 and rank != int(rank):
        raise ValueError("no number of columns; give a whole number, or a share below 1")
    return rank


def choose_rank(rank: float, *, num_rows: int, width: int) -> int:
    """Returns a number of columns with which both factors have fewer numbers than the table.

    Raises:
        SettingsError: If they have no fewer.

    Example:
        >>> choose_rank(0.25, num_rows=30_522, width=384)
        96
    """
    columns = int(rank) if rank >= 1 else max(1, round(rank * width))
    most = math.ceil(num_rows * width / (num_rows + width)) - 1
    if columns > most:
        raise SettingsError(
            f"rank = {rank:g}: factors of {num_rows:,} x {columns} and {columns} x {width} have no "
            f"fewer numbers than the table of {num_rows:,} x {width}; accepted: 1 to {most}, or a "
            f"share of {width} up to {math.floor(1000 * most / width) / 1000:g}"
        )
    return columns


@torch.no_grad()
def split_table(
    table: Tensor, rank: int, *, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns a table's best two factors, as `factorise` says, computed in float64.

    Shape:
        table: (rows, width).
        weights: (rows,), how much each row counts; all alike if absent.
        result: (rows, rank) and, as `nn.Linear` holds it, (width, rank).
    """
    parts = [slice(at, at + _ROWS_AT_A_TIME) for at in range(0, len(table), _ROWS_AT_A_TIME)]
    moments = [_moments(table[p], None if weights is None else weights[p]) for p in parts]
    _, vectors = torch.linalg.eigh(torch.stack(moments).sum(dim=0))  # ascending
    projection = vectors.flip(1)[:, :rank]
    narrow = torch.cat([(table[p].double() @ projection).to(table.dtype) for p in parts])
    return narrow, projection.to(table.dtype)


def _moments(rows: Tensor, weights: Tensor | None) -> Tensor:
    exact = rows.double()
    return exact.T @ (exact if weights is None else weights.double()[:, None] * exact)


def weigh_pieces(tokenizer: Tokenizer, counts: Ids, *, num_rows: int) -> Ids:
    """Returns how much the error of each row counts: as often as its piece occurs, and once more.

    Special tokens are in no text and in each input: they count as the most frequent piece does.

    Args:
        tokenizer: The model's.
        counts: How often each piece occurs.
        num_rows: How many rows the table has, of which the last may belong to no piece.

    Shape:
        counts: (vocab_size of the tokenizer,).
        result: (num_rows,).

    Raises:
        SettingsError: If the tokenizer has more pieces than there are rows.
    """
    if len(counts) > num_rows:
        raise SettingsError(
            f"the tokenizer has {len(counts)} pieces, but the model embeds {num_rows}; use the "
            "tokenizer that the model was trained with"
        )
    weights = 1 + np.pad(counts, (0, num_rows - len(counts)))
    weights[tokenizer.all_special_ids] = weights.max()
    return weights
