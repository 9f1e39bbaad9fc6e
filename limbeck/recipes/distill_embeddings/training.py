"""What is trained on what, and the training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Self, TypedDict

import numpy as np
import torch

from limbeck.data.by_length import shuffled_by_length
from limbeck.errors import SettingsError
from limbeck.files import sha256_of
from limbeck.losses import GroupLoss, Loss
from limbeck.models import SentenceModel
from limbeck.objectives import EmbeddingBatch, EmbeddingObjective
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._training import build_optimizer, make_steps, open_training
from limbeck.recipes.distill_embeddings.measuring import METRIC, HeldOut, Pairs
from limbeck.recipes.distill_embeddings.reading import embed, encode_texts
from limbeck.recipes.distill_embeddings.rows import Numbers, TextRows
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.recipes.distill_embeddings.student import Student
from limbeck.recipes.distill_embeddings.targets import Targets, make_batch
from limbeck.recipes.distill_embeddings.teachers import Teacher, VectorTeacher
from limbeck.recipes.finetune.best import BestWeights, is_evaluation_due
from limbeck.tasks import EncodedExamples
from limbeck.train import METRICS_FILE, Budget, Progress, choose_device

_PARTS_SORTED_APART = 4
"""Of an epoch. A vector has no label that goes with length, so that small sets can be sorted more
than those of `finetune` are: of 43 steps that were only shuffled, half was padding."""


class Figures(TypedDict):
    """What a training measured, as its record takes it."""

    num_rows: int
    num_held_out: int
    num_steps: int
    num_epochs: float
    elapsed_seconds: float
    held_out_before: dict[str, float]
    held_out_after: dict[str, float]
    validation_before: dict[str, float] | None
    validation_after: dict[str, float] | None
    validation_teacher: dict[str, float] | None
    best_step: int
    metrics_sha256: str


@dataclass(frozen=True)
class Trained:
    """The student that is kept, and what was measured."""

    model: SentenceModel
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a training is given.

    Attributes:
        settings: Of the run.
        teacher: Not loaded yet.
        student: Not trained yet.
        losses: By name.
        rows: All rows.
        training: Those that are learned from.
        held_out: Those that are measured with.
        unit: Rows that no division of a step takes apart.
        pairs: What says which weights are the best; None for the last.
    """

    settings: DistillEmbeddingsSettings
    teacher: Teacher
    student: Student
    losses: dict[str, Loss]
    rows: TextRows
    training: Numbers
    held_out: Numbers
    unit: int
    pairs: Pairs | None

    @classmethod
    def make(
        cls,
        settings: DistillEmbeddingsSettings,
        *,
        teacher: Teacher,
        student: Student,
        losses: dict[str, Loss],
        rows: TextRows,
        pairs: Pairs | None,
    ) -> Self:
        """Divides the rows, and checks that a step can be divided as the settings ask.

        Raises:
            SettingsError: If groups would be taken apart.
        """
        groups = {n: x.group_size for n, x in losses.items() if isinstance(x, GroupLoss)}
        unit = reduce(math.lcm, groups.values(), 1)
        most = settings.batch_size // unit
        if groups and not settings.accumulate <= most:
            name = next(iter(groups))
            raise SettingsError(
                f"accumulate = {settings.accumulate} divides a step of batch_size = "
                f"{settings.batch_size} rows, but losses.{name} compares groups of {unit}, which "
                f"stay whole; accepted: accumulate = 1 to {most}"
                if most
                else f"batch_size = {settings.batch_size}, but losses.{name} compares groups of "
                f"{unit} rows; accepted: batch_size = {unit} or more, or a smaller "
                f"losses.{name}.group_size"
            )
        training, held_out = rows.divide(settings.num_held_out)
        return cls(
            settings=settings,
            teacher=teacher,
            student=student,
            losses=losses,
            rows=rows,
            training=training,
            held_out=held_out,
            unit=unit,
            pairs=pairs,
        )

    @property
    def inputs(self) -> dict[str, str]:
        """Checksums of what the settings name."""
        beside = {} if self.pairs is None else {"validation": self.pairs}
        return hash_inputs(self.settings.named_models(), texts=self.rows, **beside)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every row once."""
        return -(-len(self.training) // self.settings.batch_size)

    @property
    def budget(self) -> Budget:
        """Where the run ends: after its epochs, or at a bound that comes first."""
        settings = self.settings
        steps = math.ceil(settings.epochs * self.steps_per_epoch)
        return Budget(
            max_steps=min(steps, settings.max_steps or steps), max_minutes=settings.max_minutes
        )

    @cached_property
    def texts(self) -> EncodedExamples:
        """All texts, as the student reads them."""
        return encode_texts(
            self.rows.texts,
            self.student.tokenizer,
            self.student.model.config,
            max_length=self.settings.max_length,
        )

    def steps(self, targets: Targets, start: int) -> Iterator[list[EmbeddingBatch]]:
        """Yields the micro-batches of step `start` and of every later one, without end."""
        settings, pad = self.settings, self.student.tokenizer.pad_token_id
        lengths = self.texts.lengths[self.training].max(axis=1)
        epoch, position = divmod(start, self.steps_per_epoch)
        while True:
            order = shuffled_by_length(
                lengths,
                settings.batch_size,
                seed=settings.seed,
                epoch=epoch,
                parts=_PARTS_SORTED_APART,
            )
            for chosen in order[position:]:
                yield [
                    make_batch(self.texts, self.training[part], targets, pad_token_id=pad)
                    for part in self._divide(chosen)
                ]
            epoch, position = epoch + 1, 0

    def _divide(self, chosen: Numbers) -> list[Numbers]:
        """Divides a step's rows into micro-batches, between groups only."""
        units = [chosen[i : i + self.unit] for i in range(0, len(chosen), self.unit)]
        number = min(self.settings.accumulate, len(units))
        bounds = np.array_split(np.arange(len(units)), number)
        return [np.concatenate([units[i] for i in part]) for part in bounds]


