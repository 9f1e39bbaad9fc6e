"""What the losses on several layers share: which layers of two models are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.losses._base import Formula, LayerPairs, PlainLoss, Positions
from limbeck.losses._views import Compared, View, Views
from limbeck.models import ModelConfig


class LayerLoss(PlainLoss):
    """Base of the losses that compare layers in between; the sum runs over layers too."""

    positions: Positions = "real"
    """`masked`: only positions that carry a label; `real`: every position that is not padding."""
    student_layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    """The student's layers that are compared, counted from 1, or from the last as -1; None takes
    all."""
    teacher_layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    """For each of these the teacher's layer that it is compared with, counted likewise; None takes
    the one as far up, for the last the last."""

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If `student_layers` or `teacher_layers` do not fit the models.
        """
        assert teacher is not None
        self.pair_layers(student.num_places, teacher.num_places)
        return super().build(student, teacher)

    def choose_student_layers(self, num_layers: int) -> Sequence[int]:
        """Returns the student's layers that are compared if none are named, counted from 1."""
        return range(1, num_layers + 1)

    def pair_layers(self, num_student_layers: int, num_teacher_layers: int) -> LayerPairs:
        """Returns the student's layers, each with the teacher's that it is compared with.

        Source:
            Jiao et al., "TinyBERT", 2020, section 4.1: g(m) = 3 m for 4 of 12 layers.

        Raises:
            SettingsError: If `student_layers` or `teacher_layers` do not fit the models.
        """
        if self.student_layers is None:
            ours = self.choose_student_layers(num_student_layers)
        else:
            ours = self._count("student", self.student_layers, num_student_layers)
        if self.teacher_layers is None:
            twice = 2 * num_student_layers
            return tuple(
                (layer, max(1, (2 * layer * num_teacher_layers + num_student_layers) // twice))
                for layer in ours
            )
        if len(self.teacher_layers) != len(ours):
            wanted = (
                f"the student has {len(ours)} layers, each of which needs one"
                if self.student_layers is None
                else f"student_layers = {list(self.student_layers)} has {len(ours)}"
            )
            raise SettingsError(
                f"losses.{self.name}.teacher_layers = {list(self.teacher_layers)} has "
                f"{len(self.teacher_layers)} numbers, but {wanted}"
            )
        theirs = self._count("teacher", self.teacher_layers, num_teacher_layers)
        return tuple(zip(ours, theirs, strict=True))

    def _count(self, who: str, given: Sequence[int], num_layers: int) -> list[int]:
        """Returns layers counted from 1 that may have been counted from the last."""
        counted = [layer + 1 + num_layers if layer < 0 else layer for layer in given]
        for layer, number in zip(given, counted, strict=True):
            if not 1 <= number <= num_layers:
                raise SettingsError(
                    f"losses.{self.name}.{who}_layers = {list(given)}: {layer} is no layer of the "
                    f"{who}; accepted: 1 to {num_layers}, or -1 for the last"
                )
        return counted


class HeadLoss(LayerLoss):
    """Base of the losses that compare attention head by head.

    A student that lacks some of its heads, since they were pruned, is compared in those that it
    has: with the teacher's of the same numbers.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"attention_scores"})

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If the models differ in heads, or `student_layers` or `teacher_layers` do
                not fit them.
        """
        assert teacher is not None
        self._require_same_heads(student, teacher)
        module = super().build(student, teacher)
        if student.layer_shapes is None and teacher.layer_shapes is None:
            return module
        pairs = self.pair_layers(student.num_places, teacher.num_places)
        places = [
            self._find_heads(student, teacher, ours=ours, theirs=theirs) for ours, theirs in pairs
        ]
        return Formula(lambda seen: self.sum(_take_heads(seen, places)))

    def _require_same_heads(self, student: ModelConfig, teacher: ModelConfig) -> None:
        if student.num_attention_heads != teacher.num_attention_heads:
            raise SettingsError(
                f"losses.{self.name} compares attention head by head, but the teacher has "
                f"{teacher.num_attention_heads} heads and the student "
                f"{student.num_attention_heads}; leave this loss out, or take a student with as "
                "many heads, or losses.relations, which divides both models anew"
            )

    def _find_heads(
        self, student: ModelConfig, teacher: ModelConfig, *, ours: int, theirs: int
    ) -> list[int]:
        """Returns where in a layer of the teacher's the heads of one of the student's stand."""
        wanted = student.layer_shape(ours - 1).heads
        there = teacher.layer_shape(theirs - 1).heads
        if not set(wanted) <= set(there):
            raise SettingsError(
                f"losses.{self.name} compares attention head by head, but layer {ours} of the "
                f"student has the heads {list(wanted)} and layer {theirs} of the teacher "
                f"{list(there)}; leave this loss out, or take a teacher with these heads, or "
                "losses.relations, which divides both models anew"
            )
        return [there.index(head) for head in wanted]


def _take_heads(seen: Compared, places: Sequence[Sequence[int]]) -> Compared:
    """Returns what is seen with some heads of each layer of the teacher's alone."""
    scores = seen.teacher.attention_scores
    taken = tuple(_take(one, of_layer) for one, of_layer in zip(scores, places, strict=True))
    return replace(seen, teacher=Views(attention_scores=taken))


def _take(scores: Tensor, heads: Sequence[int]) -> Tensor:
    """Shape: (sequences, heads of the teacher, length, length) to those of the student."""
    return scores if len(heads) == scores.shape[1] else scores[:, heads]
