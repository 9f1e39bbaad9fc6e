"""Exits: heads on a frozen model's inner layers, which learn its answers and the labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.losses import Compared, Loss, Views
from limbeck.models import EarlyExitModel
from limbeck.nn import ModelOutput
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.objectives._objective import Prepared
from limbeck.objectives.task import TaskRows
from limbeck.tasks import Task, TaskBatch

_LABELS = "task"
"""What the loss against the labels is called among the terms."""
_EXAMPLES, _LABELLED = "examples", "labelled examples"


class ExitObjective(nn.Module):
    """Every exit's losses against the labels and against the model's own logits, added up.

    The model is frozen, and runs as it is evaluated; so what an exit learns hangs on no other exit.
    Labels count as they do in `TaskObjective`.

    Args:
        task: The task, which says what rows of logits are compared.
        model: Whose exits are trained; its other weights are frozen here.
        losses: Against the model's logits, by name.
        label_weight: Weight of the loss against the labels.

    Raises:
        SettingsError: If a loss looks at more than logits.

    Source:
        Liu et al., "FastBERT", 2020, https://arxiv.org/abs/2004.02178, section 3.2.2: branches
        learn the distribution of the frozen backbone's own classifier.
    """

    def __init__(
        self,
        task: Task,
        model: EarlyExitModel,
        *,
        losses: Mapping[str, Loss],
        label_weight: float,
    ) -> None:
        super().__init__()
        require_logits_alone(losses)
        self.model = model
        model.eval().model.requires_grad_(requires_grad=False)
        model.exits.train()
        self._task = task
        self._settings = dict(losses)
        self._losses = {
            name: loss.build(model.config, model.config) for name, loss in losses.items()
        }
        self._label_weight = label_weight

    def prepare(self, batch: TaskBatch) -> Prepared[TaskBatch, TaskRows]:
        """Finds what each term is averaged over."""
        is_labelled = batch.labels is not None
        counts = {
            _LABELS: self._task.loss_count(batch) if is_labelled else 0,
            _EXAMPLES: batch.num_examples,
            _LABELLED: batch.num_examples if is_labelled else 0,
            **dict.fromkeys(self._losses, self._task.num_distributions(batch)),
        }
        rows = TaskRows(real=None, counted=self._task.counted(batch))
        return Prepared(batch=batch, rows=rows, counts=counts)

    def forward(
        self, prepared: Prepared[TaskBatch, TaskRows], counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the batch's share of the step's loss, and of each term's mean over exits."""
        batch = prepared.batch
        *scores, last = self.model.score_all(**batch.inputs())
        taught = self._rows(last, prepared)
        total = last.new_zeros(())
        terms = {name: last.new_zeros(()) for name in (_LABELS, *self._losses)}
        for of_exit in scores:
            for name, share in self._shares(of_exit, taught, prepared, counts).items():
                weight = self._label_weight if name == _LABELS else self._settings[name].weight
                total = total + weight * share
                terms[name] = terms[name] + share.detach() / len(scores)
        return total, terms

    def _shares(
        self,
        scores: Tensor,
        taught: Tensor,
        prepared: Prepared[TaskBatch, TaskRows],
        counts: Mapping[str, int],
    ) -> dict[str, Tensor]:
        batch, found = prepared.batch, {}
        if batch.labels is not None:
            share = self._task.loss_sum(self._logits(scores, batch), batch)
            of_all = counts[_LABELLED] / counts[_EXAMPLES]
            found[_LABELS] = share / max(counts[_LABELS], 1) * of_all
        learned = self._rows(scores, prepared)
        seen = Compared(
            student=Views(logits=learned),
            teacher=Views(logits=taught),
            labels=torch.full((len(learned),), IGNORE_INDEX, device=learned.device),
        )
        return found | {
            name: loss(seen) / max(counts[name], 1) for name, loss in self._losses.items()
        }

    def _rows(self, scores: Tensor, prepared: Prepared[TaskBatch, TaskRows]) -> Tensor:
        logits = self._logits(scores, prepared.batch)
        return self._task.distributions(logits, prepared.rows.counted)

    def _logits(self, scores: Tensor, batch: TaskBatch) -> Tensor:
        output = ModelOutput(last_hidden_state=scores.new_empty(0), logits=scores)
        return self._task.logits(output, batch)


def require_logits_alone(losses: Mapping[str, Loss]) -> None:
    """Refuses losses that look at more of a model than its logits.

    Raises:
        SettingsError: Names the first.
    """
    for name, loss in losses.items():
        if loss.needs != {"logits"}:
            raise SettingsError(
                f"losses.{name} compares {', '.join(sorted(loss.needs))}, and an exit gives logits "
                "alone; accepted: losses on logits, such as soft_targets, logit_mse"
            )