def train(settings: DistillEmbeddingsSettings, plan: Plan, progress: Progress) -> Trained:
    """Trains, measures and checkpoints the student, going on where an earlier run stopped."""
    student, device = plan.student, choose_device(settings.device)
    model = student.model.to(device)
    targets = _find_targets(settings, plan, progress)
    of_teacher = _score_teacher(plan, progress)
    _fit_dense(settings, plan, targets)
    objective = _make_objective(settings, plan)
    optimizer = build_optimizer(settings, objective)
    pad = student.tokenizer.pad_token_id
    held_out = HeldOut(settings, plan.held_out, plan.texts, targets, pad)
    validation = (
        None
        if plan.pairs is None
        else plan.pairs.for_student(student.model.config, student.tokenizer)
    )
    best = None if validation is None else BestWeights(model, metric=METRIC)
    budget = plan.budget
    torch.manual_seed(settings.seed)

    def measure(step: int) -> None:
        figures = {"held_out": held_out.measure(model)}
        if validation is not None and best is not None:
            figures["validation"] = validation.measure(model)
            epoch = step / plan.steps_per_epoch
            best.offer(model, step=step, epoch=epoch, scores=figures["validation"])
            run.extra["best"] = best.state()
        run.extra["figures"] = {**run.extra.get("figures", {}), str(step): figures}
        flat = {f"{kind}_{n}": v for kind, found in figures.items() for n, v in found.items()}
        beside = {f"teacher_validation_{n}": v for n, v in (of_teacher or {}).items()}
        run.write_evaluation(step=step, **flat, **beside)
        progress.log(f"step {step}: " + ", ".join(f"{n} {v:.4f}" for n, v in flat.items()))

    with open_training(
        settings,
        settings.out,
        description="training",
        modules={"objective": objective} | ({} if best is None else {"best": best.model}),
        optimizer=optimizer,
        budget=budget,
        progress=progress,
    ) as run:
        if best is not None and "best" in run.extra:
            best.restore(run.extra["best"])
        if not run.extra.get("figures"):
            measure(0)
        objective.train(settings.dropout)
        for step in make_steps(run, settings, objective, plan.steps(targets, run.state.step)):
            if step.number == budget.max_steps or is_evaluation_due(
                step.number,
                steps_per_epoch=plan.steps_per_epoch,
                per_epoch=settings.evaluations_per_epoch,
            ):
                measure(step.number)
        if str(run.state.step) not in run.extra["figures"]:
            measure(run.state.step)
        run.save()
    measured, last = run.extra["figures"], run.state.step
    kept = last if best is None or best.evaluation is None else best.evaluation.step
    return Trained(
        model if best is None else best.model,
        Figures(
            num_rows=len(plan.training),
            num_held_out=len(plan.held_out),
            num_steps=last,
            num_epochs=last / plan.steps_per_epoch,
            elapsed_seconds=run.state.elapsed_seconds,
            held_out_before=measured["0"]["held_out"],
            held_out_after=measured[str(kept)]["held_out"],
            validation_before=measured["0"].get("validation"),
            validation_after=measured[str(kept)].get("validation"),
            validation_teacher=of_teacher,
            best_step=kept,
            metrics_sha256=sha256_of(settings.out / METRICS_FILE),
        ),
    )


def _find_targets(settings: DistillEmbeddingsSettings, plan: Plan, progress: Progress) -> Targets:
    is_reduced = plan.student.projection == "pca"
    return Targets.find(
        settings,
        plan.teacher,
        plan.rows,
        reduce_to=plan.student.model.config.width if is_reduced else None,
        progress=progress,
    )


def _score_teacher(plan: Plan, progress: Progress) -> dict[str, float] | None:
    """Scores the teacher on the validation pairs; None without pairs or a teacher's vectors."""
    pairs, teacher = plan.pairs, plan.teacher
    if pairs is None or not isinstance(teacher, VectorTeacher):
        return None
    texts = pairs.texts
    found = pairs.score(torch.stack(teacher.read(texts, progress).rows(range(len(texts)))))
    progress.log("teacher: " + ", ".join(f"validation_{n} {v:.4f}" for n, v in found.items()))
    return found


def _fit_dense(settings: DistillEmbeddingsSettings, plan: Plan, targets: Targets) -> None:
    """Starts a dense layer on some of the rows that are learned from."""
    if plan.student.projection != "dense":
        return
    rows = plan.training[:: -(-len(plan.training) // settings.projection_texts), :1]
    chosen = EncodedExamples.of([plan.texts[int(number)] for number in rows[:, 0]])
    pooled = embed(
        plan.student.before_dense(),
        chosen,
        settings,
        pad_token_id=plan.student.tokenizer.pad_token_id,
    )
    narrow, _, _ = targets.of(rows)
    assert narrow is not None
    plan.student.fit_dense(pooled, narrow[:, 0])


def _make_objective(settings: DistillEmbeddingsSettings, plan: Plan) -> EmbeddingObjective:
    model = plan.student.model
    weights = settings.matryoshka_weights or (1.0,) * len(settings.matryoshka_dims)
    widths = dict(zip(settings.matryoshka_dims, weights, strict=True))
    is_wide = plan.student.projection == "learned"
    wide = plan.teacher.width if is_wide and plan.teacher.width else model.config.width
    return EmbeddingObjective(
        model,
        plan.losses,
        teacher_width=wide,
        widths=widths or None,
        score_by=settings.score_by,
    )
