"""Matrices and tables in blocks of four bits, as ONNX Runtime's own steps take them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck.export import _onnx_int8
from limbeck.export._blocks import SIZE, Blocks, round_to_nearest
from limbeck.export._target import Role

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

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
            names = [f"{weight.name}_{part}" for part in ("int4", "scales", "zeros")]
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
            f"{node.name}_int4",
            domain=DOMAIN,
            N=rows,
            K=columns,
            bits=4,
            block_size=SIZE,
            accuracy_level=ACCURACY_LEVEL,
        )
    ]
    if is_sum:
        made.append(
            helper.make_node("Add", [product, node.input[2]], list(node.output), f"{node.name}_add")
        )
    return made


def narrow(weight: Tensor, role: Role) -> Tensor:
    """Returns a weight as the file holds it, in float again.

    Words are most of a small model's bytes. Other tables are next to none, and positions in four
    bits cost as much as all words: on MiniLM the cosine to fp32 is 0.9990 with words alone, and
    0.9981 with positions too.

    Shape:
        weight, result: (rows, columns).
    """
    if role == "table":
        return _onnx_int8.narrow(weight, role)
    return round_to_nearest(weight).to_float().to(weight.dtype)


def write_tables(model: ModelProto, *, only: Collection[str]) -> None:
    """Gives tables that rows are looked up in as `GatherBlockQuantized`, in place.

    Args:
        model: What is changed.
        only: Names of nodes that look up in them.
    """
    from onnx import TensorProto, helper, numpy_helper

    def write(node: NodeProto, name: str, values: npt.NDArray[Any]) -> list[NodeProto]:
        names = [f"{name}_{part}" for part in ("rows", "row_scales", "row_zeros")]
        if names[0] not in {tensor.name for tensor in model.graph.initializer}:
            blocks = round_to_nearest(torch.from_numpy(values.copy()))
            for part, whole in ((names[0], blocks.numbers), (names[2], blocks.grid.zeros)):
                packed = _pack_pairs(whole.flatten()[None])
                model.graph.initializer.append(
                    helper.make_tensor(
                        part, TensorProto.UINT4, whole.shape, packed.tobytes(), raw=True
                    )
                )
            scales = numpy_helper.from_array(blocks.grid.scales.numpy(), names[1])
            model.graph.initializer.append(scales)
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
                block_size=SIZE,
            )
        ]

    others = [node.name for node in model.graph.node if node.name not in only]
    _onnx_int8.replace_tables(model, write, exclude=others)


def pack(blocks: Blocks) -> tuple[npt.NDArray[Any], ...]:
    """Returns a matrix as `MatMulNBits` reads it: numbers, scales and zero points.

    Shape:
        result: (outputs, blocks, SIZE / 2) of two numbers a byte, the first in the lower half;
            (outputs, blocks); (outputs, half the blocks, rounded up) of two a byte.
    """
    zeros, numbers = blocks.grid.zeros, blocks.numbers
    missing = zeros.shape[1] * SIZE - numbers.shape[1]
    filled = torch.cat([numbers, zeros[:, -1:].expand(-1, missing)], dim=1)
    packed = _pack_pairs(filled).reshape(*zeros.shape, SIZE // 2)
    return packed, blocks.grid.scales.numpy(), _pack_pairs(zeros)


def _pack_pairs(whole: Tensor) -> npt.NDArray[np.uint8]:
    """Shape: (rows, columns) to (rows, columns / 2, rounded up)."""
    even = torch.nn.functional.pad(whole, (0, whole.shape[1] % 2)).numpy()
    packed: npt.NDArray[np.uint8] = even[:, ::2] | (even[:, 1::2] << 4)
    return np.ascontiguousarray(packed)


def _attributes(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
