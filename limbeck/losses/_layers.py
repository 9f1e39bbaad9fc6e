"""What the losses on several layers share: which layers of two models are compared."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from limbeck.errors import SettingsError
from limbeck.losses._base import PlainLoss, Positions
from limbeck.models import ModelConfig


class LayerLoss(PlainLoss):
    """Base of the losses that compare layers in between; the sum runs over layers too."""

    positions: Positions = "real"
    """`masked`: only positions that carry a label; `real`: every position that is not padding."""
    teacher_layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    """For each of the student's layers the teacher's layer that it is compared with, counted from
    1; None takes evenly spaced ones, of which the last is the teacher's last."""

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If `teacher_layers` do not fit the models.
        """
        assert teacher is not None
        self.pair_layers(student.num_places, teacher.num_places)
        return super().build(student, teacher)

    def pair_layers(self, num_student_layers: int, num_teacher_layers: int) -> tuple[int, ...]:
        """Returns for each layer of the student the teacher's, counted from 1.

        Source:
            Jiao et al., "TinyBERT", 2020, section 4.1: g(m) = 3 m for 4 of 12 layers.

        Raises:
            SettingsError: If `teacher_layers` do not fit the models.
        """
        if self.teacher_layers is None:
            twice = 2 * num_student_layers
            return tuple(
                max(1, (2 * layer * num_teacher_layers + num_student_layers) // twice)
                for layer in range(1, num_student_layers + 1)
            )
        given = self.teacher_layers
        where = f"losses.{self.name}.teacher_layers = {list(given)}"
        if len(given) != num_student_layers:
            raise SettingsError(
                f"{where} has {len(given)} numbers, but the student has "
                f"{num_student_layers} layers, each of which needs one"
            )
        wrong = [number for number in given if not 1 <= number <= num_teacher_layers]
        if wrong:
            raise SettingsError(
                f"{where}: {wrong[0]} is no layer of the teacher; accepted: "
                f"1 to {num_teacher_layers}"
            )
        return given
