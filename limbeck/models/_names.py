"""Tensor names and layouts: ours to those of `transformers`, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_MARKS = ("{i}", "{j}")
# What TensorFlow's checkpoints called LayerNorm's weight and bias; early conversions kept it.
_OLD_LEAVES = {"gamma": "weight", "beta": "bias"}
# Not weights: numbers 0, 1, 2, ... that old versions of `transformers` saved, of any family.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """How a file holds one of our modules, where that is not tensor by tensor as we do."""

    name: str
    """The module's name in the file."""
    transposed: bool = False
    """Whether matrices are (in, out) there, as in GPT-2's `Conv1D`; ours are (out, in)."""
    part: int = 0
    """Which part of the file's tensor this module is, from 0, from the top; in our layout."""
    num_parts: int = 1
    """How many modules of ours, of one size, the file keeps in one: ModernBERT's `Wqkv` is 3."""


@dataclass(frozen=True, kw_only=True)
class NameTable:
    """A bijection between our tensors and a file's, for the body and for each kind of head.

    `{i}` stands for a layer's number, `{j}` for a second number after it, as in ALBERT's groups of
    layers; the last part of a name, `weight` or `bias`, is the same on both sides. A value that is
    only a name holds the same tensors.
    """

    prefix: str
    """What stands before the body's names in the file of a model with a head, such as `bert`."""
    body: Mapping[str, str | Stored]
    heads: Mapping[str, Mapping[str, str | Stored]]
    other_heads: frozenset[str] = frozenset()
    """Modules of heads that Limbeck does not have, and passes over."""
    needless: frozenset[str] = frozenset()
    """Modules of ours that a file may hold though its configuration has no use for them."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further names of a file's modules -> the names that the tables have."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """Tensors that repeat another one: the name of the copy -> the name of the one kept."""
    buffers: frozenset[str] = frozenset()
    """Tensors of files that are no weights of any model, and passed over."""

    def __post_init__(self) -> None:
        for sources in (self._sources_of_body, *self._sources_of_heads.values()):
            for name, parts in sources.items():
                first = next(iter(parts.values()))
                numbers = sorted(stored.part for stored in parts.values())
                assert numbers == list(range(first.num_parts)), f"{name} has the parts {numbers}"

    def to_hf(self, name: str, *, head: str) -> str:
        """Returns the name of the tensor that holds ours, in the file of a model with this head.

        Raises:
            KeyError: If such a model has no tensor of this name.
        """
        return self.locate(name, head=head)[0]

    def locate(self, name: str, *, head: str) -> tuple[str, Stored]:
        """Returns the name of the file's tensor that holds ours, and how it does.

        Raises:
            KeyError: If such a model has no tensor of this name.
        """
        module, _, leaf = name.rpartition(".")
        for template, numbers in _make_templates(module):
            if template in self.body:
                prefix = f"{self.prefix}." if head in self.heads else ""
                stored = _as_stored(self.body[template])
                return f"{prefix}{_fill(stored.name, numbers)}.{leaf}", stored
            if template in self.heads.get(head, {}):
                stored = _as_stored(self.heads[head][template])
                return f"{_fill(stored.name, numbers)}.{leaf}", stored
        raise KeyError(name)

    def to_native(self, name: str, *, head: str) -> tuple[str, ...]:
        """Returns our names for what a file's tensor holds; none if such a model has no such."""
        return tuple(native for native, _ in self._find_parts(name, head=head))

    def write(self, tensors: Mapping[str, Tensor], *, head: str) -> dict[str, Tensor]:
        """Returns our tensors as the file of a model with this head has them."""
        gathered: dict[str, dict[int, Tensor]] = {}
        layouts: dict[str, Stored] = {}
        for name, tensor in tensors.items():
            theirs, stored = self.locate(name, head=head)
            gathered.setdefault(theirs, {})[stored.part] = tensor
            layouts[theirs] = stored
        return {name: _join(parts, layouts[name]) for name, parts in gathered.items()}

    def read(
        self, tensors: Mapping[str, Tensor], *, head: str
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns a file's tidied tensors as ours, and those that such a model does not have."""
        ours: dict[str, Tensor] = {}
        unknown: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            parts = self._find_parts(name, head=head)
            if not parts:
                unknown[name] = tensor
            ours.update((native, _take(tensor, stored)) for native, stored in parts)
        return ours, unknown

    def tidy(self, name: str) -> str | None:
        """Returns a file's tensor name without prefix and old spellings; None if it is a buffer."""
        name = name.removeprefix(f"{self.prefix}.")
        module, dot, leaf = name.rpartition(".")
        module = self.aliases.get(module, module)
        templates = {template for template, _ in _make_templates(name)}
        if name in _BUFFERS or templates & self.buffers:
            return None
        return module + dot + _OLD_LEAVES.get(leaf, leaf)

    def is_needless(self, name: str) -> bool:
        """Says whether a model may do without a tensor of ours that its file holds."""
        return name.startswith("pooler.") or name.rpartition(".")[0] in self.needless

    def is_head(self, name: str) -> bool:
        """Says whether a tensor belongs to some head of the family."""
        return name.rpartition(".")[0] in self._head_modules or name in self.tied

    def _find_parts(self, name: str, *, head: str) -> list[tuple[str, Stored]]:
        """Returns our tensors that a file's tensor holds, and how it does."""
        module, _, leaf = name.rpartition(".")
        for template, numbers in _make_templates(module):
            parts = self._sources_of_body.get(template)
            parts = parts or self._sources_of_heads.get(head, {}).get(template)
            if parts:
                return [(f"{_fill(ours, numbers)}.{leaf}", held) for ours, held in parts.items()]
        return []

    @cached_property
    def _sources_of_body(self) -> dict[str, dict[str, Stored]]:
        return _by_file_name(self.body)

    @cached_property
    def _sources_of_heads(self) -> dict[str, dict[str, dict[str, Stored]]]:
        return {head: _by_file_name(table) for head, table in self.heads.items()}

    @cached_property
    def _head_modules(self) -> frozenset[str]:
        return self.other_heads.union(*self._sources_of_heads.values())


def _as_stored(value: str | Stored) -> Stored:
    return Stored(name=value) if isinstance(value, str) else value


def _by_file_name(table: Mapping[str, str | Stored]) -> dict[str, dict[str, Stored]]:
    """Inverts a table: the file's module -> our modules in it, each with how it is held."""
    inverse: dict[str, dict[str, Stored]] = {}
    for ours, value in table.items():
        stored = _as_stored(value)
        inverse.setdefault(stored.name, {})[ours] = stored
    return inverse


def _join(parts: Mapping[int, Tensor], stored: Stored) -> Tensor:
    """Makes the file's tensor of its parts."""
    tensor = parts[0] if len(parts) == 1 else torch.cat([parts[i] for i in sorted(parts)])
    return tensor.t().contiguous() if stored.transposed and tensor.dim() == 2 else tensor


def _take(tensor: Tensor, stored: Stored) -> Tensor:
    """Takes our part out of a file's tensor."""
    if stored.transposed and tensor.dim() == 2:
        tensor = tensor.t().contiguous()
    if stored.num_parts == 1 or tensor.dim() == 0:
        return tensor
    # Copied, so that no two parameters share memory: what one trains, the other would see.
    return tensor.tensor_split(stored.num_parts)[stored.part].clone()


def _make_templates(module: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields a module's name with none, one and two of its numbers replaced by marks, and them.

    A number may stand in a name that is no layer's, as in heads of several modules.
    """
    template, numbers = f"{module}.", _NUMBER.findall(f"{module}.")
    yield module, ()
    for count, mark in enumerate(_MARKS[: len(numbers)], start=1):
        template = _NUMBER.sub(mark, template, count=1)
        yield template.removesuffix("."), tuple(numbers[:count])


def _fill(template: str, numbers: tuple[str, ...]) -> str:
    """Returns a name with numbers in place of its marks."""
    for mark, number in zip(_MARKS, numbers, strict=False):
        template = template.replace(mark, number)
    return template
