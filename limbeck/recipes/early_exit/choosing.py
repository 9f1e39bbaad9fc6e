"""What leaving earlier costs: the score at every bound, and the bound that keeps enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.models import EarlyExitModel
from limbeck.nn import ModelOutput
from limbeck.recipes._tasks.data import TaskData
from limbeck.tasks import evaluation_batches
from limbeck.train import Progress, autocast

_MOST_BOUNDS = 60
"""Bounds that are tried: as close as 872 examples tell apart, and a second's work."""


@dataclass(frozen=True)
class Outcome:
    """What comes of a bound on some examples.

    Attributes:
        bound: The bound.
        mean_layers: Layers that a row runs through on average.
        score: The main metric.
    """

    bound: float
    mean_layers: float
    score: float


@dataclass(frozen=True)
class Answers:
    """What every exit, and then the model itself, says of the examples of a split.

    Attributes:
        model: The model.
        data: The examples, a split alone.
        logits: Of each exit and of the model, (rows, width) each, in the order of the rows.
    """

    model: EarlyExitModel
    data: TaskData
    logits: tuple[Tensor, ...]

    @classmethod
    def of(cls, model: EarlyExitModel, data: TaskData, *, progress: Progress) -> Answers:
        """Runs the model over the only split of some data, nobody leaving.

        Args:
            model: The model, evaluated.
            data: The examples.
            progress: Where it is shown.
        """
        (encoded,) = data.examples.values()
        found: list[tuple[Tensor, ...]] = [()] * len(encoded)
        with (
            torch.inference_mode(),
            progress.stage("Asking every exit", total=len(encoded), unit="row") as stage,
        ):
            for batch in evaluation_batches(
                data.task,
                encoded,
                batch_size=data.settings.evaluation_batch_size,
                pad_token_id=data.tokenizer.pad_token_id,
            ):
                on_device = batch.to(model.device)
                with autocast(model.device, data.settings.precision):
                    every = model.score_all(**on_device.inputs())
                logits = [
                    data.task.logits(
                        ModelOutput(last_hidden_state=scores.new_empty(0), logits=scores), on_device
                    ).cpu()
                    for scores in every
                ]
                for place, *row in zip(batch.positions, *logits, strict=True):
                    found[place] = tuple(row)
                stage.advance(len(batch.positions))
        return cls(model, data, tuple(map(torch.stack, zip(*found, strict=True))))

    def list_bounds(self) -> list[float]:
        """Returns bounds to try, from the one by which nobody leaves up.

        They are round numbers, between what was measured: a row that was on a bound would leave or
        stay by the last bit of what it is computed beside.
        """
        doubts = torch.cat(self.model.doubts(self.logits))
        doubts = doubts[doubts.isfinite()].double()
        cuts = torch.linspace(0, 1, _MOST_BOUNDS, dtype=torch.float64)
        found = torch.quantile(doubts, cuts).tolist() if len(doubts) else []
        return sorted({0.0, *(float(f"{bound:.4g}") for bound in found)})

    def choose(self, bound: float) -> Tensor:
        """Returns by which exit each row leaves; see `EarlyExitModel.choose`."""
        return self.model.choose(self.logits, bound=bound)

    def try_bound(self, bound: float) -> Outcome:
        """Returns what comes of a bound."""
        chosen = self.choose(bound)
        rows = torch.stack(self.logits)[chosen, torch.arange(len(chosen))]
        ((name, encoded),) = self.data.examples.items()
        task, split = self.data.task, self.data.task.splits[name]
        score = task.score(split, task.predict(split, encoded, list(rows)))[task.metric]
        layers = torch.tensor([*self.model.info.layers, self.model.model.encoder.num_layers])
        return Outcome(bound, float(layers[chosen].double().mean()), score)


def choose_outcome(outcomes: Sequence[Outcome], *, retain: float) -> Outcome:
    """Returns the outcome of the highest bound up to which all keep enough.

    One beyond a bound that loses too much would owe it to chance.

    Args:
        outcomes: By bound, from the one by which nobody leaves up.
        retain: Share of the score of the first that is enough.

    Example:
        >>> tried = [Outcome(0.0, 6.0, 0.9), Outcome(0.1, 4.0, 0.9), Outcome(0.2, 3.0, 0.8)]
        >>> choose_outcome([*tried, Outcome(0.3, 2.0, 0.9)], retain=0.99).bound
        0.1
    """
    chosen = outcomes[0]
    for outcome in outcomes[1:]:
        if outcome.score < retain * outcomes[0].score:
            break
        chosen = outcome
    return chosen
