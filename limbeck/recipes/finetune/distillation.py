"""What `finetune` does before it learns from a teacher: checks, further rows, the teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from torch import Tensor

from limbeck.checkpoints import hash_model, resolve_folder
from limbeck.errors import SettingsError
from limbeck.losses import Loss, require_fit
from limbeck.models import AutoConfig, Model, ModelConfig
from limbeck.objectives import (
    CachedTeacher,
    LiveTeacher,
    TaskTeacher,
    TeacherOutputs,
    collected_for,
)
from limbeck.recipes._tasks.data import AUGMENTED, TaskData
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes._tasks.models import load_fine_tuned, match_labels, require_same_inputs
from limbeck.recipes._tasks.predictions import predict_logits
from limbeck.recipes.finetune.augmentation import Augmenter, Made, fill_again
from limbeck.recipes.finetune.data import trained_config
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teacher_cache import TeacherCache, hash_rows
from limbeck.tasks import EncodedExamples, Task
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.train import Progress, choose_device

_BATCHES_AT_A_TIME = 16
"""Batches of rows that are sorted by length together, between two signs of progress."""


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """A teacher that fits a student and its task, not loaded yet.

    Attributes:
        settings: Of the run.
        folder: The teacher's folder.
        config: The teacher's configuration.
        task: The task for the teacher, whose labels may stand in another order.
        tokenizer: The teacher's, which gives the ids that the student's gives.
        losses: What the student learns from it, by name.
        augmenter: Makes further rows, if asked for.
    """

    settings: FinetuneSettings
    folder: Path
    config: ModelConfig
    task: Task
    tokenizer: Tokenizer
    losses: Mapping[str, Loss]
    augmenter: Augmenter | None

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self | None:
        """Checks all that can be checked before anything is computed; None without a teacher.

        Raises:
            SettingsError: If the teacher has other tokens than the student, is too short, or does
                not fit a loss; if a setting needs a teacher and there is none.
            DataError: If its labels are not the task's.
            MissingHeadError: If it has no head, or another task's.
        """
        if settings.teacher is None:
            _refuse_without_teacher(settings)
            return None
        folder = resolve_folder(settings.teacher)
        config, tokenizer = (
            AutoConfig.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
        )
        name = f"the teacher {settings.teacher}"
        require_same_inputs(data, config, tokenizer, name=name)
        require_head(data.task, folder, name=settings.teacher, setting="teacher = ")
        task = match_labels(data.task, config, name=name)
        losses = build_task_losses(data.task, settings.losses)
        require_fit(losses, student=trained_config(settings, data), teacher=config)
        cache = settings.teacher_cache
        if cache is not None and cache.exists() and not cache.is_dir():
            raise SettingsError(f"teacher_cache = '{cache}' is a file; accepted: a folder")
        if cache is not None and not learns_from_logits(losses):
            needy = next(loss for loss in losses.values() if loss.needs != {"logits"})
            raise SettingsError(
                f"losses.{needy.name} compares the models' {', '.join(sorted(needy.needs))}, but "
                "teacher_cache keeps logits only; leave one of them out"
            )
        return cls(
            settings=settings,
            folder=folder,
            config=config,
            task=task,
            tokenizer=tokenizer,
            losses=losses,
            augmenter=None
            if settings.augment is None
            else Augmenter.prepare(settings.augment, data),
        )

    @property
    def copies(self) -> int:
        """Rows that are made of each training row."""
        return 0 if self.augmenter is None else self.augmenter.settings.copies

    def load(self, data: TaskData, progress: Progress) -> tuple[TaskData, TaskTeacher]:
        """Makes the further rows, and loads the teacher or its outputs.

        Returns:
            The data with the rows `augmented`, if asked for, and the teacher.
        """
        made: Made = []
        if self.augmenter is not None:
            path = self.settings.out / "augmented.jsonl"
            made = self.augmenter.make(path, data, progress=progress)
            rows = fill_again(data.examples["train"], made)
            data = replace(data, examples={**data.examples, AUGMENTED: rows})
        theirs = self._encode(data, made)
        outputs: TeacherOutputs
        if self.settings.teacher_cache is None:
            outputs = LiveTeacher(
                self.task,
                self._load_model(data),
                rows=theirs,
                pad_token_id=data.tokenizer.pad_token_id,
                collect=collected_for(self.losses),
            )
        else:
            cache = self._fill_cache(self.settings.teacher_cache, data, theirs, progress)
            outputs = CachedTeacher(cache.rows)
        return data, TaskTeacher(config=self.config, outputs=outputs, losses=self.losses)

    def _encode(self, data: TaskData, made: Made) -> EncodedExamples:
        """Returns the training rows as the teacher reads them, the student's own if it can."""
        if self.tokenizer.model_input_names == data.tokenizer.model_input_names:
            return data.training
        splits = [split for split in ("train", "transfer") if split in data.examples]
        parts = [data.encode_again(split, self.tokenizer) for split in splits]
        return EncodedExamples.join([*parts, *([fill_again(parts[0], made)] if made else [])])

    def _load_model(self, data: TaskData) -> Model:
        model = load_fine_tuned(data.task, self.folder, name=str(self.settings.teacher))
        return model.to(choose_device(self.settings.device))

    def _fill_cache(
        self, folder: Path, data: TaskData, rows: EncodedExamples, progress: Progress
    ) -> TeacherCache:
        settings = self.settings
        cache = TeacherCache(
            folder,
            fingerprint={
                "teacher": hash_model(self.folder),
                "task": data.task.name,
                "rows": hash_rows(rows),
                "precision": settings.precision,
                **({} if self.task.places is None else {"labels": "|".join(self.task.labels)}),
            },
            num_rows=len(rows),
        )
        model: Model | None = None

        def compute(start: int, end: int) -> Iterator[list[Tensor]]:
            nonlocal model
            if model is None:  # a cache that is complete needs no teacher
                model = self._load_model(data)
            step = settings.evaluation_batch_size * _BATCHES_AT_A_TIME
            for first in range(start, end, step):
                yield predict_logits(
                    self.task,
                    model,
                    rows[first : min(first + step, end)],
                    batch_size=settings.evaluation_batch_size,
                    pad_token_id=data.tokenizer.pad_token_id,
                    precision=settings.precision,
                )

        cache.fill(compute, progress=progress)
        return cache


def learns_from_logits(losses: Mapping[str, Loss]) -> bool:
    """Tells whether a teacher's logits are all that some losses need of it."""
    return all(loss.needs == {"logits"} for loss in losses.values())


def _refuse_without_teacher(settings: FinetuneSettings) -> None:
    without = "but there is none; give teacher=MODEL, fine-tuned on this task"
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
    if settings.augment is not None:
        raise SettingsError(f"augment makes texts that a teacher labels, {without}")
    if isinstance(settings.data, dict) and "transfer" in settings.data:
        raise SettingsError(f"data.transfer is text that a teacher labels, {without}")
