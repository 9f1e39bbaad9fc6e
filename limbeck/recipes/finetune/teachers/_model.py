"""Teachers that are models: run beside the student, or once for all with their logits on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, get_args

from torch import Tensor

from limbeck.checkpoints import hash_model, require_weights, resolve_folder
from limbeck.errors import SettingsError
from limbeck.losses import Loss, View
from limbeck.models import AnyModel, ModelConfig
from limbeck.objectives import Alignment, CachedTeacher, LiveTeacher, TeacherOutputs
from limbeck.recipes._tasks.data import AUGMENTED, TaskData, read_inputs
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.models import load_fine_tuned, match_labels, require_positions
from limbeck.recipes._tasks.predictions import predict_logits
from limbeck.recipes.finetune.augmentation import Made, fill_again
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teacher_cache import TeacherCache, hash_rows
from limbeck.recipes.finetune.teachers._across import (
    OF_TOKENS,
    require_losses_across,
    require_one_row_each,
    write_out,
)
from limbeck.recipes.finetune.teachers._teacher import Teacher
from limbeck.tasks import EncodedExamples, Spans, Task
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress, choose_device

_BATCHES_AT_A_TIME = 16
"""Batches of rows that are sorted by length together, between two signs of progress."""


@dataclass(frozen=True, kw_only=True)
class ModelTeacher(Teacher):
    """A model that reads the student's rows.

    Attributes:
        folder: Its folder.
        task: The task for the teacher, whose labels may stand in another order.
        tokenizer: The teacher's.
        is_other_vocabulary: Whether it gives other ids than the student's, so that each model reads
            its own form of the same examples.
    """

    gives: ClassVar[frozenset[View]] = frozenset(get_args(View))
    about: ClassVar[str] = "a model"

    config: ModelConfig
    folder: Path
    task: Task
    tokenizer: Tokenizer
    is_other_vocabulary: bool

    def require_losses(self, losses: Mapping[str, Loss]) -> None:
        """Refuses losses on what it can't give, or not for another vocabulary's tokens.

        Raises:
            SettingsError: Names the loss and why.
        """
        super().require_losses(losses)
        needy = [loss for loss in losses.values() if loss.needs != {"logits"}]
        if self.settings.teacher_cache is not None and needy:
            raise SettingsError(
                f"losses.{needy[0].name} compares the models' {', '.join(sorted(needy[0].needs))}, "
                "but teacher_cache keeps logits only; leave one of them out"
            )
        if self.is_other_vocabulary:
            require_losses_across(losses, self.task, name=f"the teacher {self.name}")

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self:
        """Checks that it can read the student's rows and was fine-tuned on the task."""
        (teacher,) = settings.teachers
        folder = resolve_folder(teacher)
        require_weights(folder)
        config, tokenizer = read_inputs(folder, any_family=True)
        name = f"the teacher {teacher}"
        require_positions(data, config, name=name)
        if tokenizer.vocab_size > config.vocab_size:
            raise SettingsError(
                f"{name}: its tokenizer has {tokenizer.vocab_size} pieces, but it embeds "
                f"{config.vocab_size}; use the tokenizer that it was trained with"
            )
        require_head(data.task, folder, name=teacher, setting="teacher = ")
        return cls(
            settings=settings,
            folder=folder,
            config=config,
            task=match_labels(data.task, config, name=name),
            tokenizer=tokenizer,
            is_other_vocabulary=not data.has_vocabulary_of(tokenizer),
        )

    def load_model(self, data: TaskData, losses: Mapping[str, Loss]) -> AnyModel:  # noqa: ARG002
        """Loads the model, with the head that the task needs, to the run's device."""
        model = load_fine_tuned(data.task, self.folder, name=self.name)
        return model.to(choose_device(self.settings.device))

    def fingerprint(self) -> str:
        """Returns the checksum of all that decides the model's logits."""
        return hash_model(self.folder)

    def load(
        self,
        data: TaskData,
        made: Made,
        *,
        losses: Mapping[str, Loss],
        progress: Progress,
    ) -> TeacherOutputs:
        """Returns the model, or its logits, computed or read from the cache."""
        rows = self._encode(data, made)
        if self.settings.teacher_cache is not None:
            cache = self._fill_cache(self.settings.teacher_cache, data, rows, losses, progress)
            return CachedTeacher(cache.rows)
        return LiveTeacher(
            self.task,
            self.load_model(data, losses),
            rows=rows,
            pad_token_id=self.tokenizer.pad_token_id,
        )

    def _encode(self, data: TaskData, made: Made) -> EncodedExamples:
        """Returns the training rows as the teacher reads them, the student's own if it can."""
        if data.reads_alike(self.tokenizer):
            return data.training
        parts = [data.encode_again(split, self.tokenizer) for split in _splits(data)]
        if not self.is_other_vocabulary:
            if made:
                special = self.tokenizer.all_special_ids
                parts.append(fill_again(parts[0], made, special=special))
            return EncodedExamples.join(parts)
        for split, rows in zip(_splits(data), parts, strict=True):
            require_one_row_each(split, data.examples[split], rows)
        if made:
            texts = write_out(data, made)
            parts.append(
                self.task.encode(texts, self.tokenizer, max_length=self.settings.max_length)
            )
        return EncodedExamples.join(parts)

    def align(self, data: TaskData, losses: Mapping[str, Loss]) -> Alignment | None:
        """Returns where both models' tokens stand, if they differ and a loss looks at tokens."""
        names = [name for name, loss in losses.items() if loss.needs & OF_TOKENS]
        if not self.is_other_vocabulary or not (names or self.task.scores_tokens):
            return None
        if AUGMENTED in data.examples:
            what = f"losses.{names[0]} compares" if names else f"the task {self.task.name} scores"
            raise SettingsError(
                f"augment makes rows of the student's tokens, but {what} tokens, and the teacher "
                f"{self.name} has another vocabulary; leave augment out, or choose a "
                "teacher of the student's vocabulary"
            )
        student, teacher = (
            Spans.join(
                [
                    self.task.spans(
                        data.task.splits[split], tokenizer, max_length=self.settings.max_length
                    )
                    for split in _splits(data)
                ]
            )
            for tokenizer in (data.tokenizer, self.tokenizer)
        )
        num_examples = sum(len(data.task.splits[split].examples) for split in _splits(data))
        if {len(student), len(teacher)} != {num_examples}:
            self._encode(data, [])  # says which example has several rows
        found = Alignment(self.task, student, teacher)
        found.require_common(
            [
                f"example {row.index} of {split}"
                for split in _splits(data)
                for row in data.examples[split]
            ]
        )
        return found

    def _fill_cache(
        self,
        folder: Path,
        data: TaskData,
        rows: EncodedExamples,
        losses: Mapping[str, Loss],
        progress: Progress,
    ) -> TeacherCache:
        settings = self.settings
        cache = TeacherCache(
            folder,
            fingerprint={
                "teacher": self.fingerprint(),
                "task": data.task.name,
                "rows": hash_rows(rows),
                "precision": settings.precision,
                **({} if self.task.places is None else {"labels": "|".join(self.task.labels)}),
            },
            num_rows=len(rows),
        )
        model: AnyModel | None = None

        def compute(start: int, end: int) -> Iterator[list[Tensor]]:
            nonlocal model
            if model is None:  # a cache that is complete needs no teacher
                model = self.load_model(data, losses)
            step = settings.evaluation_batch_size * _BATCHES_AT_A_TIME
            for first in range(start, end, step):
                yield predict_logits(
                    self.task,
                    model,
                    rows[first : min(first + step, end)],
                    batch_size=settings.evaluation_batch_size,
                    pad_token_id=self.tokenizer.pad_token_id,
                    precision=settings.precision,
                )

        cache.fill(compute, progress=progress)
        return cache


def _splits(data: TaskData) -> list[str]:
    """Returns the splits whose rows are trained on, in the order of `TaskData.training`."""
    return [split for split in ("train", "transfer") if split in data.examples]
