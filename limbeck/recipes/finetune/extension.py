"""More epochs than a fine-tuning was begun with: which of its steps still count.

The result is that of a run that was asked for all of them at once. Where the learning rates of the
steps that were made do not depend on how many epochs there are, the run goes on after them;
elsewhere they are made again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from limbeck.errors import SettingsError
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.runs import RunRecord, SeedRecord
from limbeck.train import Progress, peek_state

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


def drop_steps_of_other_rates(
    checkpoints: Path, settings: FinetuneSettings, *, seed: int, progress: Progress
) -> None:
    """Removes checkpoints whose steps had other learning rates than they would have now."""
    state = peek_state(checkpoints)
    before = None if state is None else state.extra.get(EPOCHS)
    if before is None or before == settings.epochs or settings.schedule.fits_any_length:
        return
    shutil.rmtree(checkpoints)
    progress.log(
        f"seed {seed}: its steps for {before:g} epochs are made again. {explain_rates(settings)}"
    )


def explain_rates(settings: FinetuneSettings) -> str:
    """Says why steps are made again, and with which settings they would not be."""
    return (
        f"For {settings.epochs:g} epochs the learning rate is another from the first step on; "
        "with schedule.decay=constant and schedule.warmup_ratio=0 a run would go on"
    )
