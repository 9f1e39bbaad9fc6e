"""The kinds of models: what stands on the encoder, and what becomes of its scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of model; every architecture has all of them."""

    name: str
    suffix: str
    """What its classes are called: `BertForMaskedLM` is `Bert` and this."""
    has_head: bool = True
    uses_pooler: bool = False
    """Whether it reads one vector a sequence: pooled if the family has a pooler, else the first."""
    has_choices: bool = False
    """Whether inputs are (batch, choices, sequence)."""
    score: Callable[[nn.Module, Tensor], dict[str, Tensor]]
    """From the head and what it reads to the output's fields."""


def _give_nothing(_head: nn.Module, _hidden: Tensor) -> dict[str, Tensor]:
    return {}


def _give_logits(head: nn.Module, hidden: Tensor) -> dict[str, Tensor]:
    return {"logits": head(hidden)}


def _give_span(head: nn.Module, hidden: Tensor) -> dict[str, Tensor]:
    start, end = head(hidden).unbind(dim=-1)
    return {"start_logits": start, "end_logits": end}


ENCODER = Kind(
    name="encoder", suffix="Model", has_head=False, uses_pooler=True, score=_give_nothing
)
MASKED_LM = Kind(name="masked_lm", suffix="ForMaskedLM", score=_give_logits)
SEQUENCE_CLASSIFICATION = Kind(
    name="sequence_classification",
    suffix="ForSequenceClassification",
    uses_pooler=True,
    score=_give_logits,
)
QUESTION_ANSWERING = Kind(
    name="question_answering", suffix="ForQuestionAnswering", score=_give_span
)
TOKEN_CLASSIFICATION = Kind(
    name="token_classification", suffix="ForTokenClassification", score=_give_logits
)
MULTIPLE_CHOICE = Kind(
    name="multiple_choice",
    suffix="ForMultipleChoice",
    uses_pooler=True,
    has_choices=True,
    score=_give_logits,
)
KINDS = (
    ENCODER,
    MASKED_LM,
    SEQUENCE_CLASSIFICATION,
    QUESTION_ANSWERING,
    TOKEN_CLASSIFICATION,
    MULTIPLE_CHOICE,
)
