"""Relations: how alike queries, keys or values of each two tokens are, the teacher's learned."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.losses._chunked import sum_over_chunks
from limbeck.losses._layers import LayerLoss
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig
from limbeck.nn import additive_mask, at_least_float32

_Related = Literal["queries", "keys", "values"]
_MOST_ENTRIES = 2**20
"""Entries of a relation matrix that a CPU holds at a time, unless a single sequence has more: 4 MiB
stay in its caches, and took two thirds of the time that 16 MiB took."""
_MOST_ENTRIES_ELSEWHERE = 2**24
"""The same for other devices, which fewer and larger steps keep busy."""


class Loss(LayerLoss):
    """KL(R_T || R_S), R = softmax(Z Z^T / sqrt(d_r)) in each relation head; averaged over heads.

    Z are queries, keys or values, all heads side by side, and divided anew into relation heads of
    width d_r. The sum runs over tokens, over what is related and over layers. Padding and other
    documents take no part in a token's relations; all else does, however far a layer's attention
    reaches. Student and teacher may differ in width and in attention heads.

    With `of = ["values"]`, beside `attention_kl`, this is MiniLM's first version.

    Source:
        Wang et al., "MiniLMv2", 2021, equations 7 to 9; values alone: Wang et al., "MiniLM", 2020,
        equations 7 and 8.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"queries", "keys", "values"})

    student_layers: tuple[int, ...] | None = Field(default=(-1,), min_length=1)
    """The student's layers that are compared, counted from 1, or from the last as -1; none, as
    `"none"`, takes all."""
    of: tuple[_Related, ...] = Field(default=("queries", "keys", "values"), min_length=1)
    """What is related: some of `queries`, `keys`, `values`."""
    num_relation_heads: int | None = Field(default=None, ge=1)
    """How many heads relations are taken in, however many attention has; None takes as many as the
    teacher's attention."""

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If the heads do not divide a model's width, something is related twice,
                or a layer is none of the models'.
        """
        assert teacher is not None
        if len(set(self.of)) != len(self.of):
            raise SettingsError(f"losses.{self.name}.of = {list(self.of)} has one of them twice")
        module = super().build(student, teacher)
        for ours, theirs in self.pair_layers(student.num_places, teacher.num_places):
            self._require_divisible(student, teacher, ours=ours, theirs=theirs)
        return module

    def _require_divisible(
        self, student: ModelConfig, teacher: ModelConfig, *, ours: int, theirs: int
    ) -> None:
        """Refuses heads that do not divide the widths of two layers, from which some were taken."""
        for who, config, layer in (("student", student, ours), ("teacher", teacher, theirs)):
            if config.attention_size_at(layer - 1) == 0:
                raise SettingsError(
                    f"losses.{self.name} compares attention, and layer {layer} of the {who} has no "
                    f"heads; accepted: others in losses.{self.name}.{who}_layers"
                )
        number = self.num_relation_heads or len(teacher.layer_shape(theirs - 1).heads)
        pairs = self.pair_layers(student.num_places, teacher.num_places)
        fit = math.gcd(
            *(student.attention_size_at(layer - 1) for layer, _ in pairs),
            *(teacher.attention_size_at(layer - 1) for _, layer in pairs),
        )
        for who, config, layer in (("student", student, ours), ("teacher", teacher, theirs)):
            size = config.attention_size_at(layer - 1)
            if size % number == 0:
                continue
            what = f"losses.{self.name}.num_relation_heads = {number}"
            if self.num_relation_heads is None:
                what += ", the number of the teacher's heads where none is given,"
            where = "" if config.layer_shapes is None else f" in layer {layer}"
            divisors = ", ".join(str(n) for n in range(1, fit + 1) if fit % n == 0)
            raise SettingsError(
                f"{what} does not divide the {who}'s width of {size}{where}; accepted: {divisors}"
            )

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over tokens."""
        parts = []
        for name in self.of:
            ours, theirs = getattr(seen.student, name), getattr(seen.teacher, name)
            for student, teacher in zip(ours, theirs, strict=True):
                number = self.num_relation_heads or teacher.shape[1]
                parts.append(_compare(student, teacher, seen, num_heads=number))
        return torch.stack(parts).sum()


def _compare(student: Tensor, teacher: Tensor, seen: Compared, *, num_heads: int) -> Tensor:
    """Returns the sum over tokens of one layer, some sequences at a time.

    Shape:
        student, teacher: (sequences, attention heads, length, head_size).
    """
    assert seen.positions is not None
    student, teacher = (_join_heads(states) for states in (student, teacher))
    sequences, length, _ = student.shape
    counts = student.new_zeros(sequences * length)
    counts = counts.index_fill(0, seen.positions, 1.0).view(sequences, 1, length)
    mask = None
    if seen.attention_mask is not None:
        mask = additive_mask(seen.attention_mask, dtype=student.dtype)

    def compare(states: Tensor, chunk: slice) -> Tensor:
        hidden = None if mask is None else mask[chunk]
        ours = _relate(states, hidden, num_heads=num_heads)
        theirs = _relate(teacher[chunk], hidden, num_heads=num_heads)
        divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=-1)
        return (divergence * counts[chunk]).sum() / num_heads

    most = _MOST_ENTRIES if student.device.type == "cpu" else _MOST_ENTRIES_ELSEWHERE
    chunk_rows = max(1, most // (num_heads * length * length))
    return sum_over_chunks(compare, student, parameters=(), chunk_rows=chunk_rows)


def _join_heads(states: Tensor) -> Tensor:
    """Shape: (sequences, heads, length, head_size) to (sequences, length, heads * head_size)."""
    return at_least_float32(states.transpose(1, 2).flatten(2))


def _relate(states: Tensor, hidden: Tensor | None, *, num_heads: int) -> Tensor:
    """Returns the logarithm of relations.

    Shape:
        states: (sequences, length, width).
        hidden: Broadcasts to the result; added before the softmax.
        result: (sequences, num_heads, length, length).
    """
    split = states.reshape(*states.shape[:2], num_heads, -1).transpose(1, 2)
    scores = split @ split.transpose(-2, -1) / math.sqrt(split.shape[-1])
    return (scores if hidden is None else scores + hidden).log_softmax(dim=-1)
