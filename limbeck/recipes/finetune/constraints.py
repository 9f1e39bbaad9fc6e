"""What the weights of a fine-tuning are held to, by its settings."""

from __future__ import annotations

from limbeck.export import Quantiser, load_trained, require_quantisable
from limbeck.models import Model
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.sparsity import Sparsifier, require_prunable
from limbeck.train import Constraint


def constrain(
    model: Model, settings: FinetuneSettings, *, num_steps: int | None, seed: int
) -> Constraint[Model] | None:
    """Puts the constraint of the settings on a model, in place; None if they have none.

    Args:
        model: What is trained.
        settings: Of the run.
        num_steps: Steps of the run; None where time bounds them.
        seed: Decides what is drawn in each step.
    """
    if settings.sparsify is not None:
        assert num_steps is not None, "it is refused with a bound of minutes"
        return Sparsifier(model, settings.sparsify, num_steps=num_steps, seed=seed)
    if settings.quantise is not None:
        return Quantiser(
            model,
            load_trained(settings.quantise.weights),
            narrows_inputs=settings.quantise.narrows_inputs,
        )
    return None


def require_constrainable(model: Model, settings: FinetuneSettings) -> None:
    """Refuses a model whose weights can't be held to what the settings ask for.

    Raises:
        SettingsError: If there are none to prune, or some that can't be trained on a grid.
    """
    if settings.sparsify is not None:
        require_prunable(model, settings.sparsify)
    if settings.quantise is not None:
        require_quantisable(model)
