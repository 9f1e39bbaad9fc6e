"""The rounds of a pruning: each cuts the model of the one before, and trains what it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import SettingsError, TrainingError
from limbeck.methods._empty import drop_empty_units
from limbeck.models import Model
from limbeck.recipes._cut import CUT, Cut, keep_cut
from limbeck.recipes._importance import Ranking, score_units
from limbeck.recipes._jobs import Job, run_jobs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.student import make_student_settings
from limbeck.recipes.prune.cutting import Schedule
from limbeck.recipes.prune.settings import PruneSettings
from limbeck.runs import FinetuneRecord, require_model_files
from limbeck.train import Progress, choose_device

LABEL = "pruned"
"""What reports call the model that comes of it."""
_NOT_FOR_ROUNDS: Mapping[str, Any] = {"initialise": "pretrained", "keep_layers": None, "start": ()}
"""Settings of `finetune` that would begin a round with another model than was cut."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round: a cut, and the training of what is left; or one of all, with masks, without a cut.

    Attributes:
        number: From 1.
        before: The round whose model it cuts; None for the first, which cuts the given one.
        job: The training of what is left.
        has_masks: Whether nothing is cut before it, and weights get masks in it.
    """

    number: int
    before: Round | None
    job: Job
    has_masks: bool = False

    @property
    def folder(self) -> Path:
        """Where its cut and its run are."""
        return self.job.folder.parent

    @property
    def settings(self) -> FinetuneSettings:
        """Of its training."""
        assert isinstance(self.job.settings, FinetuneSettings)
        return self.job.settings

    @property
    def _model(self) -> Path:
        return self.folder / CUT

    def cut(self, schedule: Schedule, data: TaskData, *, progress: Progress) -> None:
        """Writes the model of what stays, unless it was done before.

        Args:
            schedule: What each round leaves.
            data: The task's, as the given model reads them.
            progress: Where it reports.
        """
        if self.has_masks:
            return
        if Cut.exists(self.folder):
            remedy = f"remove {self.folder}, and the same command makes the round again"
            require_model_files(self._model, Cut.read(self.folder).model_files, remedy=remedy)
            return
        folder = data.folder if self.before is None else self.before.find_trained()
        model = data.task.load_model(folder, new_head=False)
        if self.before is not None and self.before.has_masks:
            small = drop_empty_units(model)
        else:
            small = self._cut_by_scores(model, schedule, data, progress)
        cut = keep_cut(self.folder, small, data.tokenizer, source=folder)
        progress.log(
            f"{self.job.name}: {sum(cut.num_heads):,} heads and {sum(cut.num_neurons):,} "
            f"neurons stay, {small.num_parameters:,} parameters"
        )

    def _cut_by_scores(
        self, model: Model, schedule: Schedule, data: TaskData, progress: Progress
    ) -> Model:
        """Returns what stays of a model by the importance of its units."""
        settings = schedule.settings
        model.to(choose_device(settings.device))
        ranking = make_ranking(settings, number=self.number)
        scores = score_units(model, ranking, data, progress=progress)
        units = schedule.choose(model, scores, number=self.number)
        return schedule.cut(model.cpu(), units, number=self.number)

    def find_trained(self) -> Path:
        """Returns the folder of what its training made, the best seed's.

        Raises:
            CheckpointError: If a file of it was changed.
        """
        folder = self.job.folder / "model"
        files = FinetuneRecord.read(self.job.folder).best.model_files
        remedy = f"remove {self.folder}, and the same command makes the round again"
        require_model_files(folder, files, remedy=remedy)
        return folder

    def train(self, *, progress: Progress) -> None:
        """Trains what is left, or goes on with it.

        Raises:
            SettingsError: If a setting of the training is wrong.
            TrainingError: If it has failed.
        """
        failures = run_jobs([self.job], num_workers=1, progress=progress)
        if failures:
            error_type = SettingsError if failures.are_of_settings else TrainingError
            raise error_type(f"a round failed: {failures}")


def make_ranking(settings: PruneSettings, *, number: int) -> Ranking:
    """Returns how a round tells heads and neurons apart.

    Args:
        settings: Of the run.
        number: Of the round, from 1; each draws other numbers by chance.
    """
    return Ranking(
        importance=settings.importance if settings.chooses_units else "norm",  # none is compared
        num_rows=settings.importance_rows,
        batch_size=settings.batch_size,
        seed=settings.seeds[0] + number,
        with_width=settings.width is not None,
    )


def list_rounds(settings: PruneSettings) -> list[Round]:
    """Returns the rounds in their order, each on the model of the one before.

    Raises:
        SettingsError: If a setting of their training is wrong.
    """
    found: list[Round] = []
    for number in range(1, settings.num_rounds + 1):
        before = found[-1] if found else None
        folder = settings.out / "rounds" / str(number)
        sparsity = settings.sparsity if number == 1 else None
        changes = {
            "model": str(folder / CUT) if sparsity is None else settings.model,
            "sparsify": None if sparsity is None else sparsity.model_dump(),
            "out": folder / "run",
            "label": LABEL,
            "new_head": False,
            **_NOT_FOR_ROUNDS,
            **({} if settings.distil else {"teacher": None, "teacher_cache": None}),
        }
        job = Job(
            name=f"round {number} of {settings.num_rounds}",
            recipe="finetune",
            settings=make_student_settings(settings, changes, recipe="prune"),
            after=None if before is None else before.job.name,
        )
        found.append(Round(number=number, before=before, job=job, has_masks=sparsity is not None))
    return found
