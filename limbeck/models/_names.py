"""Tensor names: ours to those of `transformers`, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

_LAYER_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
# What TensorFlow's checkpoints called LayerNorm's weight and bias; early conversions kept it.
_OLD_LEAVES = {"gamma": "weight", "beta": "bias"}
# Not weights: numbers 0, 1, 2, ... that old versions of `transformers` saved as buffers.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True, kw_only=True)
class NameTable:
    """A bijection between module names, for the body and for each kind of head.

    `{i}` stands for a layer's number; the last part of a name, `weight` or `bias`, is the same on
    both sides.
    """

    prefix: str
    """What stands before the body's names in the file of a model with a head, such as `bert`."""
    body: Mapping[str, str]
    heads: Mapping[str, Mapping[str, str]]
    other_heads: frozenset[str] = frozenset()
    """Modules of heads that Limbeck does not have, and passes over."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """Tensors that repeat another one: the name of the copy -> the name of the one kept."""

    def to_hf(self, name: str, *, head: str) -> str:
        """Returns the name in the file of a model that has this head."""
        module, _, leaf = name.rpartition(".")
        template, number = _split_number(module)
        if template in self.body:
            theirs = self.body[template]
            if head in self.heads:
                theirs = f"{self.prefix}.{theirs}"
        else:
            theirs = self.heads[head][template]
        return f"{theirs.replace('{i}', number)}.{leaf}"

    def to_native(self, name: str, *, head: str) -> str | None:
        """Returns our name for a tensor of a file, or None if such a model does not have it."""
        module, _, leaf = name.rpartition(".")
        template, number = _split_number(module)
        ours = self._native_body.get(template) or self._native_heads.get(head, {}).get(template)
        return None if ours is None else f"{ours.replace('{i}', number)}.{leaf}"

    def tidy(self, name: str) -> str | None:
        """Returns a file's tensor name without prefix and old spellings; None if it is a buffer."""
        name = name.removeprefix(f"{self.prefix}.")
        module, dot, leaf = name.rpartition(".")
        return None if name in _BUFFERS else module + dot + _OLD_LEAVES.get(leaf, leaf)

    def is_head(self, name: str) -> bool:
        """Says whether a tensor belongs to some head of the family."""
        return name.rpartition(".")[0] in self._head_modules or name in self.tied

    @cached_property
    def _native_body(self) -> dict[str, str]:
        return {theirs: ours for ours, theirs in self.body.items()}

    @cached_property
    def _native_heads(self) -> dict[str, dict[str, str]]:
        return {
            head: {theirs: ours for ours, theirs in table.items()}
            for head, table in self.heads.items()
        }

    @cached_property
    def _head_modules(self) -> frozenset[str]:
        return self.other_heads.union(*(table.values() for table in self.heads.values()))


def _split_number(module: str) -> tuple[str, str]:
    """Returns a module's name with `{i}` for its first number, and that number."""
    found = _LAYER_NUMBER.search(module + ".")
    if found is None:
        return module, ""
    return module[: found.start()] + "{i}" + module[found.end() :], found.group()
