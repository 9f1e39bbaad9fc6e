"""The kinds of models: what stands on the encoder, and what becomes of its scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of model; each architecture says which of them it has."""

    name: str
    suffix: str
    """What its classes are called: `BertForMaskedLM` is `Bert` and this."""
    auto_suffix: str | None = None
    """What follows `AutoModel` in the name of the class that finds a folder's family; `suffix` if
    absent."""
    summary: str
    """What its models do, in one line; the docstring of its classes."""
    has_head: bool = True
    ties_words: bool = False
    """Whether the head's decoder is the word embedding, which is given to it at each call."""
    predicts_next: bool = False
    """Whether what a position scores is the token after it, by those up to it."""
    finds_replaced: bool = False
    """Whether each position has one score: that its token is not the one that the text had."""
    reads_sequence: bool = False
    """Whether it reads one vector a sequence: pooled if the family has a pooler, else the first."""
    has_choices: bool = False
    """Whether inputs are (batch, choices, sequence)."""
    fields: Callable[[Tensor], dict[str, Tensor]]
    """From the head's scores to the output's fields."""

    @property
    def is_of_pretraining(self) -> bool:
        """Whether its head learns from text alone, and a task needs another one."""
        return self.ties_words or self.finds_replaced

    @property
    def auto_name(self) -> str:
        """Name of the class that finds a folder's family, such as `AutoModelForMaskedLM`."""
        suffix = self.suffix if self.auto_suffix is None else self.auto_suffix
        return f"AutoModel{suffix.removeprefix('Model')}"


def find_kind(class_name: str) -> Kind | None:
    """Returns the kind of a class such as `RobertaForMaskedLM`, of whatever family; or None."""
    fitting = [kind for kind in KINDS if class_name.endswith(kind.suffix)]
    return max(fitting, key=lambda kind: len(kind.suffix), default=None)


def _as_logits(scores: Tensor) -> dict[str, Tensor]:
    return {"logits": scores}


def _as_logit(scores: Tensor) -> dict[str, Tensor]:
    return {"logits": scores.squeeze(-1)}


def _as_span(scores: Tensor) -> dict[str, Tensor]:
    start, end = scores.unbind(dim=-1)
    return {"start_logits": start, "end_logits": end}


ENCODER = Kind(
    name="encoder",
    suffix="Model",
    summary="The bare encoder, with its pooler where the family has one.",
    has_head=False,
    reads_sequence=True,
    fields=_as_logits,
)
MASKED_LM = Kind(
    name="masked_lm",
    suffix="ForMaskedLM",
    summary="Scores the vocabulary at each position.",
    ties_words=True,
    fields=_as_logits,
)
CAUSAL_LM = Kind(
    name="causal_lm",
    suffix="LMHeadModel",
    auto_suffix="ForCausalLM",
    summary="Scores the vocabulary for the token after each position.",
    ties_words=True,
    predicts_next=True,
    fields=_as_logits,
)
REPLACED_TOKENS = Kind(
    name="replaced_tokens",
    suffix="ForPreTraining",
    summary="Scores each token as one that was replaced.",
    finds_replaced=True,
    fields=_as_logit,
)
SEQUENCE_CLASSIFICATION = Kind(
    name="sequence_classification",
    suffix="ForSequenceClassification",
    summary="Scores labels, or predicts a number, for each text or pair.",
    reads_sequence=True,
    fields=_as_logits,
)
QUESTION_ANSWERING = Kind(
    name="question_answering",
    suffix="ForQuestionAnswering",
    summary="Scores each position as the start and as the end of the answer.",
    fields=_as_span,
)
TOKEN_CLASSIFICATION = Kind(
    name="token_classification",
    suffix="ForTokenClassification",
    summary="Scores labels for each token.",
    fields=_as_logits,
)
MULTIPLE_CHOICE = Kind(
    name="multiple_choice",
    suffix="ForMultipleChoice",
    summary="Scores each of several choices.",
    reads_sequence=True,
    has_choices=True,
    fields=_as_logits,
)
COMMON_KINDS = (
    ENCODER,
    MASKED_LM,
    SEQUENCE_CLASSIFICATION,
    QUESTION_ANSWERING,
    TOKEN_CLASSIFICATION,
    MULTIPLE_CHOICE,
)
"""What a family has unless it says otherwise."""
KINDS = (*COMMON_KINDS, CAUSAL_LM, REPLACED_TOKENS)
"""All that some family has."""
