"""The loss of a model against labels, as `transformers` computes it: for loops of one's own.

Limbeck's own training does not use it: it adds up sums and counts (`limbeck.objectives`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.models._config import ModelConfig
from limbeck.models._kinds import Kind
from limbeck.nn.constants import IGNORE_INDEX

_LABELS, _SPAN = ("labels",), ("start_positions", "end_positions")


def compute_loss(
    kind: Kind,
    config: ModelConfig,
    scores: Mapping[str, Tensor],
    given: Mapping[str, Tensor | None],
    *,
    mask: Tensor | None = None,
) -> Tensor | None:
    """Returns the mean loss of a batch; None where no labels are given.

    Args:
        kind: The kind of model.
        config: Its configuration: the number of labels and the kind of problem.
        scores: What the head gave, by the output's fields.
        given: `labels`, `start_positions` and `end_positions`.
        mask: 1 for the tokens that count where each has a yes or no, (batch, sequence).

    Raises:
        SettingsError: If the model has no head, needs other labels, or has other shapes.

    Source:
        `transformers`' `ForSequenceClassificationLoss`, `ForQuestionAnsweringLoss` and so on.
    """
    targets = {name: value for name, value in given.items() if value is not None}
    if not targets:
        return None
    needed = _SPAN if "start_logits" in scores else _LABELS if scores else ()
    if set(targets) != set(needed):
        what = "no head, and so no loss" if not needed else f"a loss against {', '.join(needed)}"
        raise SettingsError(
            f"the model was given {', '.join(targets)}, and has {what}; accepted: "
            f"{', '.join(needed) or 'inputs alone'}"
        )
    if needed == _SPAN:
        return _span_loss(scores, targets)
    logits, labels = scores["logits"], targets["labels"]
    if kind.finds_replaced:
        _require_shape(labels, logits.shape)
        kept = labels != IGNORE_INDEX if mask is None else (labels != IGNORE_INDEX) & (mask == 1)
        return F.binary_cross_entropy_with_logits(logits[kept], labels[kept].to(logits.dtype))
    problem = _find_problem(kind, config, labels)
    if problem != "single_label_classification":
        size = logits.shape if config.num_labels > 1 else logits.shape[:1]
        _require_shape(labels.squeeze(-1) if len(size) == 1 < labels.dim() else labels, size)
        labels = labels.to(logits.dtype).reshape(logits.shape)
        if problem == "regression":
            return F.mse_loss(logits, labels)
        return F.binary_cross_entropy_with_logits(logits, labels)
    _require_shape(labels, logits.shape[:-1])
    if kind.predicts_next:
        logits, labels = logits[:, :-1], labels[:, 1:]
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, labels.reshape(-1), ignore_index=IGNORE_INDEX)


def _find_problem(kind: Kind, config: ModelConfig, labels: Tensor) -> str:
    """Returns the kind of problem, by the labels where the configuration does not say it."""
    if kind.has_choices or not kind.reads_sequence:
        return "single_label_classification"
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return "regression"
    is_whole = labels.dtype in (torch.int64, torch.int32)
    return "single_label_classification" if is_whole else "multi_label_classification"


def _span_loss(scores: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    length = scores["start_logits"].shape[1]
    parts = []
    for end in ("start", "end"):
        places = targets[f"{end}_positions"].reshape(-1).clamp(0, length)  # beyond it: no answer
        parts.append(F.cross_entropy(scores[f"{end}_logits"], places, ignore_index=length))
    return (parts[0] + parts[1]) / 2


def _require_shape(labels: Tensor, shape: torch.Size) -> None:
    if labels.shape != shape:
        raise SettingsError(f"labels have the shape {tuple(labels.shape)}; expected {tuple(shape)}")
