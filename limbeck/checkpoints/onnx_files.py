"""ONNX files as they say they are, read without a runtime, and without the tensors themselves.

Such a file is a message of `protobuf`, whose fields may be messages again. Only what decides
whether a file is to be trusted and what it takes is looked at.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, the numbers of the fields.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from limbeck.checkpoints._protobuf import BYTES, INT, DamageError, pack, read_fields, read_number
from limbeck.checkpoints.exported import leads_out
from limbeck.errors import CheckpointError, shorten
from limbeck.system_errors import raised_as

Dimension = int | str | None
"""Of a tensor: a number, a name where any number is taken, or nothing said."""

_REMEDY: Final = "export the model again, or take the file from where it came"
_DEEPEST: Final = 32  # graphs within graphs: what exporters write has two or three
_EXTERNAL: Final = 1  # TensorProto.DataLocation
_TYPES: Final = {1: "float32", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16"}


@dataclass(frozen=True)
class TensorType:
    """What a tensor that goes in or comes out is.

    Attributes:
        dtype: Type of its numbers.
        shape: Its dimensions; None where nothing is said of them.
    """

    dtype: str
    shape: tuple[Dimension, ...] | None


@dataclass
class OnnxOutline:
    """What an ONNX file says of itself.

    Attributes:
        ir_version: Version of the format.
        opsets: Version of the operators, by domain; "" is ONNX's own.
        inputs: What goes in.
        outputs: What comes out.
        external_files: Other files that it has tensors in, relative to its folder.
        num_words: Rows of the table that `input_ids` are looked up in; None where none is found.
    """

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, TensorType] = field(default_factory=dict)
    outputs: dict[str, TensorType] = field(default_factory=dict)
    external_files: set[str] = field(default_factory=set)
    num_words: int | None = None


_Search = Callable[[int, int, int], None]
"""Looks through a message from a byte to another, at some depth."""


def outline_onnx(path: Path) -> OnnxOutline:
    """Reads what an ONNX file says of itself.

    Raises:
        CheckpointError: If the file is absent, damaged or no ONNX file.
    """
    with raised_as(CheckpointError, path, writes=False), path.open("rb") as file:
        size = path.stat().st_size
        if size == 0:
            raise CheckpointError(f"{path} is empty; {_REMEDY}")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                outline = _Reader(content).read(0, size)
            except (DamageError, UnicodeDecodeError, IndexError) as error:
                start = bytes(content[:16])
                reason = (
                    "is a pointer of Git LFS, not the file itself"
                    if (start.startswith(b"version https:/"))
                    else f"is no ONNX file, or a damaged one ({error})"
                )
                raise CheckpointError(f"{path} {reason}; {_REMEDY}") from None
    if not outline.inputs or not outline.outputs or not outline.opsets:
        raise CheckpointError(f"{path} is no ONNX file of a model, or a damaged one; {_REMEDY}")
    return outline


def require_own_files(path: Path, outline: OnnxOutline) -> None:
    """Refuses an ONNX file that has tensors in files outside its folder, or in some that lack.

    Raises:
        CheckpointError: Names the file that it asks for.
    """
    for name in sorted(outline.external_files):
        target = path.parent / name
        if leads_out(name) or not _is_within(target, path):
            raise CheckpointError(
                f"{path} asks for data in {shorten(name)}, outside its folder, which is never "
                "opened; accepted: files beside it. Take the model from somebody you trust"
            )
        with raised_as(CheckpointError, target, writes=False):
            is_there = target.is_file()
        if not is_there:
            raise CheckpointError(
                f"{path} has its weights in {shorten(name)}, which is not beside it; copy both "
                "files from where they came"
            )


def _is_within(target: Path, path: Path) -> bool:
    """Tells whether a file is in an ONNX file's folder after links, or beside it after both's.

    The Hub's cache links every file of a model to one place, under other names.
    """
    try:
        resolved = target.resolve()
    except (OSError, RuntimeError):  # a name that is too long, links in a circle
        return False
    return resolved.is_relative_to(path.parent.resolve()) or (
        path.is_symlink() and resolved.parent == path.resolve().parent
    )


class _Reader:
    """Walks the fields of a message that is in memory or on disk."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._outline = OnnxOutline()
        self._tables: dict[str, int] = {}
        self._looked_up: list[str] = []

    def read(self, start: int, end: int) -> OnnxOutline:
        """Reads a ModelProto."""
        found = self._outline
        graphs: list[tuple[int, int]] = []
        for number, kind, value, stop in self._fields(start, end):
            if number == 1 and kind == INT:
                found.ir_version = value
            elif kind != BYTES:
                continue
            elif number == 8:
                domain, version = self._read_opset(value, stop)
                found.opsets["" if domain == "ai.onnx" else domain] = version
            elif number == 7:
                graphs.append((value, stop))
            elif number == 20:  # training: graphs that initialise and update
                self._search(value, stop, {1: self._search_graph, 2: self._search_graph})
            elif number == 25:  # functions, whose nodes may hold tensors
                self._search(value, stop, {7: self._search_node, 11: self._search_attribute})
        for begin, stop in graphs:  # parts of one, if there are several
            self._read_graph(begin, stop)
        tables = [self._tables[name] for name in self._looked_up if name in self._tables]
        found.num_words = tables[0] if tables else None
        return found

    def _read_graph(self, start: int, end: int) -> None:
        """Reads the graph that is run: what every graph has, and what goes in and out."""
        self._search_graph(start, end)
        found, given = self._outline, set[str]()
        for number, kind, value, stop in self._fields(start, end):
            if kind != BYTES:
                continue
            if number == 5:
                name, shape = self._read_initializer(value, stop)
                given.add(name)
                if len(shape) == 2:
                    self._tables[name] = shape[0]
            elif number in (11, 12):
                name, tensor = self._read_value(value, stop)
                (found.inputs if number == 11 else found.outputs)[name] = tensor
            elif number == 1:
                self._note_look_up(value, stop)
        for name in given:  # older files name their weights among the inputs
            found.inputs.pop(name, None)

    def _note_look_up(self, start: int, end: int) -> None:
        """Notes the table of a node that looks up `input_ids`."""
        fields = [f for f in self._fields(start, end) if f[1] == BYTES]
        inputs = [self._text(value, stop) for number, _, value, stop in fields if number == 1]
        operator = [self._text(value, stop) for number, _, value, stop in fields if number == 4]
        if operator == ["Gather"] and inputs[1:] == ["input_ids"]:
            self._looked_up.append(inputs[0])
        elif operator == ["EmbedLayerNormalization"] and inputs[:1] == ["input_ids"]:
            self._looked_up.extend(inputs[2:3])

    def _search(self, start: int, end: int, inner: Mapping[int, _Search], depth: int = 0) -> None:
        """Looks through the messages in a message, for tensors whose data is elsewhere."""
        if depth > _DEEPEST:
            raise DamageError("graphs within graphs without end")
        for number, kind, value, stop in self._fields(start, end):
            if kind == BYTES and number in inner:
                inner[number](value, stop, depth + 1)

    def _search_graph(self, start: int, end: int, depth: int = 0) -> None:
        inner = {1: self._search_node, 5: self._search_tensor, 15: self._search_sparse}
        self._search(start, end, inner, depth)

    def _search_node(self, start: int, end: int, depth: int = 0) -> None:
        self._search(start, end, {5: self._search_attribute}, depth)

    def _search_attribute(self, start: int, end: int, depth: int = 0) -> None:
        tensor, graph, sparse = self._search_tensor, self._search_graph, self._search_sparse
        inner = {5: tensor, 6: graph, 10: tensor, 11: graph, 22: sparse, 23: sparse}
        self._search(start, end, inner, depth)

    def _search_sparse(self, start: int, end: int, depth: int = 0) -> None:
        self._search(start, end, {1: self._search_tensor, 2: self._search_tensor}, depth)

    def _search_tensor(self, start: int, end: int, depth: int = 0) -> None:  # noqa: ARG002
        """Notes where a tensor has its data, if not in the file."""
        is_external = False
        entries: list[tuple[str, str]] = []
        for number, kind, value, stop in self._fields(start, end):
            if number == 14 and kind == INT:
                is_external = value == _EXTERNAL
            elif number == 13 and kind == BYTES:
                entries.append(self._read_entry(value, stop))
        # Data that is named is refused also where a reader may think that it is not asked for.
        if is_external or entries:
            places = [place for key, place in entries if key == "location"]
            self._outline.external_files.update(places or [""])

    def _read_entry(self, start: int, end: int) -> tuple[str, str]:
        texts = {n: self._text(v, s) for n, k, v, s in self._fields(start, end) if k == BYTES}
        return texts.get(1, ""), texts.get(2, "")

    def _read_opset(self, start: int, end: int) -> tuple[str, int]:
        domain, version = "", 0
        for number, kind, value, stop in self._fields(start, end):
            if number == 1 and kind == BYTES:
                domain = self._text(value, stop)
            elif number == 2 and kind == INT:
                version = value
        return domain, version

    def _read_initializer(self, start: int, end: int) -> tuple[str, list[int]]:
        name, shape = "", list[int]()
        for number, kind, value, stop in self._fields(start, end):
            if number == 8 and kind == BYTES:
                name = self._text(value, stop)
            elif number == 1 and kind == INT:
                shape.append(value)
            elif number == 1 and kind == BYTES:  # numbers one after the other
                while value < stop:
                    size, value = read_number(self._content, value, stop)
                    shape.append(size)
        return name, shape

    def _read_value(self, start: int, end: int) -> tuple[str, TensorType]:
        """Reads the name, type and shape of what goes in or comes out."""
        name, tensor = "", TensorType("no tensor", None)
        for number, kind, value, stop in self._fields(start, end):
            if kind != BYTES:
                continue
            if number == 1:
                name = self._text(value, stop)
            elif number == 2:
                for inner, inner_kind, begin, finish in self._fields(value, stop):
                    if inner == 1 and inner_kind == BYTES:
                        tensor = self._read_type(begin, finish)
        return name, tensor

    def _read_type(self, start: int, end: int) -> TensorType:
        dtype: str = "no type"
        shape: tuple[Dimension, ...] | None = None
        for number, kind, value, stop in self._fields(start, end):
            if number == 1 and kind == INT:
                dtype = _TYPES.get(value, f"type {value}")
            elif number == 2 and kind == BYTES:
                shape = tuple(
                    self._read_dimension(begin, finish)
                    for inner, inner_kind, begin, finish in self._fields(value, stop)
                    if inner == 1 and inner_kind == BYTES
                )
        return TensorType(dtype, shape)

    def _read_dimension(self, start: int, end: int) -> Dimension:
        found: Dimension = None
        for number, kind, value, stop in self._fields(start, end):
            if number == 1 and kind == INT:
                found = value
            elif number == 2 and kind == BYTES:
                found = self._text(value, stop)
        return found

    def _fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        return read_fields(self._content, start, end)

    def _text(self, start: int, end: int) -> str:
        return self._content[start:end].decode()


def smallest_model(ir_version: int, opsets: Mapping[str, int]) -> bytes:
    """Returns an ONNX file that hands one number on, to ask a runtime what versions it takes."""
    number = pack(1, 1) + pack(2, pack(1, pack(1, 1)))  # float32 of shape (1,)

    def value(name: bytes) -> bytes:
        return pack(1, name) + pack(2, pack(1, number))

    node = pack(1, b"x") + pack(2, b"y") + pack(4, b"Identity")
    graph = pack(1, node) + pack(2, b"graph") + pack(11, value(b"x")) + pack(12, value(b"y"))
    versions = b"".join(
        pack(8, pack(1, domain.encode()) + pack(2, version)) for domain, version in opsets.items()
    )
    return pack(1, ir_version) + pack(7, graph) + versions
