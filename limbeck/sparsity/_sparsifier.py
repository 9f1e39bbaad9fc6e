"""The masks of a model under training: put on, set after each step, folded in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.models import Model
from limbeck.sparsity._linears import list_linears
from limbeck.sparsity._mask import MaskedLinear
from limbeck.sparsity._settings import SparsitySettings
from limbeck.train import Constraint, fold_all


class Sparsifier(Constraint[Model]):
    """Prunes a model's weights while it is trained.

    Pruned are linear layers of the encoder's layers; embeddings, norms, biases, pooler and head are
    not. The masks are part of the model from here on, and their scores are parameters of it.

    Args:
        model: Gets the masks, in place.
        settings: Of the method.
        num_steps: Steps of the run.
        seed: Decides what is drawn in each step.
    """

    def __init__(
        self, model: Model, settings: SparsitySettings, *, num_steps: int, seed: int
    ) -> None:
        self.settings = settings
        self._model = model
        self._num_steps = num_steps
        self._seed = seed
        self._layers: list[MaskedLinear] = []
        masks = settings.build_masks(model)
        for parent, name, linear in list(list_linears(model)):
            if linear in masks:
                masked = MaskedLinear(linear, masks[linear])
                setattr(parent, name, masked.train(linear.training))
                self._layers.append(masked)
        self._left = 1.0
        self.advance(0)

    @torch.no_grad()
    def advance(self, step: int) -> None:
        """Sets the masks to what they are after a step: a function of it, scores and weights.

        Args:
            step: Steps made.
        """
        self._left = self.settings.left_at(step, self._num_steps)
        generator = torch.Generator(self._model.device).manual_seed(_mix(self._seed, step))
        self.settings.set_masks(self._layers, left=self._left, generator=generator)

    def is_final(self, step: int) -> bool:
        """Tells whether nothing more is pruned after a step."""
        return self.settings.left_at(step, self._num_steps) == 0

    def penalty(self) -> Tensor | None:
        """Returns what a step's loss is more by, with gradient, a scalar; None if nothing is."""
        return self.settings.penalise(self._layers, left=self._left)

    def rates(self) -> Mapping[nn.Parameter, float]:
        """Returns what masks have to train, such as scores, with its peak learning rate."""
        rate = self.settings.rate_of_scores
        trained = [each for layer in self._layers for each in layer.mask.parameters()]
        return {} if rate is None else dict.fromkeys(trained, rate)

    def fold(self) -> Model:
        """Returns a plain copy of the model, with the masks as zeros in its weights."""
        return fold_all(self._model)


def require_prunable(model: Model, settings: SparsitySettings) -> None:
    """Refuses a model that a method can't prune.

    Raises:
        SettingsError: If its encoder has no linear layer within a layer, or the method says so.
    """
    if next(list_linears(model), None) is None:
        raise SettingsError(
            f"sparsify prunes the linear layers of an encoder's layers, and this "
            f"{type(model).__name__} has {model.config.num_hidden_layers} layers without any; "
            "accepted: a model with layers, or leave sparsify out"
        )
    settings.build_masks(model)


def measure_density(model: Model) -> float:
    """Returns the share of the prunable weights of a plain model that is not zero."""
    weights = [linear.weight for _, _, linear in list_linears(model)]
    return sum(int(each.count_nonzero()) for each in weights) / sum(
        each.numel() for each in weights
    )


def _mix(seed: int, step: int) -> int:
    """Returns one number of both, as a generator takes it."""
    digest = hashlib.blake2b(f"{seed} {step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
