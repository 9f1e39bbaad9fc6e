"""What the ONNX targets with whole numbers for weights share: tables, settings, what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from limbeck.export._narrowing import Role, narrow_rows
from limbeck.export._quiet import quiet

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Floats = npt.NDArray[np.float32]

MATRICES: Final = ("MatMul", "Gemm")
# Of eight bits, sums of two products with unsigned bytes overflow 16 bits on x86 without VNNI: that
# is silent and ruins a model. Of seven they fit (255 * 64 * 2 < 32768). Unsigned weights are right
# everywhere too, but take 1.9x the time. Columns have a scale each, since the widest of them would
# else set that of all: on MiniLM the cosine to fp32 falls from 0.992 to 0.963.
REDUCE_RANGE: Final = True
CPU_INFO: Final = Path("/proc/cpuinfo")
"""Where Linux says what the processor knows."""


def quantize_tables(model: ModelProto, *, exclude: Sequence[str] = ()) -> None:
    """Brings tables that rows are looked up in to int8, each row with its own scale, in place.

    Args:
        model: What is changed.
        exclude: Names of nodes that stay as they are.
    """
    from onnx import TensorProto, helper, numpy_helper

    def write(node: NodeProto, name: str, values: Floats) -> list[NodeProto]:
        names = f"{name}_int8", f"{name}_scales"
        if names[0] not in {tensor.name for tensor in model.graph.initializer}:
            numbers, of_rows = round_rows(values)
            model.graph.initializer.append(numpy_helper.from_array(numbers, names[0]))
            model.graph.initializer.append(numpy_helper.from_array(of_rows, names[1]))
        (rows, scales), ids, own = names, node.input[1], node.name
        return [
            helper.make_node("Gather", [rows, ids], [f"{own}_rows"], f"{own}_rows"),
            helper.make_node("Gather", [scales, ids], [f"{own}_scales"], f"{own}_scales"),
            helper.make_node(
                "Cast", [f"{own}_rows"], [f"{own}_float"], f"{own}_float", to=TensorProto.FLOAT
            ),
            helper.make_node("Mul", [f"{own}_float", f"{own}_scales"], list(node.output), own),
        ]

    replace_tables(model, write, exclude=exclude)


def narrow(weight: Tensor, role: Role) -> Tensor:
    """Returns a weight as the files hold it, in float again.

    Shape:
        weight, result: (rows, columns).
    """
    return narrow_rows(weight, steps=64 if role == "matrix" else 127)


def round_rows(values: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Returns a table in whole numbers, and the scale of each row.

    Shape:
        values: (rows, columns).
        result: (rows, columns), (rows, 1).
    """
    scales = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    return np.rint(values / scales).astype(np.int8), scales


def replace_tables(
    model: ModelProto,
    write: Callable[[NodeProto, str, Floats], list[NodeProto]],
    *,
    exclude: Sequence[str] = (),
) -> None:
    """Has other steps look rows up in tables, in place.

    Args:
        model: What is changed.
        write: Returns the steps for a look-up, of the step, its table's name and its numbers.
        exclude: Names of nodes that stay as they are.
    """
    from onnx import TensorProto, numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if (
            table is None
            or table.data_type != TensorProto.FLOAT
            or len(table.dims) != 2
            or node.name in exclude
        ):
            nodes.append(node)
        else:
            nodes += write(node, table.name, numpy_helper.to_array(table))
    replace_nodes(model, nodes)


def replace_nodes(model: ModelProto, nodes: Sequence[NodeProto]) -> None:
    """Gives a model other steps, and takes from it what none of them reads."""
    chosen = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(chosen)
    used = {name for node in chosen for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def turn_tables(model: ModelProto, *, exclude: Sequence[str] = ()) -> None:
    """Gives products with a turned table, as heads over all words are, the turned one for a weight.

    Quantisers narrow weights alone, not what a step makes of them: the head would stay in float,
    and a copy of the table with it.

    Args:
        model: What is changed.
        exclude: Names of nodes that stay as they are.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    turned = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "Transpose" and len(getattr(weights.get(node.input[0]), "dims", ())) == 2
    }
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in turned or node.name in exclude:
            continue
        name = f"{node.input[1]}_turned"
        if name not in weights:
            values = numpy_helper.to_array(weights[turned[node.input[1]]])
            weights[name] = numpy_helper.from_array(np.ascontiguousarray(values.T), name)
            model.graph.initializer.append(weights[name])
        node.input[1] = name
    used = {name for node in model.graph.node for name in node.input}
    kept = [n for n in model.graph.node if n.output[0] in used or n.output[0] not in turned]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def without_weights(model: ModelProto) -> list[str]:
    """Returns the names of products of what is computed, which have no weights to narrow."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in MATRICES and not weights & set(node.input)
    ]


@contextmanager
def quiet_quantizer() -> Iterator[None]:
    """Hides what the quantiser advises, of which each point is seen to here."""
    with quiet("root"):
        yield


def has_vnni() -> bool | None:
    """Returns whether this machine multiplies bytes without overflow; None where it can't be told.

    That is VNNI on x86, and on ARM its products of bytes.
    """
    try:
        text = CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = (line.partition(":")[2] for line in text.splitlines() if ":" in line)
    flags = {flag for line in lines for flag in line.split()}
    return bool(flags & {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"})


def describe(keep_float: Sequence[str], **chosen: str) -> dict[str, Any]:
    """Returns what card, record and terminal say of the settings, and why they are as they are."""
    here = {True: "has VNNI", False: "has no VNNI", None: "may or may not have VNNI"}[has_vnni()]
    return {
        "weights": "int8 of 7 bits, one scale for each output",
        "embeddings": "int8, one scale for each row",
        **chosen,
        "why": "right on every CPU: 8 bits overflow on x86 without VNNI, and unsigned weights are "
        f"slower. This machine {here}, others that run the file may not",
        "kept_in_float": list(keep_float),
    }
