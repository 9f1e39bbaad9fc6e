"""Core ML in fp16, for phones and computers of Apple's; it is converted here and run there."""

from __future__ import annotations

import contextlib
import copy
import io
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.node import map_arg

from limbeck.errors import ExportError
from limbeck.export import _program
from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written

FOLDER: Final = "coreml/model.mlpackage"
SCRIPT: Final = "coreml/check_on_mac.py"
REFERENCE: Final = "coreml/reference.npz"
_SHAPES: Final = ((1, 8), (2, 12), (1, 5))
_FLOAT16: Final = 10  # `DataType.FLOAT16` of MIL.proto
_Numbers = npt.NDArray[np.floating[Any]]
_SMALLEST: Final = 64  # numbers; coremltools may write smaller weights into the program itself


class CoreMlTarget(Target):
    """A package for iOS 17 and macOS 14 on, with free batch and length.

    Nothing runs it here. So it is looked at: inputs, outputs, steps, and each weight against the
    model's. The same graph in fp16 in torch says what the precision costs; and the folder holds a
    script that a Mac runs, with inputs and outputs to compare.
    """

    needs = f"a Mac (python {SCRIPT}, there)"
    precision = "fp16"
    packages = ("coremltools",)
    extra = "coreml"
    tolerance = 5e-2

    def check(self, graph: Graph) -> None:
        """Refuses what can't be written, see `Target.check`; the package is imported here."""
        with _hushed():
            super().check(graph)

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002
        keep_float: Sequence[str] = (),  # noqa: ARG002
    ) -> Written:
        """Writes `coreml/model.mlpackage`, and what checks it on a Mac.

        Raises:
            ExportError: If the package lacks an input, an output or a weight of the model, or the
                model does not keep its outputs in fp16.
        """
        path = folder / FOLDER
        path.parent.mkdir(parents=True, exist_ok=True)
        answers = _Answers.of(graph)
        difference = answers.measure_half(graph)
        if not difference <= self.tolerance:  # NaN is no tolerable difference either
            raise ExportError(
                f"{graph.class_name} in fp16 differs from itself in fp32 by {difference:.2g} of "
                f"the spread of its outputs, and {self.tolerance:g} is accepted"
            )
        with quiet("torch.export"):
            program = _program.trace(graph).run_decompositions({})
        begin_step("converting")
        package = _convert(program, graph)
        begin_step("writing, and comparing weights")
        package.save(str(path))
        spec = package.get_spec()
        _check_ends(spec, graph)
        kinds = Counter(step.type for step in _steps(spec))
        num_weights = _check_weights(path, spec, program)
        shutil.copyfile(Path(__file__).with_name("_check_on_mac.py"), folder / SCRIPT)
        answers.write(folder / REFERENCE, tolerance=self.tolerance)
        files = sorted(one for one in path.rglob("*") if one.is_file())
        names = [one.relative_to(folder).as_posix() for one in files]
        return Written(
            files=(*names, SCRIPT, REFERENCE),
            made_with={"coremltools": version("coremltools"), "needs": "iOS 17 or macOS 14"},
            options={
                "steps": ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
                "weights_compared": num_weights,
                "fp16_relative_difference_in_torch": difference,
            },
        )


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Hides progress bars, and what is said on import of libraries that only a Mac has."""
    with quiet("coremltools", "torch"), contextlib.redirect_stderr(io.StringIO()):
        yield


def _convert(program: ExportedProgram, graph: Graph) -> Any:
    with _hushed():
        import coremltools

        return coremltools.convert(
            program,
            minimum_deployment_target=coremltools.target.iOS17,
            compute_precision=coremltools.precision.FLOAT16,
            outputs=[coremltools.TensorType(name=name) for name in graph.output_names],
            skip_model_load=True,
        )


def _steps(spec: Any) -> Iterator[Any]:
    for function in spec.mlProgram.functions.values():
        yield from function.block_specializations[function.opset].operations


def _check_ends(spec: Any, graph: Graph) -> None:
    found = spec.description
    for what, ports, names in (
        ("takes", found.input, graph.input_names),
        ("gives", found.output, graph.output_names),
    ):
        given = tuple(port.name for port in ports)
        if sorted(given) != sorted(names):
            raise ExportError(
                f"the Core ML package {what} {', '.join(given) or 'nothing'}; "
                f"{graph.class_name} {what} {', '.join(names)}"
            )


def _check_weights(path: Path, spec: Any, program: ExportedProgram) -> int:
    """Reads the package's weights and finds each of the model's among them, rounded to fp16.

    Raises:
        ExportError: If one is missing.
    """
    stored: dict[int, list[_Numbers]] = {}
    for array in _stored_weights(path, spec):
        stored.setdefault(array.size, []).append(_sort(array))
    used = {name: _sort(array) for name, array in _used_weights(program)}
    missing = [
        name
        for name, wanted in used.items()
        if not any(_is_same(one, wanted) for one in stored.get(wanted.size, ()))
    ]
    if missing:
        raise ExportError(
            f"{path} lacks the weight {missing[0]}, or has another one in its place; "
            f"{len(used) - len(missing)} of {len(used)} are as they should be"
        )
    return len(used)


def _sort(array: _Numbers) -> _Numbers:
    """Puts the numbers in an order of their own: some weights are stored transposed."""
    return np.sort(array.astype(np.float32), axis=None)


def _is_same(stored: _Numbers, wanted: _Numbers) -> bool:
    # One step of fp16; what is folded is computed in another order, hence the rest.
    return np.allclose(stored, wanted, rtol=2**-10, atol=1e-5)


def _used_weights(program: ExportedProgram) -> Iterator[tuple[str, _Numbers]]:
    """Gives the matrices that steps on the inputs take, by the name of a weight that is in them.

    What is the same for all inputs is computed once, here as in the conversion: of DeBERTa's
    table of distances a package has what the layers make of it.
    """
    names = program.graph_signature.inputs_to_parameters
    known: dict[Node, tuple[str, Any]] = {}
    for node in program.graph.nodes:
        if node.name in names:
            known[node] = names[node.name], program.state_dict[names[node.name]].detach()
        elif node.all_input_nodes and all(one in known for one in node.all_input_nodes):
            args, kwargs = map_arg((node.args, node.kwargs), lambda one: known[one][1])
            known[node] = known[node.all_input_nodes[0]][0], node.target(*args, **kwargs)
    for node, (name, value) in known.items():
        is_matrix = isinstance(value, Tensor) and value.dim() > 1 and value.numel() >= _SMALLEST
        if is_matrix and any(user not in known for user in node.users):
            yield f"{name} ({node.name})", value.numpy()


def _stored_weights(path: Path, spec: Any) -> Iterator[_Numbers]:
    from coremltools.libmilstoragepython import _BlobStorageReader

    reader = _BlobStorageReader(str(path / "Data/com.apple.CoreML/weights/weight.bin"))
    for step in _steps(spec):
        value = step.attributes.get("val")
        if step.type != "const" or value is None or not value.HasField("blobFileValue"):
            continue
        if value.type.tensorType.dataType == _FLOAT16:
            numbers = np.asarray(reader.read_fp16_data(value.blobFileValue.offset))
            yield numbers.view(np.float16)


@dataclass(frozen=True)
class _Answers:
    """Inputs of several shapes and what the model makes of them in fp32.

    Attributes:
        cases: Inputs and outputs by name.
        spreads: Standard deviation of all that an output gives.
    """

    cases: list[tuple[dict[str, Tensor], dict[str, Tensor]]]
    spreads: dict[str, float]

    @classmethod
    def of(cls, graph: Graph) -> _Answers:
        """Runs the model."""
        cases = []
        for rows, tokens in _SHAPES:
            inputs = graph.example(rows=rows, tokens=min(tokens, graph.config.max_tokens or tokens))
            outputs = dict(zip(graph.output_names, graph(*inputs), strict=True))
            cases.append((dict(zip(graph.input_names, inputs, strict=True)), outputs))
        spreads = {
            name: float(torch.cat([outputs[name].flatten() for _, outputs in cases]).std())
            for name in graph.output_names
        }
        return cls(cases, spreads)

    def write(self, path: Path, *, tolerance: float) -> None:
        """Writes all into a file that numpy reads."""
        arrays = {f"spread/{name}": np.array(value) for name, value in self.spreads.items()}
        for number, case in enumerate(self.cases):
            for what, tensors in zip(("inputs", "outputs"), case, strict=True):
                arrays |= {f"{number}/{what}/{n}": t.numpy() for n, t in tensors.items()}
        np.savez(path, allow_pickle=False, tolerance=np.array(tolerance), **arrays)

    def measure_half(self, graph: Graph) -> float:
        """Returns how far torch's fp16 is from its fp32: largest difference over the spread."""
        half = copy.deepcopy(graph).half()
        found = [
            (given.float() - outputs[name]).abs().max() / self.spreads[name]
            for inputs, outputs in self.cases
            for name, given in zip(graph.output_names, half(*inputs.values()), strict=True)
        ]
        return float(torch.stack(found).max())  # NaN if one is


TargetType = CoreMlTarget
