"""What both OpenVINO targets begin with: the graph in OpenVINO's form, and the modules' names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from limbeck.errors import CheckpointError
from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step

if TYPE_CHECKING:
    from openvino import Model as Network

# sentence-transformers looks for it here; optimum-intel in the folder that is given to it as
# `subfolder`, by default the model's own.
FILE: Final = "openvino/openvino_model.xml"
WEIGHTS: Final = "openvino/openvino_model.bin"
_TEST: Final = "CI"
_TRACED: Final = "__module."


@contextmanager
def unreported() -> Iterator[None]:
    """Keeps OpenVINO and NNCF from telling their makers that they were used, on which model.

    They do, unless a file in the user's home says no, or they believe that this is a test.
    """
    before = os.environ.get(_TEST)
    os.environ[_TEST] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TEST]
        else:
            os.environ[_TEST] = before


def convert(graph: Graph) -> Network:
    """Returns the model as OpenVINO's, in fp32 and with free batch and length.

    It is traced through TorchScript. From `torch.export` OpenVINO gives the same numbers, but
    takes half as long again and forgets which module a step is of, which `keep_float` needs.
    """
    import openvino

    begin_step("tracing")
    with unreported(), quiet("openvino", "torch"), torch.no_grad():
        network = openvino.convert_model(graph, example_input=graph.example())
    ends = ((network.inputs, graph.input_names), (network.outputs, graph.output_names))
    for ports, names in ends:
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    return network


def save(network: Network, folder: Path) -> tuple[str, ...]:
    """Writes graph and weights, and returns their paths within the folder."""
    import openvino

    begin_step("writing")
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    try:  # left to itself it stores weights in fp16
        openvino.save_model(network, folder / FILE, compress_to_fp16=False)
    except RuntimeError as error:  # it says of a full disk: "iostream error"
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"OpenVINO can't write {folder / FILE} ({reason}); see whether its disk is full, or a "
            "limit reached (ulimit -f)"
        ) from error
    return FILE, WEIGHTS


def versions(*packages: str) -> dict[str, str]:
    """What made the files."""
    return {package: version(package) for package in ("openvino", *packages)}


def steps_of(network: Network, graph: Graph, modules: Sequence[str]) -> list[str]:
    """Returns the names of the steps in some modules of `graph.model`, and in all below these.

    Raises:
        ExportError: If there is no such module.
    """
    within = graph.modules_within(modules)
    return [name for name, module in _modules_of(network) if module in within]


def _modules_of(network: Network) -> Iterator[tuple[str, str]]:
    # A step is called `__module.model.encoder.layers.0.attention.query/aten::linear/MatMul`.
    for step in network.get_ordered_ops():
        name = step.get_friendly_name()
        if name.startswith(_TRACED):
            yield name, name.split("/")[0].removeprefix(f"{_TRACED}model").removeprefix(".")
