"""More epochs than a fine-tuning was begun with: which of its steps still count.

The result is that of a run that was asked for all of them at once. Where neither the learning
rates of the steps that were made nor the validations among them depend on how many epochs there
are, the run goes on after them; elsewhere they are made again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from limbeck.errors import SettingsError
from limbeck.recipes.finetune.best import is_evaluation_due
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.runs import RunRecord, SeedRecord
from limbeck.train import Progress, TrainState, peek_state

EPOCHS = "epochs"
"""What a checkpoint calls the epochs that its run was asked for."""


def asks_for_more_epochs(settings: FinetuneSettings) -> bool:
    """Tells whether the run folder holds a run of fewer epochs, which can be made more.

    Raises:
        DataError: If the folder's records can't be read.
        SettingsError: If a seed of it was finished by a version that noted no epochs.
    """
    if not RunRecord.exists(settings.out):
        return False
    before = RunRecord.read(settings.out).settings.get("epochs")
    if not isinstance(before, int | float) or before >= settings.epochs:
        return False
    for seed in settings.seeds:
        folder = settings.out / f"seed-{seed}"
        if SeedRecord.exists(folder) and SeedRecord.read(folder).epochs_asked is None:
            raise SettingsError(
                f"epochs was {before:g}, now {settings.epochs:g}, but {folder} was finished by a "
                "version of Limbeck that did not note its epochs; give another out=..., or the "
                f"same epochs={before:g}"
            )
    return True


def drop_steps_of_shorter_run(
    checkpoints: Path,
    settings: FinetuneSettings,
    *,
    steps_per_epoch: int,
    seed: int,
    progress: Progress,
) -> None:
    """Removes checkpoints whose steps or validations would not have been those of a longer run."""
    state = peek_state(checkpoints)
    before = None if state is None else state.extra.get(EPOCHS)
    if state is None or before is None or before == settings.epochs:
        return
    if not settings.fits_any_length:
        reason = explain_rates(settings)
    elif not _ends_with_due_validation(state, settings, steps_per_epoch=steps_per_epoch):
        reason = (
            f"Its end was validated, after step {state.step}, and {settings.epochs:g} epochs have "
            "no validation there; after whole epochs a run would go on"
        )
    else:
        return
    shutil.rmtree(checkpoints)
    progress.log(f"seed {seed}: its steps for {before:g} epochs are made again. {reason}")


def _ends_with_due_validation(
    state: TrainState, settings: FinetuneSettings, *, steps_per_epoch: int
) -> bool:
    """Tells whether the last validation was due, or was made only since the run ended there."""
    step = state.extra.get("evaluated_step", 0)
    return step < 1 or is_evaluation_due(
        step, steps_per_epoch=steps_per_epoch, per_epoch=settings.evaluations_per_epoch
    )


def explain_rates(settings: FinetuneSettings) -> str:
    """Says why steps are made again, and with which settings they would not be."""
    if settings.sparsify is not None:
        return f"For {settings.epochs:g} epochs other steps prune, and less or more in each"
    return (
        f"For {settings.epochs:g} epochs the learning rate is another from the first step on; "
        "with schedule.decay=constant and schedule.warmup_ratio=0 a run would go on"
    )
