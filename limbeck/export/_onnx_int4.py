"""Matrices and tables in blocks of few bits, as ONNX Runtime's own steps take them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck.export import _blocks, _onnx_int8
from limbeck.export._blocks import Blocks
from limbeck.export._narrowing import Narrowing, Role

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

DOMAIN: Final = "com.microsoft"
# Inputs of products are brought to bytes too, in blocks of the same size: 0.9 of the time.
ACCURACY_LEVEL: Final = 4

Choose = Callable[["NodeProto", Tensor], Blocks]
"""From a product and its weight, (outputs, inputs), to what is written of it."""


def write_matrices(model: ModelProto, choose: Choose, *, exclude: Sequence[str] = ()) -> None:
    """Gives products with weights as `MatMulNBits`, in place.

    Args:
        model: What is changed.
        choose: Says what the weight of a product becomes.
        exclude: Names of nodes that stay as they are.
    """
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    written: dict[str, tuple[Blocks, list[str]]] = {}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        weight = weights.get(node.input[1]) if node.op_type in _onnx_int8.MATRICES else None
        if weight is None or len(weight.dims) != 2 or node.name in exclude:
            nodes.append(node)
            continue
        if weight.name not in written:
            values = torch.from_numpy(numpy_helper.to_array(weight).copy())
            is_turned = node.op_type == "Gemm" and _attributes(node).get("transB", 0)
            blocks = choose(node, values if is_turned else values.T.contiguous())
            names = [f"{weight.name}_{part}" for part in ("numbers", "scales", "zeros")]
            for name, array in zip(names, pack(blocks), strict=True):
                model.graph.initializer.append(numpy_helper.from_array(array, name))
            written[weight.name] = blocks, names
        blocks, names = written[weight.name]
        nodes += _make_product(node, names, blocks)
    _onnx_int8.replace_nodes(model, nodes)
    if written and DOMAIN not in {each.domain for each in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def _make_product(node: NodeProto, names: Sequence[str], blocks: Blocks) -> list[NodeProto]:
    from onnx import helper

    is_sum = len(node.input) > 2  # a Gemm with what is added
    product = f"{node.output[0]}_product" if is_sum else node.output[0]
    rows, columns = blocks.numbers.shape
    made = [
        helper.make_node(
            "MatMulNBits",
            [node.input[0], *names],
            [product],
            f"{node.name}_narrow",
            domain=DOMAIN,
            N=rows,
            K=columns,
            bits=blocks.grid.bits,
            block_size=blocks.grid.size,
            accuracy_level=ACCURACY_LEVEL,
        )
    ]
    if is_sum:
        made.append(
            helper.make_node("Add", [product, node.input[2]], list(node.output), f"{node.name}_add")
        )
    return made


class InBlocks(Narrowing):
    """Weights in blocks of a row, which have a scale and a zero point each.

    Words are most of a small model's bytes. Other tables are next to none, and positions in four
    bits cost as much as all words: on MiniLM the cosine to fp32 is 0.9990 with words alone, and
    0.9981 with positions too. They have eight, and a scale for each row.
    """

    bits: ClassVar[int] = 4
    """Of a weight."""
    size: ClassVar[int] = _blocks.SIZE
    """Weights of a block."""

    def to_blocks(self, weight: Tensor) -> Blocks:
        """Returns a weight in whole numbers."""
        return _blocks.round_to_nearest(weight, bits=self.bits, size=self.size)

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:
        """Returns a weight as the file holds it, in float again."""
        if role == "table":
            return _onnx_int8.narrow(weight, role)
        return self.to_blocks(weight).to_float().to(weight.dtype)

    def narrow_input(self, given: Tensor) -> Tensor:
        """Returns what a matrix is multiplied by: bytes, in blocks of the same size."""
        return _blocks.narrow_input(given, size=self.size)


class EightBits(InBlocks):
    """What a matrix has that is sensitive to fewer; words have what other tables have."""

    precision = "int8"
    bits = 8

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:
        """Returns a weight as the file holds it, in float again."""
        return super().narrow(weight, role="matrix" if role == "matrix" else "table")


def write_tables(
    model: ModelProto, choose: Callable[[Tensor], Blocks], *, only: Collection[str]
) -> None:
    """Gives tables that rows are looked up in as `GatherBlockQuantized`, in place.

    Args:
        model: What is changed.
        choose: Says what a table becomes.
        only: Names of nodes that look up in them.
    """
    from onnx import helper, numpy_helper

    sizes: dict[str, dict[str, Any]] = {}

    def write(node: NodeProto, name: str, values: npt.NDArray[Any]) -> list[NodeProto]:
        names = [f"{name}_{part}" for part in ("rows", "row_scales", "row_zeros")]
        if name not in sizes:
            blocks = choose(torch.from_numpy(values.copy()))
            if values.shape[1] % (
                8 // blocks.grid.bits
            ):  # the step would take rows for whole bytes
                blocks = replace(blocks, grid=replace(blocks.grid, bits=4))
            scales = numpy_helper.from_array(blocks.grid.scales.numpy(), names[1])
            model.graph.initializer.append(scales)
            for part, whole in ((names[0], blocks.numbers), (names[2], blocks.grid.zeros)):
                model.graph.initializer.append(_write_rows(part, whole, bits=blocks.grid.bits))
            # Four bits are a type of ONNX's; of others the step has to be told.
            told = {} if blocks.grid.bits == 4 else {"bits": blocks.grid.bits}
            sizes[name] = {"block_size": blocks.grid.size, **told}
        rows, scales_name, zeros = names
        return [
            helper.make_node(
                "GatherBlockQuantized",
                [rows, node.input[1], scales_name, zeros],
                list(node.output),
                node.name,
                domain=DOMAIN,
                gather_axis=0,
                quantize_axis=1,
                **sizes[name],
            )
        ]

    others = [node.name for node in model.graph.node if node.name not in only]
    _onnx_int8.replace_tables(model, write, exclude=others)


def _write_rows(name: str, whole: Tensor, *, bits: int) -> TensorProto:
    from onnx import TensorProto, helper, numpy_helper

    if bits != 4:
        return numpy_helper.from_array(_pack(whole, bits=bits), name)
    packed = _pack(whole.flatten()[None], bits=4)
    return helper.make_tensor(name, TensorProto.UINT4, whole.shape, packed.tobytes(), raw=True)


def pack(blocks: Blocks) -> tuple[npt.NDArray[Any], ...]:
    """Returns a matrix as `MatMulNBits` reads it: numbers, scales and zero points.

    Shape:
        result: (outputs, blocks, bytes of a block) with the first numbers in the lower bits;
            (outputs, blocks); (outputs, bytes of the blocks' zero points, rounded up).
    """
    zeros, numbers, grid = blocks.grid.zeros, blocks.numbers, blocks.grid
    missing = zeros.shape[1] * grid.size - numbers.shape[1]
    filled = torch.cat([numbers, zeros[:, -1:].expand(-1, missing)], dim=1)
    packed = _pack(filled, bits=grid.bits).reshape(*zeros.shape, -1)
    return packed, grid.scales.numpy(), _pack(zeros, bits=grid.bits)


def _pack(whole: Tensor, *, bits: int) -> npt.NDArray[np.uint8]:
    """Shape: (rows, columns) to (rows, bytes, rounded up)."""
    in_byte = 8 // bits
    even = torch.nn.functional.pad(whole, (0, -whole.shape[1] % in_byte)).numpy()
    parts = [even[:, place::in_byte] << (bits * place) for place in range(in_byte)]
    packed: npt.NDArray[np.uint8] = np.bitwise_or.reduce(parts)
    return np.ascontiguousarray(packed)


def _attributes(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
