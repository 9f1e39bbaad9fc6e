"""Heads that families build alike."""

from __future__ import annotations

from torch import nn

from limbeck.errors import SettingsError
from limbeck.models._config import ModelConfig
from limbeck.models._kinds import QUESTION_ANSWERING, Kind
from limbeck.nn import MaskedLMHead, ScoreHead, VocabularyTransform, build_activation


def build_masked_lm_head(
    config: ModelConfig, *, activation: str, eps: float, embedding_size: int | None = None
) -> MaskedLMHead:
    """Returns the vocabulary head, whose decoder is the word embedding.

    `embedding_size` is the width of that where it is not `hidden_size`.

    Raises:
        SettingsError: If the configuration asks for a decoder of its own.
    """
    require_tied_decoder(config)
    size = embedding_size or config.hidden_size
    return MaskedLMHead(
        transform=VocabularyTransform(
            dense=nn.Linear(config.hidden_size, size),
            activation=build_activation(activation),
            norm=nn.LayerNorm(size, eps=eps),
        ),
        vocab_size=config.vocab_size,
    )


def require_tied_decoder(config: ModelConfig) -> None:
    """Refuses a language model whose decoder is not the word embedding.

    Raises:
        SettingsError: If the configuration asks for a decoder of its own.
    """
    if not config.tie_word_embeddings:
        raise SettingsError(
            "tie_word_embeddings is False; accepted for a language model: True, a decoder that is "
            "the word embedding."
        )


def build_score_head(
    config: ModelConfig,
    *,
    kind: Kind,
    dropout: float,
    dense: nn.Module | None = None,
    activation: nn.Module | None = None,
    bias: bool = True,
) -> ScoreHead:
    """Returns a head with as many scores as its kind has: labels, a start and an end, or one.

    Raises:
        SettingsError: If a head for answers is to have other than two labels.
    """
    num_scores = 1 if kind.has_choices or kind.finds_replaced else config.num_labels
    if kind is QUESTION_ANSWERING and num_scores != 2:
        raise SettingsError(
            f"num_labels is {num_scores}; accepted for question answering: 2, a start and an end."
        )
    return ScoreHead(
        dense=dense or nn.Identity(),
        activation=activation or nn.Identity(),
        dropout=nn.Dropout(dropout) if dropout else nn.Identity(),
        output=nn.Linear(config.hidden_size, num_scores, bias=bias),
    )
