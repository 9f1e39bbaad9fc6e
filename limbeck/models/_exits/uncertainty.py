"""How unsure a head is of what it answers: 0 is sure, of classes 1 knows nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from limbeck.checkpoints.exits import Uncertainty
from limbeck.errors import SettingsError
from limbeck.models._config import ModelConfig
from limbeck.nn import at_least_float32

Measure = Callable[[Tensor, Tensor | None, str], Tensor]
"""From answers of some rows, those of the exit before, and the kind of problem to a number a row.
"""


def find_problem(config: ModelConfig) -> str:
    """Returns which of `PROBLEM_TYPES` a classifier or regressor answers."""
    if config.problem_type is not None:
        return config.problem_type
    return "regression" if config.num_labels == 1 else "single_label_classification"


def to_answers(scores: Tensor, problem: str) -> Tensor:
    """Returns a head's scores as probabilities, or as the numbers that they are.

    Shape: (rows, num_scores), the same as the result; in float32 at least.
    """
    scores = at_least_float32(scores)
    if problem == "regression":
        return scores
    return scores.softmax(-1) if problem == "single_label_classification" else scores.sigmoid()


def _entropy(answers: Tensor, before: Tensor | None, problem: str) -> Tensor:  # noqa: ARG001
    """Returns the entropy over that of a uniform distribution; of several labels the highest.

    Source:
        Xin et al., "DeeBERT", 2020, https://arxiv.org/abs/2004.12993, section 3.2; divided by its
        maximum: Liu et al., "FastBERT", 2020, https://arxiv.org/abs/2004.02178, equation 5.
    """
    entropy: Tensor = torch.special.entr(answers)
    if problem == "multi_label_classification":
        both: Tensor = entropy + torch.special.entr(1 - answers)
        return both.amax(-1) / math.log(2)
    return entropy.sum(-1) / math.log(answers.shape[-1])


def _improbability(answers: Tensor, before: Tensor | None, problem: str) -> Tensor:  # noqa: ARG001
    """Returns how much the most probable answer lacks to 1; of several labels the most."""
    if problem == "multi_label_classification":
        return torch.minimum(answers, 1 - answers).amax(-1)
    return 1 - answers.amax(-1)


def _change(answers: Tensor, before: Tensor | None, problem: str) -> Tensor:  # noqa: ARG001
    """Returns by how much an answer differs from the exit before; without one there, by infinity.

    Source:
        Zhou et al., "BERT Loses Patience", 2020, https://arxiv.org/abs/2006.04152, section 3.2, of
        numbers, with a patience of 1.
    """
    if before is None:
        return answers.new_full(answers.shape[:-1], math.inf)
    return (answers - before).abs().amax(-1)


MEASURES: Final[Mapping[str, Measure]] = {
    "entropy": _entropy,
    "probability": _improbability,
    "change": _change,
}


def usual_uncertainty(config: ModelConfig) -> Uncertainty:
    """Returns the measure that is taken of a model where nobody names one."""
    return "change" if find_problem(config) == "regression" else "entropy"


def require_measure(name: str, problem: str, *, num_exits: int) -> None:
    """Refuses a measure that says nothing of a model's answers.

    Raises:
        SettingsError: If so.
    """
    if problem == "regression" and name != "change":
        raise SettingsError(
            f"uncertainty = '{name}' is of probabilities, and the model predicts numbers; accepted:"
            " change, by how much a number differs from that of the exit before"
        )
    if name == "change" and num_exits < 2:
        raise SettingsError(
            "uncertainty = 'change' compares an exit with the one before, and there is one exit "
            "alone; accepted: two layers or more"
            + ("" if problem == "regression" else ", or another uncertainty: entropy, probability")
        )
