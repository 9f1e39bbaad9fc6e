"""What `finetune` does before it learns from a teacher: checks, further rows, the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from limbeck.errors import SettingsError
from limbeck.losses import Loss, require_fit
from limbeck.models import ModelConfig
from limbeck.objectives import CachedTeacher, TaskTeacher, TeacherOutputs
from limbeck.recipes._tasks.data import AUGMENTED, TaskData
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes.finetune.augmentation import Augmenter, Made, fill_again
from limbeck.recipes.finetune.data import trained_config
from limbeck.recipes.finetune.intermediate import build_layer_losses
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers import Teacher, find_teacher
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """A teacher that fits a student and its task, and what is learned from it.

    Attributes:
        settings: Of the run.
        teacher: Not loaded yet.
        losses: What the student learns from it, by name.
        intermediate: What it learns from it before that, of its layers; nothing without this phase.
        augmenter: Makes further rows, if asked for.
    """

    settings: FinetuneSettings
    teacher: Teacher
    losses: Mapping[str, Loss]
    intermediate: Mapping[str, Loss]
    augmenter: Augmenter | None

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self | None:
        """Checks all that can be checked before anything is computed; None without a teacher.

        Raises:
            SettingsError: If the teacher can't teach this student or does not fit a loss; if a
                setting needs a teacher and there is none.
            DataError: If its labels are not the task's, or what it says can't be used.
            MissingHeadError: If it has no head, or another task's.
        """
        if settings.teacher is None:
            _refuse_without_teacher(settings)
            return None
        teacher = find_teacher(settings, data)
        losses = build_task_losses(data.task, settings.losses, default=teacher.default_loss)
        teacher.require_losses(losses)
        student = trained_config(settings, data)
        require_fit(losses, student=student, teacher=teacher.config)
        cache = settings.teacher_cache
        if cache is not None and cache.exists() and not cache.is_dir():
            raise SettingsError(f"teacher_cache = '{cache}' is a file; accepted: a folder")
        return cls(
            settings=settings,
            teacher=teacher,
            losses=losses,
            intermediate=_prepare_layers(teacher, data, student=student),
            augmenter=None
            if settings.augment is None
            else Augmenter.prepare(settings.augment, data),
        )

    @property
    def copies(self) -> int:
        """Rows that are made of each training row."""
        return 0 if self.augmenter is None else self.augmenter.settings.copies

    def load(
        self, data: TaskData, progress: Progress
    ) -> tuple[TaskData, TaskTeacher, TaskTeacher | None]:
        """Makes the further rows, and loads the teacher or its outputs.

        Returns:
            The data with the rows `augmented`, if asked for, the teacher, and that of the phase
            before if there is one.
        """
        data = self.teacher.keep_rows(data, progress)
        made: Made = []
        if self.augmenter is not None:
            path = self.settings.out / "augmented.jsonl"
            made = self.augmenter.make(path, data, progress=progress)
            rows = fill_again(data.examples["train"], made, special=data.tokenizer.all_special_ids)
            data = replace(data, examples={**data.examples, AUGMENTED: rows})
        every = {**self.losses, **self.intermediate}
        outputs = self.teacher.load(data, made, losses=every, progress=progress)
        teacher = self._teach(data, outputs, self.losses)
        phase = self.settings.of_intermediate()
        if phase is None:
            return data, teacher, None
        if isinstance(outputs, CachedTeacher):  # which has logits, and no layers
            live = replace(self.teacher, settings=phase)
            outputs = live.load(data, made, losses=every, progress=progress)
        return data, teacher, self._teach(data, outputs, self.intermediate)

    def _teach(
        self, data: TaskData, outputs: TeacherOutputs, losses: Mapping[str, Loss]
    ) -> TaskTeacher:
        return TaskTeacher(
            config=self.teacher.config,
            outputs=outputs,
            losses=losses,
            alignment=self.teacher.align(data, losses),
        )


def _prepare_layers(
    teacher: Teacher, data: TaskData, *, student: ModelConfig
) -> Mapping[str, Loss]:
    """Returns what is learned before labels and logits, if anything is."""
    phase = teacher.settings.of_intermediate()
    if phase is None:
        return {}
    if teacher.gives == {"logits"}:
        raise SettingsError(
            f"intermediate learns a teacher's layers, but teacher = {teacher.name} is "
            f"{teacher.about}, which gives logits only; leave intermediate out, or give one model"
        )
    try:
        losses = build_layer_losses(phase, data.task)
        replace(teacher, settings=phase).require_losses(losses)
        require_fit(losses, student=student, teacher=teacher.config)
    except SettingsError as error:
        raise SettingsError(f"intermediate: {error}") from error
    return losses


def learns_from_logits(losses: Mapping[str, Loss]) -> bool:
    """Tells whether a teacher's logits are all that some losses need of it."""
    return all(loss.needs == {"logits"} for loss in losses.values())


def _refuse_without_teacher(settings: FinetuneSettings) -> None:
    without = "but there is none; give teacher=MODEL, fine-tuned on this task"
    if settings.intermediate is not None:
        raise SettingsError(f"intermediate learns a teacher's layers, {without}")
    if settings.losses:
        raise SettingsError(
            f"losses.{next(iter(settings.losses))} compares with a teacher, {without}"
        )
    if settings.label_weight == 0:
        raise SettingsError(f"label_weight = 0 learns from a teacher alone, {without}")
    if settings.teacher_cache is not None:
        raise SettingsError(
            f"teacher_cache = '{settings.teacher_cache}' keeps a teacher's logits, {without}"
        )
    if settings.teacher_options:
        name = next(iter(settings.teacher_options))
        raise SettingsError(f"teacher_options.{name} is a teacher's, {without}")
    if settings.augment is not None:
        raise SettingsError(f"augment makes texts that a teacher labels, {without}")
    if isinstance(settings.data, dict) and "transfer" in settings.data:
        raise SettingsError(f"data.transfer is text that a teacher labels, {without}")
